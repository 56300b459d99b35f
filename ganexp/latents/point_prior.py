"""Where the points of a latent space lie: what an inversion searches in, is pulled to, and does not leave.

An inversion computes in units: u = (p - mean) / deviation for each number of a point p. So one learning rate
fits all spaces. For the noise of z, which has n numbers,

    penalty(u) = (|u| / sqrt(n) - 1)^2

because nearly all points of many independent numbers lie near a sphere. For w, whose numbers are not
independent, it is the mean of u^2: w near its mean (Abdal et al. 2019 and Zhu et al. 2020 have such terms).
Outside of where the prior has points, images can be near to a target while edits of them fail.
"""

import math

import torch
from torch import Tensor

from ganexp.latents.latent_space import LatentSpace

_LEAST = 1e-3
"""Of the largest deviation: numbers that hardly differ between points would have units that mean nothing."""


_SMALLEST = 1e-8
"""Where all points are equal, as w of a collapsed generator, units are still numbers."""


class PointPrior:
    """The points of a space in units. Tensors are on the space's device.

    ``clamp``: the noise, or w, stays within so many deviations of its mean; None: without a bound, except that
    of a uniform prior. Codes stay in [-1, 1].
    """

    def __init__(self, space: LatentSpace, clamp: float | None) -> None:
        moments = space.moments()
        least = max(_LEAST * float(moments.deviation.max()), _SMALLEST)
        deviation = moments.deviation.clamp_min(least)
        self.mean, self.deviation = moments.mean.to(space.device), deviation.to(space.device)
        self._noise_size, self._isotropic = space.noise_size, space.isotropic
        reach = deviation * (float("inf") if clamp is None else clamp)
        low, high = moments.mean - reach, moments.mean + reach
        bounded = torch.arange(space.size) >= (0 if space.is_bounded else space.noise_size)
        low, high = (torch.where(bounded, end.clamp(-1, 1), end) for end in (low, high))
        low[space.noise_size :], high[space.noise_size :] = -1, 1
        self._low, self._high = self.units(low.to(space.device)), self.units(high.to(space.device))

    def units(self, points: Tensor) -> Tensor:
        """Points [..., size] in units."""
        return (points - self.mean) / self.deviation

    def points(self, units: Tensor) -> Tensor:
        """The points [..., size] of units."""
        return self.mean + self.deviation * units

    def clamped(self, units: Tensor) -> Tensor:
        """Units [..., size], each number within its bounds."""
        return units.clamp(self._low, self._high)

    def penalty(self, units: Tensor) -> Tensor:
        """How far points [N, size] or [N, layers, size] are from where the prior has points: [N]."""
        typical = 1 if self._isotropic else 0
        return (self.radius(units) - typical).square()

    def radius(self, units: Tensor) -> Tensor:
        """The distance of points [N, ..., size] from the mean, in units of a typical one: [N]."""
        noise = units[..., : self._noise_size].flatten(1)
        length: Tensor = torch.linalg.vector_norm(noise, dim=1)
        return length / math.sqrt(noise.shape[1])
