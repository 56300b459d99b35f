"""SRResNet, the generator of SRGAN (Ledig et al. 2017, figure 4), and its successor without norms.

SRResNet, with k the kernel, n the channels, all strides 1:

    k9n64 PReLU                                     keep
    16 x [k3n64 norm PReLU k3n64 norm, + input]
    k3n64 norm, + kept
    per factor of 2: k3n256, pixel shuffle, PReLU
    k9n(channels), tanh

MSRResNet is the variant of BasicSR: no norms, kernels of 3, LeakyReLU 0.1 outside of the blocks, one more
convolution at the high resolution, and the enlarged source added to the output. Norms cost it accuracy (Lim et
al. 2017, EDSR): the statistics of an image are a part of what is to be restored.
"""

from typing import Literal

from torch import Tensor, nn

from ganexp.config.ranges import Count, ImageNorm, Shape, Whole
from ganexp.nets.enlarging import (
    PixelShuffleUp,
    add_base,
    check_base,
    enlargement,
    initialise_small,
    stages,
)
from ganexp.nets.layers import IMAGE_NORMS


class ResidualBlock(nn.Module):
    """Maps [N, C, H, W] to x + norm(conv(activation(norm(conv(x)))))."""

    def __init__(self, channels: int, norm: str, activation: nn.Module) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1),
            IMAGE_NORMS[norm](channels),
            activation,
            nn.Conv2d(channels, channels, 3, padding=1),
            IMAGE_NORMS[norm](channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        change: Tensor = self.layers(x)
        return x + change


class SRResNet(nn.Module):
    """Sources [N, c, h, w] of any size to images [N, C, s h, s w] in (-1, 1), with s = ``scale``.

    ``multiple``: what the sides of a source are multiples of. Raises UserError for an s with other primes than
    2 and 3.
    """

    multiple = 1

    def __init__(
        self, source_shape: Shape, output_shape: Shape, width: Count, blocks: Whole, norm: ImageNorm
    ) -> None:
        super().__init__()
        self.scale = enlargement(source_shape, output_shape)
        self.first = nn.Sequential(nn.Conv2d(source_shape[0], width, 9, padding=4), nn.PReLU())
        self.blocks = nn.Sequential(*(ResidualBlock(width, norm, nn.PReLU()) for _ in range(blocks)))
        self.joined = nn.Sequential(nn.Conv2d(width, width, 3, padding=1), IMAGE_NORMS[norm](width))
        self.up = nn.Sequential()
        for factor in stages(self.scale):
            self.up.extend([PixelShuffleUp(width, factor), nn.PReLU()])
        self.last = nn.Sequential(nn.Conv2d(width, output_shape[0], 9, padding=4), nn.Tanh())

    def forward(self, source: Tensor) -> Tensor:
        kept = self.first(source)
        images: Tensor = self.last(self.up(kept + self.joined(self.blocks(kept))))
        return images


class MSRResNet(nn.Module):
    """Sources [N, c, h, w] of any size to images [N, C, s h, s w], with s = ``scale``.

    The images are meant to be in [-1, 1] but have no bounds: no tanh whose gradient vanishes near black and
    white. ``base`` is added to what the network gives, so that it learns the difference only; its initial
    difference is close to zero. Raises UserError as ``SRResNet``, and for a base of other channels.
    """

    multiple = 1

    def __init__(
        self,
        source_shape: Shape,
        output_shape: Shape,
        width: Count,
        blocks: Whole,
        norm: ImageNorm,
        base: Literal["none", "bilinear", "bicubic"],
    ) -> None:
        super().__init__()
        check_base(base, source_shape, output_shape)
        self.scale, self.base = enlargement(source_shape, output_shape), base
        self.first = nn.Sequential(nn.Conv2d(source_shape[0], width, 3, padding=1), nn.LeakyReLU(0.1))
        self.blocks = nn.Sequential(*(ResidualBlock(width, norm, nn.ReLU()) for _ in range(blocks)))
        self.up = nn.Sequential()
        for factor in stages(self.scale):
            self.up.extend([PixelShuffleUp(width, factor), nn.LeakyReLU(0.1)])
        self.last = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1),
            nn.LeakyReLU(0.1),
            nn.Conv2d(width, output_shape[0], 3, padding=1),
        )
        initialise_small(self.blocks)
        initialise_small(self.last[-1])

    def forward(self, source: Tensor) -> Tensor:
        difference = self.last(self.up(self.blocks(self.first(source))))
        return add_base(difference, source, self.base, self.scale)
