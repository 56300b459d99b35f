"""SN-PatchGAN (Yu et al. 2019, section 3.3): each channel of each point of the last map is a logit.

Convolutions of kernel 5, stride 2 and padding 2 to 64, 128, 256, 256, 256 and 256 channels, each with spectral
normalisation (Miyato et al. 2018), and LeakyReLU 0.2 between them. Features of every kind are judged in every
place, so one critic serves holes of any shape, number and place.

Each forward pass in training takes one power iteration, also in the turn of the generator; its vectors are
buffers, so that checkpoints hold them. In evaluation they stay as they are.
"""

from itertools import pairwise

from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from ganexp.config.ranges import Count, Shape
from ganexp.errors import UserError
from ganexp.nets.layers import DiscriminatorBase, LeakyReLU, initialise_normal

_WIDEST = 4  # times the width


class MapLogits(nn.Conv2d):
    """Feature maps [N, C, h, w] to logits [N, D, h', w']."""

    def forward(self, features: Tensor, y: Tensor | None = None) -> Tensor:
        return super().forward(features)


class SNPatchDiscriminator(DiscriminatorBase):
    """Images, and masks joined to them, [N, C, H, W] to logits [N, D, h, w]."""

    classes = 0
    samplewise = True

    def __init__(self, shape: Shape, width: Count, layers: Count) -> None:
        super().__init__()
        if len(shape) != 3 or layers < 2 or min(shape[1:]) < 2 ** (layers - 1):
            size = " x ".join(map(str, shape[1:]))
            raise UserError(
                f"arch.discriminator.layers={layers}: 2 or more, each of which halves the map, of {size} pixels"
            )
        widths = [shape[0], *(width * min(2**level, _WIDEST) for level in range(layers))]
        convolutions: list[nn.Module] = []
        for inputs, outputs in pairwise(widths[:-1]):
            convolutions += [_normalised(nn.Conv2d(inputs, outputs, 5, 2, 2)), LeakyReLU(0.2)]
        self.layers = nn.Sequential(*convolutions)
        self.head = _normalised(MapLogits(widths[-2], widths[-1], 5, 2, 2))

    def features(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        maps: Tensor = self.layers(x)
        return maps


def _normalised(conv: nn.Conv2d) -> nn.Module:
    """Initial weights first: the normalised weight is computed, and cannot be set."""
    initialise_normal(conv)
    normalised: nn.Module = spectral_norm(conv)
    return normalised
