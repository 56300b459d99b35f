"""Means of scalars, kept on the device: reading one waits for the device, so it is done when one is written."""

from typing import Any

import torch
from torch import Tensor


class Meter:
    """Sums of named scalars since the last ``clear``, and over how many images and seconds they reach."""

    def __init__(self) -> None:
        self.images = 0
        self.seconds = 0.0
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
        self.images, self.seconds = 0, 0.0

    def state_dict(self) -> dict[str, Any]:
        """For a checkpoint in mid-epoch."""
        return {
            "sums": dict(self._sums),
            "counts": dict(self._counts),
            "images": self.images,
            "seconds": self.seconds,
        }

    def load_state_dict(self, state: dict[str, Any], device: torch.device) -> None:
        """Goes on with sums from a checkpoint."""
        self._sums = {key: value.to(device) for key, value in state["sums"].items()}
        self._counts = dict(state["counts"])
        self.images, self.seconds = state["images"], state["seconds"]
