"""Where an inversion starts: the best of an encoder's point, the mean point and points from the prior."""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ganexp.latents.objective import Objective, Targets

_CHUNK = 64
"""Drawn points whose images are made at a time."""

KINDS = ("mean", "encoder", "drawn")


class Starts(NamedTuple):
    """For each of N images the R best candidates, the best one first. On the device.

    ``units``: [N, R, size]; ``objective``: [N, R]; ``kinds``: indices into ``KINDS`` [N, R].
    """

    units: Tensor
    objective: Tensor
    kinds: Tensor

    def best(self, count: int) -> "Starts":
        """The best ``count`` of them, or all if there are fewer."""
        order = self.objective.argsort(dim=1, stable=True)[:, :count]
        units = self.units.gather(1, order[:, :, None].expand(-1, -1, self.units.shape[2]))
        return Starts(units, self.objective.gather(1, order), self.kinds.gather(1, order))

    def joined(self, other: "Starts") -> "Starts":
        """The candidates of both."""
        return Starts(*(torch.cat(pair, 1) for pair in zip(self, other, strict=True)))


@torch.no_grad()
def best_starts(
    objective: Objective, targets: Targets, encoder: nn.Module | None, drawn: int, seed: int, count: int
) -> Starts:
    """The best ``count`` candidates of each image; the same points are drawn whatever the batch is."""
    prior, number = objective.prior, len(targets.images)
    rest = objective.generator_labels(number, targets.labels)
    singles = [torch.zeros(number, objective.space.size, device=objective.space.device)]
    singles += [] if encoder is None else [prior.clamped(encoder(targets.images))]
    parts = [_single(units, kind, objective(units, targets, rest)) for kind, units in enumerate(singles)]
    starts = parts[0] if len(parts) == 1 else parts[0].joined(parts[1])
    if not drawn:
        return starts.best(count)
    places: list[Tensor] = []
    found: list[Starts] = []
    for rows in _equal_labels(targets.labels, number):
        alike = targets.rows(rows)
        there = rows.to(objective.space.device)
        best = Starts(*(part[there] for part in starts)).best(count)
        for units in _drawn(objective, alike.labels, drawn, seed):
            best = best.joined(_of_all(objective, alike, units)).best(count)
        places.append(there)
        found.append(best)
    order = torch.cat(places).argsort()
    return Starts(*(torch.cat(parts)[order] for parts in zip(*found, strict=True)))


def _single(units: Tensor, kind: int, values: Tensor) -> Starts:
    """One candidate of each image."""
    return Starts(units[:, None], values[:, None], torch.full_like(values[:, None], kind, dtype=torch.int64))


def _equal_labels(labels: Tensor | None, count: int) -> list[Tensor]:
    """The rows of images with equal labels, which share the images of drawn points."""
    if labels is None:
        return [torch.arange(count)]
    _, group = torch.unique(labels, dim=0, return_inverse=True)
    return [torch.nonzero(group == one).flatten() for one in range(int(group.max()) + 1)]


def _drawn(objective: Objective, labels: Tensor | None, count: int, seed: int) -> Iterator[Tensor]:
    """``count`` points of the prior in units, piece by piece, for images with the first of these labels."""
    rng = torch.Generator().manual_seed(seed)
    for start in range(0, count, _CHUNK):
        size = min(_CHUNK, count - start)
        of_each = None if labels is None else labels[:1].expand(size, *labels.shape[1:])
        points = objective.space.draw(size, rng, of_each)
        yield objective.prior.clamped(objective.prior.units(points.to(objective.space.device)))


def _of_all(objective: Objective, targets: Targets, units: Tensor) -> Starts:
    """M drawn points [M, size] as candidates of each of the targets, which have equal labels."""
    number = len(targets.images)
    first = None if targets.labels is None else targets.labels[:1]
    embedded = objective.embedded(units, objective.generator_labels(len(units), first))
    # not by a product of matrices, whose rounding depends on the number of rows
    distances = torch.stack([(embedded - one).square().sum(1) for one in targets.embedded])
    values = distances + objective.penalty(units)
    kinds = torch.full_like(values, KINDS.index("drawn"), dtype=torch.int64)
    return Starts(units.expand(number, -1, -1), values, kinds)
