"""Context encoder (Pathak et al. 2016): an image with a hole to a vector, and the vector to an image.

The authors' program for sources of 128 x 128 pixels and outputs of 64 x 64, the hole in their centre, with C(k)
a convolution and T(k) a transposed one to k channels, all of kernel 4:

    C64  C64  C128  C256  C512   stride 2, padding 1    LeakyReLU 0.2, a norm but after the first
    C4000                        the 4 x 4 map to one point; 4000 or 100 channels
    T512                         the point to a 4 x 4 map         ReLU and a norm
    T256  T128  T64  T3          stride 2, padding 1               tanh last

Here the output is the whole image, of which the hole is used: the decoder has the encoder's maps in reverse,
one more than in the program, and the source has one channel more, the mask. For sources [3, 128, 128] and
outputs [3, 64, 64] the network is the program's. Its images have the size that it was trained for.
"""

from itertools import pairwise

from torch import Tensor, nn

from ganexp.config.ranges import Count, FlatNorm, Shape
from ganexp.errors import UserError
from ganexp.nets.convolutions import ConvDown2x, ConvTransposeUp2x, MapToVector, ProjectToMap
from ganexp.nets.layers import IMAGE_NORMS, initialise_normal

_SMALLEST_MAP = 4
_WIDEST = 8  # times the width


class ContextEncoder(nn.Module):
    """Images with holes and their masks [N, C + 1, H, W] to images [N, C, H, W] in [-1, 1].

    Raises UserError for images that are not square or whose side is not 4 times a power of two.
    """

    scale = 1

    def __init__(
        self, source_shape: Shape, output_shape: Shape, width: Count, bottleneck: Count, norm: FlatNorm
    ) -> None:
        super().__init__()
        downs, ups = _halvings(source_shape), _halvings(output_shape)
        if not 1 <= ups <= downs:
            raise UserError(
                f"arch=context_encoder makes images no larger than their source: {output_shape} is made of "
                f"{source_shape}"
            )
        widths = [width * min(2 ** max(0, level - 1), _WIDEST) for level in range(downs)]
        bias = norm != "batch"
        layers: list[nn.Module] = []
        for level, (inputs, outputs) in enumerate(pairwise([source_shape[0], *widths])):
            layers.append(ConvDown2x(inputs, outputs, bias=bias or level == 0))
            layers += [IMAGE_NORMS[norm](outputs)] if level else []
            layers.append(nn.LeakyReLU(0.2))
        layers.append(MapToVector(widths[-1], bottleneck, _SMALLEST_MAP, bias=bias))
        layers += [IMAGE_NORMS[norm](bottleneck), nn.LeakyReLU(0.2)]
        decoded = widths[::-1][:ups]
        layers.append(ProjectToMap(bottleneck, decoded[0], _SMALLEST_MAP, bias=bias))
        layers += [IMAGE_NORMS[norm](decoded[0]), nn.ReLU()]
        for inputs, outputs in pairwise(decoded):
            layers.append(ConvTransposeUp2x(inputs, outputs, bias=bias))
            layers += [IMAGE_NORMS[norm](outputs), nn.ReLU()]
        layers += [ConvTransposeUp2x(decoded[-1], output_shape[0], bias=True), nn.Tanh()]
        self.layers = nn.Sequential(*layers)
        self.apply(initialise_normal)

    def forward(self, source: Tensor) -> Tensor:
        images: Tensor = self.layers(source)
        return images


def _halvings(shape: list[int]) -> int:
    """How often the side of an image is halved to 4. Raises UserError where it cannot be."""
    side = shape[-1]
    if len(shape) != 3 or shape[1] != side or side < 2 * _SMALLEST_MAP or side & (side - 1):
        size = " x ".join(map(str, shape[1:])) or "points"
        raise UserError(
            f"arch=context_encoder makes square images whose side is a power of two, and this data has {size}: "
            "set data.resolution"
        )
    return (side // _SMALLEST_MAP).bit_length() - 1
