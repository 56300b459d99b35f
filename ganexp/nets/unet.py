"""The U-Net of pix2pix (Isola et al. 2017, appendix 6.1.1): images to images, with a skip at each resolution.

For 256 x 256 pixels and a width of 64, with C(k) a convolution and T(k) a transposed one to k channels, both of
kernel 4, stride 2 and padding 1:

    C64 C128 C256 C512 C512 C512 C512 C512             LeakyReLU 0.2 before each but the first, norm after each
    T512 T512 T512 T512 T256 T128 T64 T(channels)      ReLU before each, norm after each; tanh last

but for the norms of the first, the innermost and the last convolution: the innermost map is 1 x 1, which an
instance norm would set to zero. Each T but the first is given the output of the C of its resolution too.
Dropout follows the norms of the widest maps: it is the paper's only noise. Smaller images have fewer levels.
"""

from collections.abc import Sequence
from math import gcd

import torch
from torch import Tensor, nn
from torch.nn import functional

from ganexp.config.ranges import Count, Fraction, ImageNorm, Shape, Upsample
from ganexp.errors import UserError
from ganexp.nets.convolutions import UPSAMPLES, ConvDown2x
from ganexp.nets.enlarging import enlargement
from ganexp.nets.layers import IMAGE_NORMS, initialise_normal

_MAX_LEVELS = 8


class UNet(nn.Module):
    """Sources [N, c, h, w] to [N, C, H, W] in [-1, 1]; smaller sources are enlarged first.

    ``multiple``: what the sides of a source are multiples of; apart from that they may be any. ``scale``: how
    many times the output is larger.
    """

    def __init__(
        self,
        source_shape: Shape,
        output_shape: Shape,
        width: Count,
        max_width: Count,
        norm: ImageNorm,
        upsample: Upsample,
        dropout: Fraction,
    ) -> None:
        super().__init__()
        self.scale = enlargement(source_shape, output_shape)
        levels = _levels(output_shape)
        self.multiple = 2**levels // gcd(2**levels, self.scale)
        channels = [min(width * 2**level, max_width) for level in range(levels)]
        up2x, bias, last = UPSAMPLES[upsample], norm != "batch", levels - 1
        self.down, self.up = nn.ModuleList(), nn.ModuleList()
        for level, outputs in enumerate(channels):
            down: list[nn.Module] = [] if level == 0 else [nn.LeakyReLU(0.2)]
            down.append(ConvDown2x(channels[level - 1] if level else source_shape[0], outputs, bias=bias))
            down += [IMAGE_NORMS[norm](outputs)] if 0 < level < last else []
            self.down.append(nn.Sequential(*down))
            inputs = outputs if level == last else 2 * outputs
            if level == 0:
                self.up.append(nn.Sequential(nn.ReLU(), up2x(inputs, output_shape[0], bias=True), nn.Tanh()))
                continue
            up: list[nn.Module] = [nn.ReLU(), up2x(inputs, channels[level - 1], bias=bias)]
            up.append(IMAGE_NORMS[norm](channels[level - 1]))
            widest = channels[level - 1] == channels[level] == channels[last] and level < last
            up += [nn.Dropout(dropout)] if dropout and widest else []
            self.up.append(nn.Sequential(*up))
        self.apply(initialise_normal)

    def forward(self, source: Tensor) -> Tensor:
        x = source if self.scale == 1 else functional.interpolate(source, scale_factor=float(self.scale))
        maps: list[Tensor] = []
        for down in self.down:
            x = down(x)
            maps.append(x)
        x = self.up[-1](x)
        for up, skipped in zip(reversed(self.up[:-1]), reversed(maps[:-1]), strict=True):
            x = up(torch.cat([skipped, x], 1))
        images: Tensor = x
        return images


def _levels(output_shape: Sequence[int]) -> int:
    """How often both sides can be halved, at most 8 times. Raises UserError for fewer than 2."""
    side = gcd(*output_shape[1:])
    levels = min(_MAX_LEVELS, (side & -side).bit_length() - 1)
    if levels < 2:
        raise UserError(f"data.resolution={output_shape[1]}: arch=unet makes sides that are multiples of 4")
    return levels
