"""The networks of StarGAN: Choi et al. 2018, appendix 7.3; yunjey/stargan.

With k the kernel and n the channels, for a width of 64 and images of 128 pixels:

    generator        the image and a constant map for each number of the label
                     k7n64     k4n128 stride 2     k4n256 stride 2
                     6 x [k3n256 norm ReLU k3n256 norm, + input]
                     k4n128 doubling     k4n64 doubling     k7n(channels), tanh
    discriminator    k4n64, n128, n256, n512, n1024, n2048, each of stride 2 with LeakyReLU 0.01
                     k3n1: a logit for each patch, and k2n(classes), which sees the whole map

Each convolution of the generator but the last has an instance norm with gain and bias, and ReLU.

Padding is with zeros on purpose. A norm over the whole map subtracts what is constant in it, and with reflected
borders that would be all that the first convolution makes of a label: nothing of it would be left. Zeros make
its maps different at the border, which later layers carry inwards.
"""

from itertools import pairwise

import torch
from torch import Tensor, nn

from ganexp.config.ranges import Count, ImageNorm, Shape, Upsample
from ganexp.errors import UserError
from ganexp.nets.layers import DiscriminatorBase, LeakyReLU, norm_of, with_label_maps
from ganexp.nets.resnet_translator import ResidualBlock

_SMALLEST = 2
"""The side of the discriminator's last map, unless its layers are given."""


class Generator(nn.Module):
    """Sources [N, c, h, w] and labels ([N] int64, or [N, classes]) to images [N, C, h, w] in [-1, 1].

    ``upsample``: ``transposed``, as the paper, or ``nearest``: repeated pixels before a convolution of kernel
    3, which avoids checkerboards (Odena et al. 2016). Raises UserError where the sides of source and output
    differ, are no multiples of 4, or are below 8.
    """

    multiple, scale, smallest = 4, 1, 8

    def __init__(
        self,
        source_shape: Shape,
        output_shape: Shape,
        classes: Count,
        width: Count,
        blocks: Count,
        norm: ImageNorm,
        upsample: Upsample,
    ) -> None:
        super().__init__()
        sides = source_shape[1:]
        if sides != output_shape[1:] or any(side % 4 or side < self.smallest for side in sides):
            raise UserError(
                f"data.resolution={source_shape[1]}: this network keeps the size of its source, of which sides "
                f"are multiples of 4, {self.smallest} at least"
            )
        self.classes = classes
        bias, widths = norm == "none", [width, 2 * width, 4 * width]
        self.layers = nn.Sequential(nn.Conv2d(source_shape[0] + classes, width, 7, padding=3, bias=bias))
        self.layers.extend([norm_of(norm, width, affine=True), nn.ReLU()])
        for inputs, outputs in pairwise(widths):
            self.layers.append(nn.Conv2d(inputs, outputs, 4, 2, 1, bias=bias))
            self.layers.extend([norm_of(norm, outputs, affine=True), nn.ReLU()])
        for _ in range(blocks):
            self.layers.append(ResidualBlock(widths[-1], norm, affine=True, padding="zeros", bias=bias))
        for inputs, outputs in pairwise(reversed(widths)):
            self.layers.extend(_doubling(inputs, outputs, upsample, bias=bias))
            self.layers.extend([norm_of(norm, outputs, affine=True), nn.ReLU()])
        self.layers.extend([nn.Conv2d(width, output_shape[0], 7, padding=3, bias=False), nn.Tanh()])

    def forward(self, source: Tensor, y: Tensor | None = None) -> Tensor:
        images: Tensor = self.layers(with_label_maps(source, y, self.classes))
        return images


def _doubling(inputs: int, outputs: int, upsample: Upsample, *, bias: bool) -> list[nn.Module]:
    """Layers that double a map's sides, without norm and activation."""
    if upsample == "transposed":
        return [nn.ConvTranspose2d(inputs, outputs, 4, 2, 1, bias=bias)]
    return [nn.Upsample(scale_factor=2), nn.Conv2d(inputs, outputs, 3, padding=1, bias=bias)]


class PatchesAndOutputs(nn.Module):
    """Maps [N, C, h, w] to [N, h w + outputs]: the logits of patches, then outputs of the whole map."""

    def __init__(self, channels: int, size: tuple[int, int], outputs: int) -> None:
        super().__init__()
        self.logits = nn.Conv2d(channels, 1, 3, padding=1, bias=False)
        self.outputs = nn.Conv2d(channels, outputs, size, bias=False)

    def forward(self, features: Tensor, y: Tensor | None = None) -> Tensor:
        return torch.cat([self.logits(features).flatten(1), self.outputs(features).flatten(1)], 1)


class Discriminator(DiscriminatorBase):
    """Images [N, C, H, W] to [N, patches + outputs]: the logits of patches, and a logit for each class.

    ``layers``: convolutions of stride 2, each of which doubles the channels; None: as many as leave a map of 2
    pixels on its shorter side, 6 for 128 pixels as in the paper. Raises UserError for more than the image
    allows.
    """

    classes = 0
    samplewise = True

    def __init__(self, shape: Shape, outputs: Count, width: Count, layers: Count | None) -> None:
        super().__init__()
        channels, height, across = shape
        count = (min(height, across) // _SMALLEST).bit_length() - 1 if layers is None else layers
        if count < 1 or not min(height, across) >> count:
            told = "null" if layers is None else layers
            raise UserError(f"arch.discriminator.layers={told}: too many for {height} x {across} pixels")
        self.outputs = outputs
        self.layers = nn.Sequential()
        widths = [width * 2**level for level in range(count)]
        for inputs, wider in pairwise([channels, *widths]):
            self.layers.extend([nn.Conv2d(inputs, wider, 4, 2, 1), LeakyReLU(0.01)])
        self.head = PatchesAndOutputs(widths[-1], (height >> count, across >> count), outputs)

    def features(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        maps: Tensor = self.layers(x)
        return maps
