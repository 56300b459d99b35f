"""Noisy images, to be denoised (Zhang et al. 2017, DnCNN): Gaussian noise, clipped and rounded to 8 bits."""

from dataclasses import dataclass

import torch
from torch import Tensor

from ganexp.data.degradations.degradation import normal
from ganexp.data.degradations.filters import in_8_bits
from ganexp.data.degradations.random_strength import RandomStrength


@dataclass(eq=False, repr=False, kw_only=True)
class Noise(RandomStrength):
    """[N, C, H, W] to the same shape: x + sigma n, with sigma between ``low`` and ``high`` for each image.

    Both are in 8-bit units, as in papers: 255 is from black to white.
    """

    @property
    def about(self) -> str:
        return f"images with Gaussian noise of standard deviation {self.low:g} to {self.high:g} of 255"

    def forward(self, x: Tensor, rng: torch.Generator | None = None) -> Tensor:
        sigma = self.strength(x, rng, len(x), 1, 1, 1)
        return in_8_bits(x + sigma / 127.5 * normal(x, rng, *x.shape))
