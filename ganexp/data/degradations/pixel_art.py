"""Pixel art: blocks of one colour each, of few levels; a network makes a photo of it, or the reverse."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, interpolate

from ganexp.config.ranges import Factor
from ganexp.data.degradations.degradation import Degradation, Pair, reflected
from ganexp.errors import UserError


@dataclass(eq=False, repr=False, kw_only=True)
class PixelArt(Degradation):
    """[N, C, H, W] to the same shape: the mean of each block, rounded to ``colours`` levels of each channel.

    The levels are equally far from each other, from -1 to 1. ``reverse``: images are the sources, and their
    pixel art is the target.
    """

    BASELINE: ClassVar[str] = "source"

    block: Factor
    colours: Factor
    reverse: bool

    def __post_init__(self) -> None:
        super().__post_init__()
        _, *sides = self.source_shape
        if any(side % self.block for side in sides):
            size = " x ".join(map(str, sides))
            raise UserError(
                f"degrade.block={self.block} does not divide images of {size} pixels: take a divisor"
            )

    @property
    def about(self) -> str:
        art = f"pixel art in blocks of {self.block} pixels with {self.colours} levels of each channel"
        return f"images, for their {art}" if self.reverse else art

    @property
    def changes_target(self) -> bool:
        return self.reverse

    def forward(self, x: Tensor, rng: torch.Generator | None = None) -> Tensor:
        return x if self.reverse else self.art(x)

    def art(self, x: Tensor) -> Tensor:
        """The pixel art of images [N, C, H, W]; that of pixel art is itself. Blocks at the end may be cut."""
        steps = self.colours - 1
        height, width = x.shape[2:]
        whole = reflected(x, -height % self.block, -width % self.block)
        levels = ((avg_pool2d(whole, self.block) + 1) / 2 * steps).round()
        art = interpolate(levels / steps * 2 - 1, scale_factor=float(self.block), mode="nearest")
        return art[:, :, :height, :width]

    def pair(self, x: Tensor, source: Tensor | None, rng: torch.Generator | None = None) -> Pair:
        return Pair(x, self.art(x)) if self.reverse else Pair(self.art(x), x)

    def baseline(self, source: Tensor) -> Tensor:
        """The source itself."""
        return source
