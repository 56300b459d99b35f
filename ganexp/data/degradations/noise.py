"""Noisy images, to be denoised (Zhang et al. 2017, DnCNN): Gaussian noise, clipped and rounded to 8 bits."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ganexp.config.ranges import NonNegative
from ganexp.data.degradations.degradation import Degradation, normal, uniform
from ganexp.data.degradations.filters import in_8_bits
from ganexp.errors import UserError


@dataclass(eq=False, repr=False, kw_only=True)
class Noise(Degradation):
    """[N, C, H, W] to the same shape: x + sigma n, with sigma between ``low`` and ``high`` for each image.

    Both are in 8-bit units, as in papers: 255 is from black to white.
    """

    BASELINE: ClassVar[str] = "source"

    low: NonNegative
    high: NonNegative

    def __post_init__(self) -> None:
        super().__post_init__()
        check_order(self.low, self.high)

    @property
    def about(self) -> str:
        return f"images with Gaussian noise of standard deviation {self.low:g} to {self.high:g} of 255"

    def forward(self, x: Tensor, rng: torch.Generator | None = None) -> Tensor:
        sigma = self.low + (self.high - self.low) * uniform(x, rng, len(x), 1, 1, 1)
        return in_8_bits(x + sigma / 127.5 * normal(x, rng, *x.shape))

    def baseline(self, source: Tensor) -> Tensor:
        """The noisy image itself."""
        return source


def check_order(low: float, high: float) -> None:
    """Raises UserError where the range from ``low`` to ``high`` is empty."""
    if low > high:
        raise UserError(f"degrade.low={low:g} is more than degrade.high={high:g}: exchange them")
