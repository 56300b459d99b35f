"""The blocks of residual networks (Gulrajani et al. 2017; Miyato et al. 2018), and the widths of their maps.

    a generator's block       x -> [norm, ReLU, double, conv 3, norm, ReLU, conv 3] + [double, conv 1]
    a discriminator's block   x -> [ReLU, conv 3, ReLU, conv 3, halve] + [conv 1, halve]

Halving is the mean of 2 x 2 points. A discriminator's first block has no ReLU before its first convolution. A
block that changes neither size nor channels has the identity as its shortcut.
"""

from typing import Literal

from torch import Tensor, nn

from ganexp.config.ranges import ImageNorm, Shape
from ganexp.nets.conditional_norm import ConditionalSequential, norm_layer
from ganexp.nets.convolutions import ResizeConv
from ganexp.nets.layers import IMAGE_NORMS, doublings

SMALLEST = 4
"""The side of a generator's first map."""


class GeneratorBlock(nn.Module):
    """Maps [N, C, H, W] to [N, D, 2H, 2W]; ``classes`` > 0: its norms are conditional."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        norm: ImageNorm,
        upsample: Literal["nearest", "bilinear"],
        classes: int,
    ) -> None:
        super().__init__()
        self.branch = ConditionalSequential(
            norm_layer(IMAGE_NORMS, norm, inputs, classes),
            nn.ReLU(),
            _doubling(inputs, outputs, upsample),
            norm_layer(IMAGE_NORMS, norm, outputs, classes),
            nn.ReLU(),
            nn.Conv2d(outputs, outputs, 3, padding=1),
        )
        # A convolution of kernel 1 may come before the doubling, which costs a quarter, because they commute.
        self.shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1), nn.Upsample(scale_factor=2, mode=upsample))

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        maps: Tensor = self.branch(x, y) + self.shortcut(x)
        return maps


class DiscriminatorBlock(nn.Module):
    """Maps [N, C, H, W] to [N, D, H, W], or to [N, D, H / 2, W / 2] if ``halved``; ``first``: takes images."""

    def __init__(self, inputs: int, hidden: int, outputs: int, *, halved: bool, first: bool = False) -> None:
        super().__init__()
        pool = [nn.AvgPool2d(2)] if halved else []
        self.branch = nn.Sequential(
            *([] if first else [nn.ReLU()]),
            nn.Conv2d(inputs, hidden, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(hidden, outputs, 3, padding=1),
            *pool,
        )
        same = inputs == outputs and not halved
        # Halving first costs a quarter and gives the same, because they commute.
        self.shortcut = nn.Sequential() if same else nn.Sequential(*pool, nn.Conv2d(inputs, outputs, 1))

    def forward(self, x: Tensor) -> Tensor:
        maps: Tensor = self.branch(x) + self.shortcut(x)
        return maps


def _doubling(inputs: int, outputs: int, upsample: Literal["nearest", "bilinear"]) -> nn.Module:
    if upsample == "nearest":
        return ResizeConv(inputs, outputs, bias=True)
    bilinear = nn.Upsample(scale_factor=2, mode="bilinear")
    return nn.Sequential(bilinear, nn.Conv2d(inputs, outputs, 3, padding=1))


def generator_channels(arch: str, shape: Shape, width: int, max_width: int) -> list[int]:
    """The channels of a generator's maps, from the one of side 4 to the one of the image's side.

    Raises UserError for what the networks ``arch`` cannot make: sides that are no powers of two from 8 on.
    """
    levels = range(doublings(arch, shape, SMALLEST) + 1)
    return [min(width * 2**level, max_width) for level in levels][::-1]
