"""Blurred images, to be sharpened: a Gaussian kernel, rounded to 8 bits."""

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ganexp.config.ranges import NonNegative
from ganexp.data.degradations.degradation import Degradation, uniform
from ganexp.data.degradations.filters import gaussian_blur, in_8_bits
from ganexp.data.degradations.noise import check_order
from ganexp.errors import UserError


@dataclass(eq=False, repr=False, kw_only=True)
class Blur(Degradation):
    """[N, C, H, W] to the same shape, with a sigma between ``low`` and ``high`` pixels for each image.

    The kernel reaches three times ``high``; the border is reflected.
    """

    BASELINE: ClassVar[str] = "source"

    low: NonNegative
    high: NonNegative

    def __post_init__(self) -> None:
        super().__post_init__()
        check_order(self.low, self.high)
        side = min(self.source_shape[1:])
        if self._radius >= side:
            raise UserError(f"degrade.high={self.high:g}: three times that exceeds the image's {side} pixels")

    @property
    def _radius(self) -> int:
        return math.ceil(3 * self.high)

    @property
    def about(self) -> str:
        return f"images blurred by a Gaussian of {self.low:g} to {self.high:g} pixels, in 8 bits"

    def forward(self, x: Tensor, rng: torch.Generator | None = None) -> Tensor:
        sigma = self.low + (self.high - self.low) * uniform(x, rng, len(x))
        return in_8_bits(gaussian_blur(x, sigma, self._radius))

    def baseline(self, source: Tensor) -> Tensor:
        """The blurred image itself."""
        return source
