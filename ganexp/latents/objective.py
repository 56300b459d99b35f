r"""What an inversion minimises, of points in units:

.. math:: |e(G(p)) - e(x)|^2 + prior \cdot penalty(p)
"""

from typing import NamedTuple

import torch
from torch import Tensor

from ganexp.latents.latent_space import LatentSpace
from ganexp.latents.perceptual import Embedding
from ganexp.latents.point_prior import PointPrior


class Targets(NamedTuple):
    """N images on the space's device [N, C, H, W], their embeddings [N, D], and labels on the CPU, if any."""

    images: Tensor
    embedded: Tensor
    labels: Tensor | None

    def rows(self, rows: Tensor) -> "Targets":
        """Those images; ``rows`` [M] int64 on the CPU, which may repeat."""
        there = rows.to(self.images.device)
        labels = None if self.labels is None else self.labels[rows]
        return Targets(self.images[there], self.embedded[there], labels)


class Objective(NamedTuple):
    """The terms. ``weight``: of the prior's penalty."""

    space: LatentSpace
    prior: PointPrior
    embed: Embedding
    weight: float

    @torch.no_grad()
    def targets(self, images: Tensor, labels: Tensor | None) -> Targets:
        """Images [N, C, H, W] in [-1, 1] with their labels [N] or [N, K]."""
        images = images.to(self.space.device)
        return Targets(images, self.embed(images), labels)

    def generator_labels(self, count: int, labels: Tensor | None) -> tuple[Tensor, ...]:
        """What the generator takes beside ``count`` points, on its device."""
        labels = labels if self.space.takes_labels else None
        rest = self.space.inputs(torch.empty(count, self.space.size), labels).args[1:]
        return tuple(part.to(self.space.device) for part in rest)

    def embedded(self, units: Tensor, rest: tuple[Tensor, ...]) -> Tensor:
        """The embeddings [N, D] of the images of points; ``rest``: see ``generator_labels``."""
        return self.embed(self.space.generator(self.prior.points(units), *rest))

    def penalty(self, units: Tensor) -> Tensor:
        """The term of the prior [N]."""
        return self.weight * self.prior.penalty(units)

    def __call__(self, units: Tensor, targets: Targets, rest: tuple[Tensor, ...]) -> Tensor:
        """The objective of each point [N]; ``units`` [N, size] or [N, layers, size]."""
        distances = (self.embedded(units, rest) - targets.embedded).square().sum(1)
        return distances + self.penalty(units)
