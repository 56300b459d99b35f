"""PatchGAN (Isola et al. 2017, appendix 6.1.2): a discriminator of overlapping patches of an image.

With C(k) a convolution to k channels of kernel 4 and padding 1, of stride 2 but in the last two layers:

    C64  C128  C256  C512 (stride 1)  C1 (stride 1)    for layers: 3, which sees patches of 70 x 70 pixels

LeakyReLU 0.2 follows each but the last, and a norm each but the first and the last. ``layers`` counts the
convolutions of stride 2: with 1, 2 and 4 the patches have 16, 34 and 142 pixels. With ``layers: 0`` each pixel
is judged by itself: C64, C128 and C1 of kernel 1.
"""

from itertools import pairwise
from typing import ClassVar

from torch import Tensor, nn

from ganexp.config.ranges import Count, ImageNorm, Shape, Whole
from ganexp.errors import UserError
from ganexp.nets.layers import DiscriminatorBase, LeakyReLU, initialise_normal, norm_of

_WIDEST = 8  # times the width


class PatchHead(nn.Conv2d):
    """Feature maps [N, C, h, w] to the logits of patches [N, h', w']."""

    def forward(self, features: Tensor, y: Tensor | None = None) -> Tensor:
        return super().forward(features).squeeze(1)


class PatchDiscriminator(DiscriminatorBase):
    """Images [N, C, H, W] to the logits [N, h, w] of patches; ``affine``: whether norms have gain and bias."""

    classes = 0

    HALVING: ClassVar[type[nn.Module] | None] = None
    """What halves maps behind convolutions of stride 1; None: convolutions of stride 2 do."""

    def __init__(self, shape: Shape, width: Count, layers: Whole, norm: ImageNorm, affine: bool = True) -> None:
        super().__init__()
        self.samplewise = norm != "batch"
        smallest = min(shape[1:]) >> layers
        if smallest < 3 and layers:
            raise UserError(f"arch.discriminator.layers={layers}: too many for {shape[1]} x {shape[2]} pixels")
        widths = [width * min(2**level, _WIDEST) for level in range(max(layers, 1) + 1)]
        kernel, padding = (4, 1) if layers else (1, 0)
        convolutions: list[nn.Module] = []
        for level, (inputs, outputs) in enumerate(pairwise([shape[0], *widths])):
            first, halves = level == 0, level < layers
            bias = first or norm != "batch"
            stride = 2 if halves and self.HALVING is None else 1
            convolutions.append(nn.Conv2d(inputs, outputs, kernel, stride, padding, bias=bias))
            if not first:
                convolutions.append(norm_of(norm, outputs, affine=affine))
            convolutions.append(LeakyReLU(0.2))
            if halves and self.HALVING is not None:
                convolutions.append(self.HALVING())
        self.layers = nn.Sequential(*convolutions)
        self.head = PatchHead(widths[-1], 1, kernel, 1, padding)
        self.apply(initialise_normal)

    def features(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        maps: Tensor = self.layers(x)
        return maps
