"""Images of low resolution, to be enlarged: bicubic with antialiasing, rounded to 8 bits.

The kernel is that of Pillow's ``BICUBIC`` (Keys 1981, a = -0.5, widened by the factor). A network that learns
from it is wrong about images that were made smaller in another way, such as by leaving out pixels.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from ganexp.config.ranges import Factor
from ganexp.data.degradations.degradation import Degradation
from ganexp.data.degradations.filters import in_8_bits


@dataclass(eq=False, repr=False, kw_only=True)
class LowResolution(Degradation):
    """[N, C, H, W] to [N, C, H / factor, W / factor]."""

    BASELINE: ClassVar[str] = "bicubic"

    factor: Factor

    @property
    def about(self) -> str:
        return f"1/{self.factor} of the resolution, by Pillow's bicubic kernel with antialiasing, in 8 bits"

    def forward(self, x: Tensor, rng: torch.Generator | None = None) -> Tensor:
        size = [side // self.factor for side in x.shape[2:]]
        return in_8_bits(interpolate(x.contiguous(), size=size, mode="bicubic", antialias=True))

    def baseline(self, source: Tensor) -> Tensor:
        """Bicubic enlargement."""
        size = [side * self.factor for side in source.shape[2:]]
        return interpolate(source.contiguous(), size=size, mode="bicubic", antialias=True).clamp(-1, 1)
