"""DCGAN (Radford et al. 2016): strided convolutions only, ReLU in the generator, LeakyReLU in the critic.

For images of 64 x 64 pixels and C channels with ``max_width: 1024`` the maps are those of the paper's figure 1:

    generator                                        discriminator
    ProjectToMap         1024 x  4 x  4  norm ReLU   ConvDown2x   128 x 32 x 32       LeakyReLU
    ConvTransposeUp2x     512 x  8 x  8  norm ReLU   ConvDown2x   256 x 16 x 16  norm LeakyReLU
    ConvTransposeUp2x     256 x 16 x 16  norm ReLU   ConvDown2x   512 x  8 x  8  norm LeakyReLU
    ConvTransposeUp2x     128 x 32 x 32  norm ReLU   ConvDown2x  1024 x  4 x  4  norm LeakyReLU
    ConvTransposeUp2x       C x 64 x 64  tanh        MapHead        1 x  1 x  1

Strided convolutions have kernel 4, stride 2, padding 1; the first and the last layer cover the whole 4 x 4 map.
The smallest map is 4 x 4 for powers of two and 7 x 7 for 28, so that no map with an odd side is halved.
With ``upsample: nearest`` the generator upsamples as in Odena et al. 2016, which avoids checkerboard artifacts.
"""

from itertools import pairwise

import torch
from torch import Tensor, nn

from ganexp.config.ranges import (
    Count,
    CriticCondition,
    Fraction,
    GeneratorCondition,
    ImageNorm,
    Shape,
    Upsample,
    Whole,
)
from ganexp.errors import UserError
from ganexp.nets.conditional_norm import ConditionalSequential, norm_layer
from ganexp.nets.convolutions import UPSAMPLES, ConvDown2x, MapToVector, ProjectToMap
from ganexp.nets.heads import HeadWithOutputs, MapHead, ProjectionHead
from ganexp.nets.layers import (
    IMAGE_NORMS,
    DiscriminatorBase,
    GeneratorBase,
    LeakyReLU,
    initialise_normal,
    label_vectors,
    with_label_maps,
)

_SMALLEST_SIDES = {28: 7} | {2**power: 4 for power in range(4, 9)}


def plan_maps(shape: list[int], width: int, max_width: int) -> tuple[int, list[int]]:
    """The side of the smallest map, and the channels of the maps, from the largest map to the smallest."""
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
        initialise_normal(module)
    elif isinstance(module, nn.BatchNorm2d) and module.affine:
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
        condition: GeneratorCondition = "joined",
    ) -> None:
        super().__init__()
        self.latent = latent
        self.classes = classes
        self.joined, normed = (classes, 0) if condition == "joined" else (0, classes)
        side, channels = plan_maps(shape, width, max_width)
        channels = channels[::-1]
        up2x, bias = UPSAMPLES[upsample], norm != "batch"
        layers: list[nn.Module] = [ProjectToMap(latent + self.joined, channels[0], side, bias=bias)]
        layers += [norm_layer(IMAGE_NORMS, norm, channels[0], normed), nn.ReLU(inplace=True)]
        for inputs, outputs in pairwise(channels):
            layers.append(up2x(inputs, outputs, bias=bias))
            layers += [norm_layer(IMAGE_NORMS, norm, outputs, normed), nn.ReLU(inplace=True)]
        layers += [up2x(channels[-1], shape[0], bias=True), nn.Tanh()]
        self.layers = ConditionalSequential(*layers)
        self.apply(_initialise)

    def forward(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        if self.joined:
            z = torch.cat([z, label_vectors(y, self.joined)], 1)
        images: Tensor = self.layers(z[:, :, None, None], y)
        return images


def halving_layers(channels: list[int], norm: ImageNorm, dropout: float = 0.0) -> list[nn.Module]:
    """The discriminator's layers: maps of ``channels[0]`` to those of ``channels[-1]``, halved each time."""
    layers: list[nn.Module] = []
    for level, (before, after) in enumerate(pairwise(channels)):
        first = level == 0  # section 3.1: no norm on the critic's input layer
        layers.append(ConvDown2x(before, after, bias=first or norm != "batch"))
        if not first:
            layers.append(IMAGE_NORMS[norm](after))
        layers.append(LeakyReLU(0.2))
        if dropout:
            layers.append(nn.Dropout2d(dropout))
    return layers


class Discriminator(DiscriminatorBase):
    """Images [N, C, H, W] and, if ``classes``, labels [N] to logits [N], or [N, 1 + outputs].

    Joined labels are added as one-hot maps.
    """

    def __init__(
        self,
        shape: Shape,
        classes: Whole,
        width: Count,
        max_width: Count,
        norm: ImageNorm,
        dropout: Fraction,
        condition: CriticCondition = "joined",
        outputs: Whole = 0,
    ) -> None:
        super().__init__()
        self.classes = 0 if condition == "none" else classes
        self.joined = classes if condition == "joined" else 0
        self.outputs = outputs
        self.samplewise = norm != "batch"
        side, channels = plan_maps(shape, width, max_width)
        layers = halving_layers([shape[0] + self.joined, *channels], norm, dropout)
        self.layers = nn.Sequential(*layers)
        self.head: nn.Module = MapHead(channels[-1], side)
        if self.classes and condition == "projection":
            self.head = ProjectionHead(self.head, channels[-1], classes)
        if outputs:
            self.head = HeadWithOutputs(self.head, MapToVector(channels[-1], outputs, side))
        self.rename_former_head(f"layers.{len(layers)}")
        self.apply(_initialise)

    def features(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        if self.joined:
            x = with_label_maps(x, y, self.joined)
        maps_of_x: Tensor = self.layers(x)
        return maps_of_x
