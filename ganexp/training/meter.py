"""Means of scalars, summed on the device and read only when they are logged, because reading synchronises."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ganexp.distributed import collectives

COUNTED = ":share"
"""A scalar ``name + COUNTED`` is 1 where ``name`` counts, and 0 where it does not (``name`` is then 0 too)."""


class Meter:
    """Sums of named scalars since the last ``clear``, with the number of images and seconds since then."""

    def __init__(self) -> None:
        self.images = 0
        self.seconds = 0.0
        self._names: dict[str, list[str]] = {}  # kind (prefix and names) -> names, in the order of the sums
        self._sums: dict[str, Tensor] = {}
        self._counts: dict[str, int] = {}

    def add(self, prefix: str, scalars: dict[str, Tensor]) -> None:
        """Adds detached scalars as ``prefix/name``; a mean is over the calls that had that name."""
        row = torch.stack([scalar.float() for scalar in scalars.values()])
        kind = f"{prefix}/{'+'.join(scalars)}"
        if kind in self._sums:
            self._sums[kind] += row
        else:
            self._names[kind], self._sums[kind] = list(scalars), row
        self._counts[kind] = self._counts.get(kind, 0) + 1

    def means(self) -> dict[str, float]:
        """The mean of every scalar so far, over all ranks; scalars that never counted are left out."""
        if not self._sums:
            return {}
        sums = torch.cat(list(self._sums.values()))
        collectives.all_reduce_mean([sums])
        kinds = [(kind, name) for kind, names in self._names.items() for name in names]
        totals: dict[str, float] = {}
        counts: dict[str, int] = {}
        for (kind, name), total in zip(kinds, sums.tolist(), strict=True):
            tag = f"{_prefix(kind)}/{name}"
            totals[tag] = totals.get(tag, 0.0) + total
            counts[tag] = counts.get(tag, 0) + self._counts[kind]
        means = {tag: total / counts[tag] for tag, total in totals.items()}
        shares = {tag.removesuffix(COUNTED): means.pop(tag) for tag in [*means] if tag.endswith(COUNTED)}
        return {tag: mean / shares.get(tag, 1.0) for tag, mean in means.items() if shares.get(tag, 1.0)}

    def clear(self) -> None:
        """Sets everything back to zero."""
        self._names, self._sums, self._counts = {}, {}, {}
        self.images, self.seconds = 0, 0.0

    def state_dict(self) -> dict[str, Any]:
        """The sums so far, for a checkpoint within an epoch."""
        return {
            "names": {prefix: list(names) for prefix, names in self._names.items()},
            "sums": dict(self._sums),
            "counts": dict(self._counts),
            "images": self.images,
            "seconds": self.seconds,
        }

    def load_state_dict(self, state: dict[str, Any], device: torch.device) -> None:
        """Restores the sums of a checkpoint."""
        self._names = {prefix: list(names) for prefix, names in state["names"].items()}
        self._sums = {prefix: row.to(device, copy=True) for prefix, row in state["sums"].items()}
        self._counts = dict(state["counts"])
        self.images, self.seconds = state["images"], state["seconds"]


def _prefix(kind: str) -> str:
    return kind.partition("/")[0]


def merged(states: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The mean of the meters of all ranks, which saw equal shares; for resuming with another world size."""
    sums = {
        prefix: torch.stack([state["sums"][prefix] for state in states]).mean(0) for prefix in states[0]["sums"]
    }
    return states[0] | {"sums": sums}
