"""The latent space of a trained generator as points, and the space z of its prior. ``space.py`` opens one.

Points are CPU tensors [N, size], float32.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from functools import cached_property
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from ganexp.games.game import Game
from ganexp.games.labels import checked_labels
from ganexp.games.prior import Moments, Prior
from ganexp.games.request import Inputs, Request
from ganexp.games.sampling import generate
from ganexp.latents.truncation import truncated
from ganexp.system.tensor_file import digest

SpaceName = Literal["z", "w"]

Codes = Mapping[int, Tensor]
"""Values [N] of InfoGAN's codes by their number, as in ``Request``."""


class LatentSpace(ABC):
    """What a generator's samples are made from, as a space of points.

    ``game``: whose generator it is. ``generator``: a network from points [N, ...] and, if ``takes_labels``,
    labels to samples, on its device, in evaluation mode, without gradients of its weights.
    """

    name: SpaceName

    spherical: bool
    """Whether points lie near a sphere around 0, so that a way between two keeps their length (slerp)."""

    takes_labels: bool
    """Whether ``images`` needs labels."""

    isotropic: bool
    """Whether the noise's numbers are independent, so that nearly all points are equally far from the mean."""

    is_bounded: bool
    """Whether all noise is in [-1, 1]."""

    def __init__(self, game: Game, prior: Prior, generator: nn.Module) -> None:
        self.game, self.prior, self.generator = game, prior, generator
        self.device = next(generator.parameters()).device

    @property
    @abstractmethod
    def size(self) -> int:
        """Numbers of a point."""

    @property
    @abstractmethod
    def noise_size(self) -> int:
        """How many of them are noise; those are the first ones. The others are InfoGAN's codes."""

    @abstractmethod
    def draw(
        self, count: int, rng: torch.Generator, labels: Tensor | None = None, codes: Codes | None = None
    ) -> Tensor:
        """Points [count, size], those of the samples that ``ganexp sample`` makes of the same random numbers.

        ``labels`` [count] or [count, K], ``codes``: as of a ``Request``. Raises UserError for labels or codes
        that the run does not have.
        """

    @abstractmethod
    def draw_with_one_code(
        self, count: int, rng: torch.Generator, labels: Tensor | None = None, codes: Codes | None = None
    ) -> Tensor:
        """The same, but all points have the codes of the first one: they differ in noise only."""

    @abstractmethod
    def moments(self) -> Moments:
        """Mean and standard deviation of each number over all points: [size] each."""

    @abstractmethod
    def deviation_along(self, vectors: Tensor) -> Tensor:
        """The standard deviation [K] of all points along unit vectors [K, size]; 1 of a normal prior."""

    @cached_property
    def radius(self) -> float:
        """The root mean square distance of points from their mean; sqrt(size) of a normal prior."""
        return float(self.moments().deviation.double().square().sum().sqrt())

    @cached_property
    def weights(self) -> str:
        """A digest of the generator's weights and buffers: what belongs to them names them by it."""
        return digest(dict(self.generator.state_dict()))

    def mean(self) -> Tensor:
        """The mean point [size]: 0 of noise."""
        return self.moments().mean

    @property
    def classes(self) -> int:
        """The number of classes or attributes that samples are made of; 0 where they have no labels."""
        return int(getattr(self.game.generator, "classes", 0))

    @property
    def conditional(self) -> bool:
        """Whether samples have labels: then ``draw`` in w, or ``images`` in z, is given some."""
        return self.classes > 0

    def random_labels(self, count: int, rng: torch.Generator) -> Tensor | None:
        """Labels [count] or [count, K] as they are equally frequent; None where samples have none."""
        if not self.conditional:
            return None
        if self.game.parts.label_kind == "classes":
            return torch.randint(self.classes, (count,), generator=rng)
        return torch.randint(2, (count, self.classes), generator=rng)

    def inputs(self, points: Tensor, labels: Tensor | None = None) -> Inputs:
        """The arguments of ``generator`` for points [N, ...]; labels [N] or [N, K]; those of one go to all."""
        if not self.takes_labels:
            return Inputs((points,))
        if labels is None:
            raise ValueError("these points need labels: their generator is conditional")
        labels = checked_labels(labels, self.classes, self.game.parts.label_kind)
        return Inputs((points, labels.expand(len(points), *labels.shape[1:])))

    def images(self, points: Tensor, labels: Tensor | None = None) -> Tensor:
        """Samples [N, ...] on the device, differentiable with respect to the points."""
        args = self.inputs(points, labels).args
        samples: Tensor = self.generator(*(part.to(self.device) for part in args))
        return samples

    def samples(self, points: Tensor, labels: Tensor | None = None, batch_size: int = 64) -> np.ndarray:
        """Samples [N, ...] float32 as ``ganexp sample`` makes them: for pictures and files."""
        return generate(self.generator, self.inputs(points, labels), batch_size, self.device)


class ZSpace(LatentSpace):
    """z [N, latent] of the game's prior; its numbers behind ``noise_size`` are InfoGAN's codes."""

    name = "z"
    isotropic = True

    def __init__(self, game: Game, prior: Prior, net: nn.Module, truncation: float | None) -> None:
        super().__init__(game, prior, net)
        self.spherical = prior.noise == "normal" or bool(getattr(net, "normalises_latents", False))
        self.takes_labels = self.conditional
        self.is_bounded = prior.noise == "uniform"
        self._net, self._truncation = net, truncation

    @property
    def size(self) -> int:
        return self.prior.size

    @property
    def noise_size(self) -> int:
        return self.prior.noise_size

    def draw(
        self, count: int, rng: torch.Generator, labels: Tensor | None = None, codes: Codes | None = None
    ) -> Tensor:
        if labels is None and self.conditional:
            labels = torch.zeros(1, dtype=torch.int64).expand(count)  # z does not depend on them
        inputs = self.game.inputs(Request(count, labels, codes or {}), rng)
        return truncated(self.game, self._net, inputs, self._truncation).args[0]

    def draw_with_one_code(
        self, count: int, rng: torch.Generator, labels: Tensor | None = None, codes: Codes | None = None
    ) -> Tensor:
        points = self.draw(count, rng, labels, codes)
        points[:, self.noise_size :] = points[:1, self.noise_size :].clone()
        return points

    def moments(self) -> Moments:
        return self.prior.moments()

    def deviation_along(self, vectors: Tensor) -> Tensor:
        deviation = self.moments().deviation
        return (vectors * deviation).square().sum(1).sqrt()
