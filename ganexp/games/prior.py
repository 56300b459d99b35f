"""The distribution of latents."""

import math
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from ganexp.config.ranges import Noise


class Moments(NamedTuple):
    """Mean and standard deviation of each number of a latent: [size] float32."""

    mean: Tensor
    deviation: Tensor


class Prior(Protocol):
    """A latent distribution: a call draws z [count, size]."""

    @property
    def size(self) -> int:
        """Dimensions of a latent."""
        ...

    @property
    def noise_size(self) -> int:
        """How many of them are noise; those are the first ones. The others are codes."""
        ...

    @property
    def noise(self) -> Noise:
        """The distribution of the noise."""
        ...

    def __call__(
        self, count: int, *, generator: torch.Generator | None = None, device: torch.device | None = None
    ) -> Tensor: ...

    def moments(self) -> Moments:
        """Mean and deviation of each number."""
        ...


@dataclass(frozen=True)
class LatentPrior:
    """z [N, size]: N(0, I) if ``noise`` is normal; each number from U[-1, 1) if it is uniform."""

    size: int
    noise: Noise

    @property
    def noise_size(self) -> int:
        """All of z."""
        return self.size

    def __call__(
        self, count: int, *, generator: torch.Generator | None = None, device: torch.device | None = None
    ) -> Tensor:
        if self.noise == "normal":
            return torch.randn(count, self.size, generator=generator, device=device)
        return 2 * torch.rand(count, self.size, generator=generator, device=device) - 1

    def moments(self) -> Moments:
        deviation = 1.0 if self.noise == "normal" else 3**-0.5
        return Moments(torch.zeros(self.size), torch.full((self.size,), deviation))


def truncated_noise(prior: Prior, z: Tensor, threshold: float) -> Tensor:
    """Latents z [N, size] of a prior as latents of the truncated one: |z_i| <= ``threshold`` of all noise.

    The truncation trick of Brock et al. 2019 (BigGAN, section 3.1), where numbers beyond the threshold are
    drawn again. Here each number keeps its quantile, which gives the same distribution: of the normal one,

        z' = F^-1(F(-t) + (F(t) - F(-t)) F(z)),     F the normal distribution function.

    So samples of one seed change gradually with the threshold. Codes stay as they are. 0 makes all noise 0.
    """
    noise, codes = z[:, : prior.noise_size], z[:, prior.noise_size :]
    if prior.noise == "uniform":
        return torch.cat([noise * min(threshold, 1.0), codes], 1)
    # the lower half only, as F(-x) = erfc(x / sqrt(2)) / 2: near 1, F has fewer digits than near 0
    lowest = math.erfc(threshold / 2**0.5) / 2
    quantiles = lowest + (1 - 2 * lowest) * torch.special.erfc(noise.double().abs() / 2**0.5) / 2
    kept = -torch.special.ndtri(quantiles) * noise.sign()
    return torch.cat([kept.clamp(-threshold, threshold).to(z.dtype), codes], 1)
