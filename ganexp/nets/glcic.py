"""GLCIC (Iizuka, Simo-Serra, Ishikawa 2017): completes images; one logit of a whole image and of a part of it.

The completion network (table 2), for a width of 64, with kernel 3 where nothing else is said:

    64 (kernel 5)   128 (stride 2)  128   256 (stride 2)  256  256      to a quarter of the resolution
    256 (dilation 2)  256 (dilation 4)  256 (dilation 8)  256 (dilation 16)  256  256
    128 (transposed, kernel 4, stride 2)  128   64 (transposed)  32   channels

A norm and ReLU follow each but the last, which ends in tanh: images are in [-1, 1], in the paper in [0, 1].
Each pixel of the result depends on 301 x 301 pixels of the source.

The discriminator (table 3) has convolutions of kernel 5 and stride 2 down to maps of 4 x 4, and a linear layer
to 1024 features, for the whole image and for a crop around the hole; one linear layer joins both. The paper
takes the crop of a real image anywhere; here it is where the fake's is.
"""

from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ganexp.config.ranges import Count, ImageNorm, Shape
from ganexp.errors import UserError
from ganexp.nets.convolutions import ConvTransposeUp2x
from ganexp.nets.heads import LinearHead
from ganexp.nets.layers import IMAGE_NORMS, DiscriminatorBase, LeakyReLU, initialise_normal

_SMALLEST_MAP = 4


class Step(NamedTuple):
    """A layer of a completion network: its output has ``width`` times the network's width."""

    width: float
    kernel: int = 3
    stride: int = 1
    dilation: int = 1
    doubles: bool = False


COMPLETION = (
    Step(1, kernel=5),
    *(Step(2, stride=2), Step(2)),
    *(Step(4, stride=2), Step(4), Step(4)),
    *(Step(4, dilation=2), Step(4, dilation=4), Step(4, dilation=8), Step(4, dilation=16)),
    *(Step(4), Step(4)),
    *(Step(2, doubles=True), Step(2)),
    *(Step(1, doubles=True), Step(0.5)),
)
"""The sixteen layers before the last, which is a convolution of kernel 3 to the image's channels."""

COMPLETION_MULTIPLE = 4
"""What the sides of an image are multiples of."""


def check_sides(arch: str, output_shape: list[int]) -> None:
    """Raises UserError for images that cannot be halved twice."""
    if len(output_shape) != 3 or any(side % COMPLETION_MULTIPLE for side in output_shape[1:]):
        size = " x ".join(map(str, output_shape[1:])) or "points"
        raise UserError(
            f"arch={arch} makes images whose sides are multiples of {COMPLETION_MULTIPLE}, and this data has "
            f"{size}: set data.resolution"
        )


class CompletionNetwork(nn.Module):
    """Images with holes and their masks [N, C + 1, H, W] to images [N, C, H, W] in [-1, 1], of any size."""

    scale = 1
    multiple = COMPLETION_MULTIPLE

    def __init__(self, source_shape: Shape, output_shape: Shape, width: Count, norm: ImageNorm) -> None:
        super().__init__()
        check_sides("glcic", output_shape)
        layers: list[nn.Module] = []
        inputs, bias = source_shape[0], norm != "batch"
        for step in COMPLETION:
            outputs = max(1, int(step.width * width))
            if step.doubles:
                layers.append(ConvTransposeUp2x(inputs, outputs, bias=bias))
            else:
                padding = step.dilation * (step.kernel // 2)
                layers.append(
                    nn.Conv2d(inputs, outputs, step.kernel, step.stride, padding, step.dilation, bias=bias)
                )
            layers += [IMAGE_NORMS[norm](outputs), nn.ReLU()]
            inputs = outputs
        layers += [nn.Conv2d(inputs, output_shape[0], 3, 1, 1), nn.Tanh()]
        self.layers = nn.Sequential(*layers)
        self.apply(initialise_normal)

    def forward(self, source: Tensor) -> Tensor:
        images: Tensor = self.layers(source)
        return images


class GlobalLocalDiscriminator(DiscriminatorBase):
    """Images and the masks of their holes [N, C + 1, H, W] to logits [N].

    ``local``: the side of the crop. The mask says where the crop is; the convolutions are not given it.
    """

    classes = 0
    takes_mask = True

    def __init__(
        self,
        shape: Shape,
        width: Count,
        max_width: Count,
        units: Count,
        local: Count,
        norm: ImageNorm,
    ) -> None:
        super().__init__()
        channels, *sides = shape
        if channels < 2 or local > min(sides):
            raise UserError(
                f"arch.discriminator.local={local}: the crop has to fit into {' x '.join(map(str, sides))} "
                "pixels; arch=glcic is for game=inpaint"
            )
        self.samplewise = norm != "batch"
        self.local = local
        self.global_features = _features([channels - 1, *sides], (width, max_width), units, norm)
        self.local_features = _features([channels - 1, local, local], (width, max_width), units, norm)
        self.head = LinearHead(2 * units)
        self.apply(initialise_normal)

    def features(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        images, mask = x[:, :-1], x[:, -1:]
        crop = crop_around_hole(images, mask, self.local)
        return torch.cat([self.global_features(images), self.local_features(crop)], 1)


def _features(shape: list[int], widths: tuple[int, int], units: int, norm: ImageNorm) -> nn.Sequential:
    """Images of ``shape`` to features [N, units]. ``widths``: of the first convolution, and at most."""
    channels, *sides = shape
    levels = max(1, (min(sides) // _SMALLEST_MAP).bit_length() - 1)
    each = [min(widths[0] * 2**level, widths[1]) for level in range(levels)]
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise([channels, *each]):
        layers.append(nn.Conv2d(inputs, outputs, 5, 2, 2, bias=norm != "batch"))
        layers += [IMAGE_NORMS[norm](outputs), LeakyReLU(0.2)]
    height, breadth = (-(-side // 2**levels) for side in sides)
    layers += [nn.Flatten(), nn.Linear(each[-1] * height * breadth, units), LeakyReLU(0.2)]
    return nn.Sequential(*layers)


def crop_around_hole(images: Tensor, mask: Tensor, size: int) -> Tensor:
    """Crops [N, C, size, size] of images [N, C, H, W], each around the hole of its mask [N, 1, H, W].

    A crop has the centre of the hole's bounding box as its own (half a pixel up or left of it where that falls
    between two), unless it would leave the image: then it is moved to the border. Without a hole it is in the
    middle. The size is fixed and places stay on the device, so that nothing waits for it.
    """
    rows = _places(mask.amax((1, 3)), size)
    columns = _places(mask.amax((1, 2)), size)
    band = images.gather(2, rows[:, None, :, None].expand(-1, images.shape[1], -1, images.shape[3]))
    return band.gather(3, columns[:, None, None, :].expand(-1, images.shape[1], size, -1))


def _places(hole: Tensor, size: int) -> Tensor:
    """Indices [N, size] along an axis, around where ``hole`` [N, L] is not 0."""
    inside, length = (hole > 0.5).to(torch.uint8), hole.shape[1]
    first = inside.argmax(1)  # of equal values the first; 0 without a hole, so that all is taken for one
    last = length - 1 - inside.flip(1).argmax(1)
    start = ((first + last + 1 - size) // 2).clamp(0, length - size)
    return start[:, None] + torch.arange(size, device=hole.device)
