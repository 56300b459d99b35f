"""The critic of patches of CUT's program (Park et al. 2020), whose halvings are filtered (Zhang 2019).

As ``patch.py``, with a convolution of stride 1 and a halving of the sides by the filter [1, 2, 1] in place of
each convolution of stride 2. With C(k) a convolution to k channels of kernel 4 and padding 1, and / a halving:

    C64 /  C128 /  C256 /  C512  C1    for layers: 3, which sees patches of 84 x 84 pixels

LeakyReLU 0.2 follows each but the last, and a norm each but the first and the last. With 1, 2 and 4 layers
patches have 18, 40 and 172 pixels. It has as many weights as the critic of ``patch.py``.
"""

from typing import ClassVar

from torch import Tensor, nn
from torch.nn.functional import pad

from ganexp.config.ranges import Count, ImageNorm, Shape
from ganexp.nets.patch import PatchDiscriminator


class BlurredHalve(nn.Module):
    """[N, C, H, W] to every second point of it, filtered with [1, 2, 1] / 4 in both directions.

    The sides, 2 at least, become (H + 1) // 2 and (W + 1) // 2. Maps are continued by reflection.
    """

    def forward(self, x: Tensor) -> Tensor:
        x = pad(x, (1, 1, 1, 1), mode="reflect")
        x = (x[:, :, :-2:2] + 2 * x[:, :, 1:-1:2] + x[:, :, 2::2]) / 4
        return (x[..., :-2:2] + 2 * x[..., 1:-1:2] + x[..., 2::2]) / 4


class BlurredPatchDiscriminator(PatchDiscriminator):
    """Images [N, C, H, W] to the logits [N, h, w] of patches; ``affine``: whether norms have gain and bias."""

    HALVING: ClassVar[type[nn.Module] | None] = BlurredHalve

    def __init__(self, shape: Shape, width: Count, layers: Count, norm: ImageNorm, affine: bool) -> None:
        super().__init__(shape, width, layers, norm, affine)
