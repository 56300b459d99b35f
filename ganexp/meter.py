"""Means of scalars, kept on the device: reading one waits for the device, so it is done when one is written."""

import torch
from torch import Tensor


class Meter:
    """Sums of named scalars since the last ``clear``."""

    def __init__(self) -> None:
        self._sums: dict[str, Tensor] = {}
        self._counts: dict[str, int] = {}

    def add(self, prefix: str, scalars: dict[str, Tensor]) -> None:
        """Adds detached scalars under ``prefix/name``."""
        for name, scalar in scalars.items():
            key = f"{prefix}/{name}"
            self._sums[key] = self._sums[key] + scalar if key in self._sums else scalar.float()
            self._counts[key] = self._counts.get(key, 0) + 1

    def means(self) -> dict[str, float]:
        """The mean of every scalar so far; empty if there is none."""
        if not self._sums:
            return {}
        totals = torch.stack(list(self._sums.values())).tolist()
        return {key: total / self._counts[key] for key, total in zip(self._sums, totals, strict=True)}

    def clear(self) -> None:
        """Begins anew."""
        self._sums, self._counts = {}, {}
