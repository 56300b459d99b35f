"""Mixtures of Gaussians in the plane, whose modes are known (PacGAN, Lin et al. 2018)."""

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from PIL import Image

from ganexp.config.ranges import Count, Positive
from ganexp.data.arrays import Arrays
from ganexp.data.picture import scatter
from ganexp.data.source import SampleCritic, Source
from ganexp.data.surface import surface

_SEED = 20180  # fixed: the points are a data set, the same for every run


@dataclass(frozen=True, kw_only=True)
class Plane(Source):
    """Equally likely Gaussians with standard deviation ``sigma``; the label is the mode."""

    terms: ClassVar[str] = "Points that a formula draws: there are no terms."

    sigma: Positive
    count: Count
    mirror: Literal[False]

    preview_count: ClassVar[int] = 1000

    @property
    def centres(self) -> np.ndarray:
        """The modes' means, [M, 2] float64."""
        raise NotImplementedError

    def load(self) -> Arrays:
        rng = np.random.default_rng(_SEED)
        centres = self.centres
        labels = rng.integers(len(centres), size=self.count)
        points = centres[labels] + self.sigma * rng.standard_normal((self.count, 2))
        names = tuple(f"({x:.3g}, {y:.3g})" for x, y in np.round(centres, 9) + 0.0)  # + 0.0 turns -0 into 0
        return self.check_arrays(Arrays(points.astype(np.float32), labels.astype(np.int64), names))

    def density(self, points: np.ndarray) -> np.ndarray:
        """The true density at points [N, 2], as [N]."""
        total = np.zeros(len(points))
        for centre in self.centres:
            distance = ((points - centre) ** 2).sum(1) / (2 * self.sigma**2)
            total += np.exp(-distance)
        return total / (len(self.centres) * 2 * math.pi * self.sigma**2)

    def to_array(self, samples: np.ndarray) -> tuple[str, np.ndarray]:
        """``points`` [N, 2] float32."""
        return "points", samples

    def draw(self, samples: np.ndarray, columns: int) -> Image.Image:
        return scatter(samples, self.density, self._extent)

    def draw_judged(self, samples: np.ndarray, columns: int, critic: SampleCritic) -> Image.Image:
        """Points over the critic's logits in colours, and their gradient in arrows; see ``surface.py``."""
        return scatter(samples, self.density, self._extent, surface(critic, self._extent))

    @property
    def _extent(self) -> float:
        return float(np.abs(self.centres).max()) * 1.25 + 4 * self.sigma


@dataclass(frozen=True, kw_only=True)
class Ring(Plane):
    """``modes`` Gaussians on a circle of ``radius``."""

    modes: Count
    radius: Positive

    @property
    def centres(self) -> np.ndarray:
        angles = 2 * math.pi * np.arange(self.modes) / self.modes
        return self.radius * np.stack([np.cos(angles), np.sin(angles)], 1)


@dataclass(frozen=True, kw_only=True)
class Grid(Plane):
    """``side`` x ``side`` Gaussians, ``spacing`` apart, around the origin."""

    side: Count
    spacing: Positive

    @property
    def centres(self) -> np.ndarray:
        axis = (np.arange(self.side) - (self.side - 1) / 2) * self.spacing
        return np.stack(np.meshgrid(axis, axis), -1).reshape(-1, 2)
