"""The distribution of latents."""

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from ganexp.config.ranges import Noise


class Prior(Protocol):
    """A latent distribution: a call draws z [count, size]."""

    @property
    def size(self) -> int:
        """Dimensions of a latent."""
        ...

    def __call__(
        self, count: int, *, generator: torch.Generator | None = None, device: torch.device | None = None
    ) -> Tensor: ...


@dataclass(frozen=True)
class LatentPrior:
    """z [N, size]: N(0, I) if ``noise`` is normal; each number from U[-1, 1) if it is uniform."""

    size: int
    noise: Noise

    def __call__(
        self, count: int, *, generator: torch.Generator | None = None, device: torch.device | None = None
    ) -> Tensor:
        if self.noise == "normal":
            return torch.randn(count, self.size, generator=generator, device=device)
        return 2 * torch.rand(count, self.size, generator=generator, device=device) - 1
