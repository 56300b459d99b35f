r"""Progressive growing: Karras et al. 2018, section 2 and appendix A, from 4 x 4 pixels to those of the data.

For 32 x 32 pixels, with the widths of the paper (``width_base`` 8192, ``max_width`` 512):

    generator                                         discriminator
    z / RMS(z)          512                           from RGB          512 x 32 x 32
    dense               512 x  4 x  4   level 0       conv 3, conv 3    512 x 32 x 32, halved    level 3
    conv 3              512 x  4 x  4                 conv 3, conv 3    512 x 16 x 16, halved          2
    doubled, 2 conv 3   512 x  8 x  8         1       conv 3, conv 3    512 x  8 x  8, halved          1
    doubled, 2 conv 3   512 x 16 x 16         2       deviation         513 x  4 x  4                  0
    doubled, 2 conv 3   512 x 32 x 32         3       conv 3            512 x  4 x  4
    to RGB                3 x 32 x 32                 dense             512
                                                      dense, logit

At a side of 2^r a map has min(width_base / 2^(r - 1), max_width) channels. Every layer is equalised. A leaky
ReLU of slope 0.2 follows it, and pixel norm in the generator; those to RGB and the logit are linear. Doubling
repeats points, halving takes the mean of 2 x 2. To and from RGB are convolutions of kernel 1, one for each
level.

Samples have the data's size at every level: below it, the generator repeats pixels at its end and the
discriminator averages them at its beginning, so that a level costs what its maps cost. While a level is faded
in (``growth.py``), the generator mixes its image with the one of the level below, doubled. The discriminator
mixes the halved map with the one that the level below makes of the halved image.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from ganexp.config.ranges import Count, CriticCondition, Shape, Whole
from ganexp.errors import UserError
from ganexp.nets.convolutions import doubled_and_convolved
from ganexp.nets.deviation import MinibatchDeviation
from ganexp.nets.equalised import EqualisedConv2d, EqualisedHead, EqualisedLinear, PixelNorm
from ganexp.nets.growth import Growth
from ganexp.nets.heads import HeadWithOutputs, ProjectionHead
from ganexp.nets.layers import DiscriminatorBase, GeneratorBase, LeakyReLU, label_vectors, with_label_maps

_HE = 2**0.5  # gain of a layer with a ReLU behind it: He et al. 2015
_SLOPE = 0.2


class DoublingConv(EqualisedConv2d):
    """[N, C, H, W] to [N, D, 2H, 2W]: nearest neighbours, then a convolution of kernel 3."""

    def forward(self, x: Tensor) -> Tensor:
        return doubled_and_convolved(x, self.weight * self.factor, self.bias)


class Generator(GeneratorBase):
    """Latents [N, latent] and, if ``classes``, labels to images [N, C, H, W].

    Their range is not bounded; where images are drawn or saved, they are clipped to [-1, 1]. Labels are joined
    to the latents before these are divided by their root mean square.
    """

    TRAITS: ClassVar[tuple[str, ...]] = ("equalised", "grows")

    normalises_latents = True

    def __init__(
        self,
        shape: Shape,
        latent: Count,
        classes: Whole,
        condition: Literal["joined"],
        width_base: Count,
        max_width: Count,
        first: Literal[4, 8, 16],
        fade_images: Whole,
        stable_images: Whole,
    ) -> None:
        super().__init__()
        self.latent, self.classes, self.side, self.first_side = latent, classes, shape[-1], first
        widths = _widths(shape, first, width_base, max_width)
        self.growth = Growth(len(widths), fade_images, stable_images)
        self.norm, self.activation = PixelNorm(), nn.Sequential(LeakyReLU(_SLOPE), PixelNorm())
        inputs = latent + classes
        # A dense layer with one bias for each channel, as in the authors' program. A quarter of the usual gain.
        self.dense = EqualisedConv2d(inputs, widths[0] * first**2, 1, gain=_HE / 4, bias=False)
        self.bias = nn.Parameter(torch.zeros(widths[0], 1, 1))
        self.first = EqualisedConv2d(widths[0], widths[0], 3, gain=_HE)
        self.blocks = nn.ModuleList(self._block(below, width) for below, width in pairwise(widths))
        self.to_image = nn.ModuleList(EqualisedConv2d(width, shape[0], 1) for width in widths)

    def _block(self, below: int, width: int) -> nn.Module:
        double, conv = DoublingConv(below, width, 3, gain=_HE), EqualisedConv2d(width, width, 3, gain=_HE)
        return nn.Sequential(double, self.activation, conv, self.activation)

    def forward(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        level, fading = self.growth.stage
        if self.classes:
            z = torch.cat([z, label_vectors(y, self.classes)], 1)
        maps = self.dense(self.norm(z)[:, :, None, None]).flatten(1)
        maps = maps.unflatten(1, (-1, self.first_side, self.first_side))
        maps = self.activation(self.first(self.activation(maps + self.bias)))
        below = maps
        for block in self.blocks[:level]:
            below, maps = maps, block(maps)
        images: Tensor = self.to_image[level](maps)
        if fading:
            smaller = self.to_image[level - 1](below)
            images = self.growth.mix(functional.interpolate(smaller, scale_factor=2), images)
        return images if images.shape[-1] == self.side else functional.interpolate(images, self.side)


class Discriminator(DiscriminatorBase):
    """Images [N, C, H, W] and, if ``classes``, labels to logits [N], or [N, 1 + outputs].

    ``group``: samples of which the deviation is taken, which must divide N; None: no deviation. ``joined``
    labels are further channels of the image.
    """

    TRAITS: ClassVar[tuple[str, ...]] = ("equalised", "grows")

    BATCH_UNIT: ClassVar[str | None] = "group"

    def __init__(
        self,
        shape: Shape,
        classes: Whole,
        condition: CriticCondition,
        outputs: Whole,
        width_base: Count,
        max_width: Count,
        group: Count | None,
        first: Literal[4, 8, 16],
        fade_images: Whole,
        stable_images: Whole,
    ) -> None:
        super().__init__()
        self.classes = 0 if condition == "none" else classes
        self.joined = classes if condition == "joined" else 0
        self.outputs, self.first_side = outputs, first
        self.samplewise = group is None
        widths = _widths(shape, first, width_base, max_width)
        self.growth = Growth(len(widths), fade_images, stable_images)
        self.activation = LeakyReLU(_SLOPE)
        channels = shape[0] + self.joined
        self.from_image = nn.ModuleList(EqualisedConv2d(channels, width, 1, gain=_HE) for width in widths)
        self.blocks = nn.ModuleList(self._block(width, below) for below, width in pairwise(widths))
        self.last = nn.Sequential(
            nn.Identity() if group is None else MinibatchDeviation(group),
            EqualisedConv2d(widths[0] + (group is not None), widths[0], 3, gain=_HE),
            self.activation,
            nn.Flatten(),
            EqualisedLinear(widths[0] * first**2, widths[0], gain=_HE),
            self.activation,
        )
        self.head: nn.Module = EqualisedHead(widths[0])
        if self.classes and condition == "projection":
            self.head = ProjectionHead(self.head, widths[0], classes)
        if outputs:
            self.head = HeadWithOutputs(self.head, EqualisedLinear(widths[0], outputs))

    def _block(self, width: int, below: int) -> nn.Module:
        first, second = (EqualisedConv2d(width, made, 3, gain=_HE) for made in (width, below))
        return nn.Sequential(first, self.activation, second, self.activation, nn.AvgPool2d(2))

    def features(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        level, fading = self.growth.stage
        pooled = x.shape[-1] // (self.first_side << level)
        images = functional.avg_pool2d(x, pooled) if pooled > 1 else x
        maps = self._maps(images, y, level)
        if level:
            maps = self.blocks[level - 1](maps)
        if fading:
            smaller = functional.avg_pool2d(images, 2)
            maps = self.growth.mix(self._maps(smaller, y, level - 1), maps)
        for number in range(level - 2, -1, -1):
            maps = self.blocks[number](maps)
        features: Tensor = self.last(maps)
        return features

    def _maps(self, images: Tensor, y: Tensor | None, level: int) -> Tensor:
        """The first map of a level, from images of its size."""
        if self.joined:
            images = with_label_maps(images, y, self.joined)
        maps: Tensor = self.activation(self.from_image[level](images))
        return maps


def _widths(shape: Sequence[int], first: int, base: int, largest: int) -> list[int]:
    """The channels of each level's maps. Raises UserError for images that are not first * 2^k square, k > 0."""
    side = shape[-1]
    if len(shape) != 3 or shape[1] != side:
        size = " x ".join(map(str, shape[1:])) or "points"
        raise UserError(f"arch=progressive makes square images, and this data has {size}; arch=mlp makes any")
    doublings = (side // first).bit_length() - 1
    if side != first << doublings or not doublings:
        fitting = max(2 * first, 1 << (side - 1).bit_length())
        raise UserError(
            f"data.resolution={side}: arch=progressive doubles images from {first} x {first} on; "
            f"choose a power of two, such as data.resolution={fitting}"
        )
    sides = [first << level for level in range(doublings + 1)]
    return [max(1, min(2 * base // size, largest)) for size in sides]
