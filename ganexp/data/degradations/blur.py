"""Blurred images, to be sharpened: a Gaussian kernel, rounded to 8 bits."""

from dataclasses import dataclass

import torch
from torch import Tensor

from ganexp.data.degradations.filters import check_radius, gaussian_blur, in_8_bits, kernel_radius
from ganexp.data.degradations.random_strength import RandomStrength


@dataclass(eq=False, repr=False, kw_only=True)
class Blur(RandomStrength):
    """[N, C, H, W] to the same shape, with a sigma between ``low`` and ``high`` pixels for each image.

    The kernel reaches three times ``high``; the border is reflected.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        check_radius("degrade.high", self.high, self.source_shape)

    @property
    def about(self) -> str:
        return f"images blurred by a Gaussian of {self.low:g} to {self.high:g} pixels, in 8 bits"

    def forward(self, x: Tensor, rng: torch.Generator | None = None) -> Tensor:
        return in_8_bits(gaussian_blur(x, self.strength(x, rng, len(x)), kernel_radius(self.high)))
