"""The generator of ESRGAN (Wang et al. 2018, section 3.1): residual-in-residual dense blocks without norms.

    k3n64                                           keep
    23 x RRDB: x + 0.2 * (three dense blocks of x)
    k3n64, + kept
    per factor of 2: nearest neighbours, k3n64 LeakyReLU
    k3n64 LeakyReLU, k3n(channels)

A dense block gives each of its five convolutions the block's input and the outputs of those before it; the
first four have ``growth`` channels, the last has the block's, and 0.2 times it is added to the input.
"""

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import leaky_relu

from ganexp.config.ranges import Count, Shape, Whole
from ganexp.nets.enlarging import NearestUp, add_base, check_base, enlargement, initialise_small, stages

_RESIDUAL = 0.2
_SLOPE = 0.2
_CONVOLUTIONS = 5


class DenseBlock(nn.Module):
    """Maps [N, C, H, W] to x + 0.2 * (five densely connected convolutions of x)."""

    def __init__(self, channels: int, growth: int) -> None:
        super().__init__()
        inputs = [channels + growth * level for level in range(_CONVOLUTIONS)]
        outputs = [growth] * (_CONVOLUTIONS - 1) + [channels]
        self.convolutions = nn.ModuleList(
            nn.Conv2d(taken, given, 3, padding=1) for taken, given in zip(inputs, outputs, strict=True)
        )

    def forward(self, x: Tensor) -> Tensor:
        maps = x
        for convolution in self.convolutions[:-1]:
            maps = torch.cat([maps, leaky_relu(convolution(maps), _SLOPE)], 1)
        change: Tensor = self.convolutions[-1](maps)
        return x + _RESIDUAL * change


class RRDB(nn.Module):
    """Maps [N, C, H, W] to x + 0.2 * (three dense blocks of x).

    As in the authors' program, what the dense blocks give has x in it: with zero weights it is 1.2 x.
    """

    def __init__(self, channels: int, growth: int) -> None:
        super().__init__()
        self.blocks = nn.Sequential(*(DenseBlock(channels, growth) for _ in range(3)))

    def forward(self, x: Tensor) -> Tensor:
        change: Tensor = self.blocks(x)
        return x + _RESIDUAL * change


class RRDBNet(nn.Module):
    """Sources [N, c, h, w] of any size to images [N, C, s h, s w], with s = ``scale``.

    The images are meant to be in [-1, 1] but have no bounds: there is no tanh. ``multiple``: what the sides of
    a source are multiples of. ``base`` is added to what the network gives. Raises UserError for an s with other
    primes than 2 and 3, and for a base of other channels.
    """

    multiple = 1

    def __init__(
        self,
        source_shape: Shape,
        output_shape: Shape,
        width: Count,
        growth: Count,
        blocks: Whole,
        base: Literal["none", "bilinear", "bicubic"],
    ) -> None:
        super().__init__()
        check_base(base, source_shape, output_shape)
        self.scale, self.base = enlargement(source_shape, output_shape), base
        self.first = nn.Conv2d(source_shape[0], width, 3, padding=1)
        self.blocks = nn.Sequential(*(RRDB(width, growth) for _ in range(blocks)))
        self.joined = nn.Conv2d(width, width, 3, padding=1)
        self.up = nn.Sequential()
        for factor in stages(self.scale):
            self.up.extend([NearestUp(width, factor), nn.LeakyReLU(_SLOPE)])
        self.last = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1),
            nn.LeakyReLU(_SLOPE),
            nn.Conv2d(width, output_shape[0], 3, padding=1),
        )
        initialise_small(self.blocks)
        if base != "none":
            initialise_small(self.last[-1])

    def forward(self, source: Tensor) -> Tensor:
        kept = self.first(source)
        difference = self.last(self.up(kept + self.joined(self.blocks(kept))))
        return add_base(difference, source, self.base, self.scale)
