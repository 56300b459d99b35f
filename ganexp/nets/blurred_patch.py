"""The critic of patches of CUT's program (Park et al. 2020), whose halvings are filtered (Zhang 2019).

As ``patch.py``, with a convolution of stride 1 and a halving of the sides by the filter [1, 2, 1] in place of
each convolution of stride 2. With C(k) a convolution to k channels of kernel 4 and padding 1, and / a halving:

    C64 /  C128 /  C256 /  C512  C1    for layers: 3, which sees patches of 84 x 84 pixels

LeakyReLU 0.2 follows each but the last, and a norm each but the first and the last. With 1, 2 and 4 layers
patches have 18, 40 and 172 pixels. It has as many weights as the critic of ``patch.py``.
"""

from itertools import pairwise

from torch import Tensor, nn
from torch.nn.functional import pad

from ganexp.config.ranges import Count, ImageNorm, Shape
from ganexp.errors import UserError
from ganexp.nets.layers import DiscriminatorBase, LeakyReLU, initialise_normal, norm_of
from ganexp.nets.patch import PatchHead

_WIDEST = 8  # times the width


class BlurredHalve(nn.Module):
    """[N, C, H, W] to every second point of it, filtered with [1, 2, 1] / 4 in both directions.

    The sides, 2 at least, become (H + 1) // 2 and (W + 1) // 2. Maps are continued by reflection.
    """

    def forward(self, x: Tensor) -> Tensor:
        x = pad(x, (1, 1, 1, 1), mode="reflect")
        x = (x[:, :, :-2:2] + 2 * x[:, :, 1:-1:2] + x[:, :, 2::2]) / 4
        return (x[..., :-2:2] + 2 * x[..., 1:-1:2] + x[..., 2::2]) / 4


class BlurredPatchDiscriminator(DiscriminatorBase):
    """Images [N, C, H, W] to the logits [N, h, w] of patches; ``affine``: whether norms have gain and bias."""

    classes = 0

    def __init__(self, shape: Shape, width: Count, layers: Count, norm: ImageNorm, affine: bool) -> None:
        super().__init__()
        self.samplewise = norm != "batch"
        if min(shape[1:]) >> layers < 3:
            raise UserError(f"arch.discriminator.layers={layers}: too many for {shape[1]} x {shape[2]} pixels")
        widths = [width * min(2**level, _WIDEST) for level in range(layers + 1)]
        convolutions: list[nn.Module] = []
        for level, (inputs, outputs) in enumerate(pairwise([shape[0], *widths])):
            convolutions.append(nn.Conv2d(inputs, outputs, 4, 1, 1, bias=level == 0 or norm != "batch"))
            if level:
                convolutions.append(norm_of(norm, outputs, affine=affine))
            convolutions.append(LeakyReLU(0.2))
            if level < layers:
                convolutions.append(BlurredHalve())
        self.layers = nn.Sequential(*convolutions)
        self.head = PatchHead(widths[-1], 1, 4, 1, 1)
        self.apply(initialise_normal)

    def features(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        maps: Tensor = self.layers(x)
        return maps
