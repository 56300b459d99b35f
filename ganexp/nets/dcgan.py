"""DCGAN (Radford et al. 2016): strided convolutions only, ReLU in the generator, LeakyReLU in the critic.

The smallest map is 4 x 4 for powers of two and 7 x 7 for 28, so that no map with an odd side is halved.
With ``upsample: nearest`` the generator upsamples as in Odena et al. 2016, which avoids checkerboard artifacts.
"""

import torch
from torch import Tensor, nn

from ganexp.config.ranges import Count, Fraction, ImageNorm, Shape, Upsample, Whole
from ganexp.errors import UserError
from ganexp.nets.convolutions import ConvDown2x, ConvTransposeUp2x, ProjectToMap, ResizeConv
from ganexp.nets.heads import MapHead
from ganexp.nets.layers import IMAGE_NORMS, DiscriminatorBase, GeneratorBase, LeakyReLU, one_hot

_UPSAMPLES: dict[str, type[ConvTransposeUp2x] | type[ResizeConv]] = {
    "transposed": ConvTransposeUp2x,
    "nearest": ResizeConv,
}

_SMALLEST_SIDES = {28: 7} | {2**power: 4 for power in range(4, 9)}


def _plan_maps(shape: list[int], width: int, max_width: int) -> tuple[int, list[int]]:
    """The smallest map's side, and the channels of each map from the widest to the smallest."""
    if len(shape) != 3:
        raise UserError("arch=dcgan makes images, and this data has points: use arch=mlp")
    _, height, side = shape
    if height != side or side not in _SMALLEST_SIDES:
        sizes = ", ".join(map(str, sorted(_SMALLEST_SIDES)))
        raise UserError(f"data.resolution={side}: arch=dcgan makes {sizes}; arch=mlp makes any")
    smallest = _SMALLEST_SIDES[side]
    halvings = (side // smallest).bit_length() - 1
    return smallest, [min(width * 2**level, max_width) for level in range(halvings)]


def _initialise(module: nn.Module) -> None:
    """Section 4: weights from a normal distribution with deviation 0.02."""
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
        nn.init.normal_(module.weight, 0.0, 0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    elif isinstance(module, nn.BatchNorm2d):
        nn.init.normal_(module.weight, 1.0, 0.02)


class Generator(GeneratorBase):
    """Latents [N, latent] and, if ``classes``, labels [N] to images [N, C, H, W] in [-1, 1]."""

    def __init__(
        self,
        shape: Shape,
        latent: Count,
        classes: Whole,
        width: Count,
        max_width: Count,
        norm: ImageNorm,
        upsample: Upsample,
    ) -> None:
        super().__init__()
        smallest, channels = _plan_maps(shape, width, max_width)
        up2x = _UPSAMPLES[upsample]
        self.latent = latent
        self.classes = classes
        layers: list[nn.Module] = []
        inputs, bias = latent + classes, norm != "batch"
        for level, outputs in enumerate(reversed(channels)):
            first = level == 0
            layers += [
                ProjectToMap(inputs, outputs, smallest, bias=bias)
                if first
                else up2x(inputs, outputs, bias=bias),
                IMAGE_NORMS[norm](outputs),
                nn.ReLU(inplace=True),
            ]
            inputs = outputs
        layers += [up2x(inputs, shape[0], bias=True), nn.Tanh()]
        self.layers = nn.Sequential(*layers)
        self.apply(_initialise)

    def forward(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        if self.classes:
            z = torch.cat([z, one_hot(y, self.classes)], 1)
        images: Tensor = self.layers(z[:, :, None, None])
        return images


class Discriminator(DiscriminatorBase):
    """Images [N, C, H, W] and, if ``classes``, labels [N] to logits [N]. Labels are added as one-hot maps."""

    def __init__(
        self,
        shape: Shape,
        classes: Whole,
        width: Count,
        max_width: Count,
        norm: ImageNorm,
        dropout: Fraction,
    ) -> None:
        super().__init__()
        smallest, channels = _plan_maps(shape, width, max_width)
        self.classes = classes
        self.samplewise = norm != "batch"
        layers: list[nn.Module] = []
        inputs = shape[0] + classes
        for level, outputs in enumerate(channels):
            first = level == 0  # section 3.1: no norm on the critic's input layer
            layers.append(ConvDown2x(inputs, outputs, bias=first or norm != "batch"))
            if not first:
                layers.append(IMAGE_NORMS[norm](outputs))
            layers.append(LeakyReLU(0.2))
            if dropout:
                layers.append(nn.Dropout2d(dropout))
            inputs = outputs
        self.layers = nn.Sequential(*layers)
        self.head = MapHead(inputs, smallest)
        self.rename_former_head(f"layers.{len(layers)}")
        self.apply(_initialise)

    def features(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        if self.classes:
            maps = one_hot(y, self.classes)[:, :, None, None]
            x = torch.cat([x, maps.expand(-1, -1, *x.shape[2:])], 1)
        maps_of_x: Tensor = self.layers(x)
        return maps_of_x
