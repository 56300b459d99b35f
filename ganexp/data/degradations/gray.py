"""Grey images, to be coloured (Zhang et al. 2016): the network is given L of Lab, and gives a and b.

The lightness of the result is that of the source, whatever the network does.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ganexp.data.degradations.cielab import lab_to_rgb, rgb_to_lab
from ganexp.data.degradations.degradation import Degradation
from ganexp.errors import UserError

_CHROMA = 110.0
"""The scale of a and b; no colour of sRGB is beyond it."""


@dataclass(eq=False, repr=False, kw_only=True)
class Gray(Degradation):
    """RGB to L / 50 - 1 [N, 1, H, W]; a network gives a / 110 and b / 110 [N, 2, H, W]."""

    BASELINE: ClassVar[str] = "grey"

    @property
    def about(self) -> str:
        return "the lightness of Lab, from which a and b are predicted"

    def forward(self, x: Tensor, rng: torch.Generator | None = None) -> Tensor:
        if x.shape[1] != 3:
            raise UserError(f"degrade=gray needs images in colour, and these have {x.shape[1]} channel")
        return rgb_to_lab(x)[:, :1] / 50 - 1

    def restore(self, output: Tensor, source: Tensor) -> Tensor:
        return lab_to_rgb(torch.cat([(source + 1) * 50, output * _CHROMA], 1))

    def shown(self, source: Tensor) -> Tensor:
        return self.baseline(source)

    def baseline(self, source: Tensor) -> Tensor:
        """Grey in all three channels."""
        return self.restore(source.new_zeros(len(source), 2, *source.shape[2:]), source)

    @property
    def file_channels(self) -> int:
        return 3

    def from_image(self, image: Tensor, mask: Tensor | None = None) -> Tensor:
        image = super().from_image(image, mask)
        return self.forward(image if image.shape[1] == 3 else image.expand(-1, 3, -1, -1))
