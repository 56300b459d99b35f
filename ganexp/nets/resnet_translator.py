"""The residual networks of image-to-image translation.

Sources: Johnson et al. 2016; Zhu et al. 2017 (CycleGAN), appendix 7.2; Park et al. 2020 (CUT).

With k the kernel and n the channels, a norm and ReLU behind each convolution, for a width of 64:

    k7n64     k3n128 stride 2     k3n256 stride 2
    9 x [k3n256 norm ReLU k3n256 norm, + input]           6 for images of 128 pixels and less
    doubling to n128     doubling to n64     k7n(channels), tanh

CycleGAN doubles by transposed convolutions of kernel 3, the fast style transfer of Johnson et al. by repeating
pixels before a convolution, which avoids checkerboards (Odena et al. 2016). CUT filters behind convolutions of
stride 1, where the others have stride 2; here with [1, 3, 3, 1], in the authors' program with [1, 2, 1].
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import ClassVar, Literal

from torch import Tensor, nn

from ganexp.config.ranges import Count, ImageNorm, Padding, Shape
from ganexp.errors import UserError
from ganexp.nets.layers import initialise_normal, norm_of
from ganexp.nets.resample import FilteredDouble, FilteredHalve

_TAPPED_BLOCK = 5
"""CUT compares the features behind the first and the fifth block."""


class ResidualBlock(nn.Module):
    """Maps [N, C, H, W] to x + norm(conv(ReLU(norm(conv(x)))))."""

    def __init__(self, channels: int, norm: str, *, affine: bool, padding: Padding, bias: bool) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1, bias=bias, padding_mode=padding),
            norm_of(norm, channels, affine=affine),
            nn.ReLU(),
            nn.Conv2d(channels, channels, 3, padding=1, bias=bias, padding_mode=padding),
            norm_of(norm, channels, affine=affine),
        )

    def forward(self, x: Tensor) -> Tensor:
        change: Tensor = self.layers(x)
        return x + change


class ResnetTranslator(nn.Module):
    """Sources [N, c, h, w] to images [N, C, h, w] in [-1, 1], whose sides are multiples of 4, 8 at least.

    ``kernel``: of the first and the last convolution, odd. ``affine``: whether norms have a gain and a bias.
    ``feature_channels``: the channels of the maps that ``encode`` gives. Raises UserError where the sides of
    source and output differ or are no multiples of 4.
    """

    TRAITS: ClassVar[tuple[str, ...]] = ("keeps_size",)

    multiple, scale = 4, 1
    smallest = 8
    """Sides of sources; of smaller ones an instance norm or a reflection would have a single point."""

    def __init__(
        self,
        source_shape: Shape,
        output_shape: Shape,
        width: Count,
        blocks: Count,
        kernel: Count,
        norm: ImageNorm,
        affine: bool,
        padding: Padding,
        resample: Literal["transposed", "nearest", "blurred"],
    ) -> None:
        super().__init__()
        _check(source_shape, output_shape, kernel)
        bias = norm != "batch"
        widths = [width, 2 * width, 4 * width]
        self.first = nn.Sequential(
            nn.Conv2d(source_shape[0], width, kernel, padding=kernel // 2, bias=bias, padding_mode=padding),
            norm_of(norm, width, affine=affine),
            nn.ReLU(),
        )
        self.down_convolutions = nn.ModuleList()
        self.down_norms = nn.ModuleList()
        for inputs, outputs in pairwise(widths):
            stride = 1 if resample == "blurred" else 2
            self.down_convolutions.append(nn.Conv2d(inputs, outputs, 3, stride, 1, bias=bias))
            after: list[nn.Module] = [norm_of(norm, outputs, affine=affine), nn.ReLU()]
            self.down_norms.append(nn.Sequential(*after, *([FilteredHalve()] if stride == 1 else [])))
        self.blocks = nn.ModuleList(
            ResidualBlock(widths[-1], norm, affine=affine, padding=padding, bias=bias) for _ in range(blocks)
        )
        self.up = nn.Sequential()
        for inputs, outputs in pairwise(reversed(widths)):
            self.up.extend(_doubling(inputs, outputs, resample, padding, bias=bias))
            self.up.extend([norm_of(norm, outputs, affine=affine), nn.ReLU()])
        channels = output_shape[0]
        last = nn.Conv2d(width, channels, kernel, padding=kernel // 2, padding_mode=padding)
        self.last = nn.Sequential(last, nn.Tanh())
        tapped = [widths[-1]] * min(2, blocks)
        self.feature_channels = (source_shape[0], *widths[1:], *tapped)
        self.apply(initialise_normal)

    def forward(self, source: Tensor) -> Tensor:
        x = self.first(source)
        for convolution, norm in zip(self.down_convolutions, self.down_norms, strict=True):
            x = norm(convolution(x))
        for block in self.blocks:
            x = block(x)
        images: Tensor = self.last(self.up(x))
        return images

    def encode(self, source: Tensor) -> list[Tensor]:
        """The features that CUT compares: the source, both convolutions that halve, the first and fifth block.

        With fewer blocks the last one takes the place of the fifth; with one block there are four maps.
        """
        found, x = [source], self.first(source)
        for convolution, norm in zip(self.down_convolutions, self.down_norms, strict=True):
            found.append(convolution(x))
            x = norm(found[-1])
        tapped = {0, min(_TAPPED_BLOCK, len(self.blocks)) - 1}
        for index, block in enumerate(self.blocks[: max(tapped) + 1]):
            x = block(x)
            found += [x] if index in tapped else []
        return found


def _doubling(inputs: int, outputs: int, resample: str, padding: Padding, *, bias: bool) -> list[nn.Module]:
    """Layers that double a map's sides, without norm and activation."""
    if resample == "transposed":
        return [nn.ConvTranspose2d(inputs, outputs, 3, 2, 1, output_padding=1, bias=bias)]
    doubled: nn.Module = nn.Upsample(scale_factor=2) if resample == "nearest" else FilteredDouble()
    return [doubled, nn.Conv2d(inputs, outputs, 3, padding=1, bias=bias, padding_mode=padding)]


def _check(source_shape: Sequence[int], output_shape: Sequence[int], kernel: int) -> None:
    if kernel % 2 == 0:
        raise UserError(f"arch.generator.kernel={kernel}: it has to be odd, so that images keep their size")
    if source_shape[1:] != output_shape[1:]:
        sizes = [f"{height} x {width}" for _, height, width in (source_shape, output_shape)]
        raise UserError(
            f"this network keeps the size of its source, which is {sizes[0]}, and the output is {sizes[1]}: "
            "choose another degrade, or game=pix2pix arch=unet"
        )
    if any(side % 4 or side < ResnetTranslator.smallest for side in source_shape[1:]):
        raise UserError(
            f"data.resolution={source_shape[1]}: this network makes sides that are multiples of 4, from "
            f"{ResnetTranslator.smallest} on"
        )
