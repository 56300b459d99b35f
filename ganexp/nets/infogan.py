"""InfoGAN's networks for digits: Chen et al. 2016, appendix C.1; layers as in the authors' program.

    generator                                          discriminator
    linear            hidden             norm ReLU     ConvDown2x         width x 14 x 14        LeakyReLU
    linear         2 width x 7 x 7       norm ReLU     ConvDown2x       2 width x 7 x 7     norm LeakyReLU
    ConvTransposeUp2x  width x 14 x 14   norm ReLU     MapToVector      hidden              norm LeakyReLU
    ConvTransposeUp2x      C x 28 x 28   tanh          logit: linear 1
                                                       codes: linear 128 norm LeakyReLU, linear

Strided convolutions have kernel 4, stride 2, padding 1. The first map is a quarter of the image. The
discriminator and the posterior of the codes share all layers but the last ones. The program has images in
[0, 1] and a sigmoid.
"""

from torch import Tensor, nn

from ganexp.config.ranges import Count, FlatNorm, Shape, Whole
from ganexp.nets.convolutions import ConvDown2x, ConvTransposeUp2x, MapToVector, ProjectToMap
from ganexp.nets.heads import HeadWithOutputs, LinearHead
from ganexp.nets.layers import (
    IMAGE_NORMS,
    DiscriminatorBase,
    GeneratorBase,
    LeakyReLU,
    initialise_normal,
    smallest_side,
)

_SLOPE = 0.1


class Generator(GeneratorBase):
    """Latents [N, latent], of which the codes are a part, to images [N, C, H, W] in [-1, 1]."""

    def __init__(self, shape: Shape, latent: Count, width: Count, hidden: Count) -> None:
        super().__init__()
        self.latent = latent
        self.classes = 0
        self.layers = nn.Sequential(
            nn.Linear(latent, hidden, bias=False),
            nn.BatchNorm1d(hidden),
            nn.ReLU(inplace=True),
            nn.Unflatten(1, (hidden, 1, 1)),
            ProjectToMap(hidden, 2 * width, smallest_side("infogan", shape, 4), bias=False),
            nn.BatchNorm2d(2 * width),
            nn.ReLU(inplace=True),
            ConvTransposeUp2x(2 * width, width, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
            ConvTransposeUp2x(width, shape[0], bias=False),
            nn.Tanh(),
        )
        self.apply(initialise_normal)

    def forward(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        images: Tensor = self.layers(z)
        return images


class Discriminator(DiscriminatorBase):
    """Images [N, C, H, W] to logits [N], or with the posterior of the codes to [N, 1 + outputs]."""

    def __init__(
        self, shape: Shape, outputs: Whole, width: Count, hidden: Count, posterior: Count, norm: FlatNorm
    ) -> None:
        super().__init__()
        self.classes = 0
        self.outputs = outputs
        self.samplewise = norm != "batch"
        bias = norm != "batch"
        self.layers = nn.Sequential(
            ConvDown2x(shape[0], width, bias=True),
            LeakyReLU(_SLOPE),
            ConvDown2x(width, 2 * width, bias=bias),
            IMAGE_NORMS[norm](2 * width),
            LeakyReLU(_SLOPE),
            MapToVector(2 * width, hidden, smallest_side("infogan", shape, 4), bias=bias),
            IMAGE_NORMS[norm](hidden),
            LeakyReLU(_SLOPE),
        )
        self.head: nn.Module = LinearHead(hidden)
        if outputs:
            self.head = HeadWithOutputs(self.head, _posterior(hidden, posterior, outputs, norm))
        self.apply(initialise_normal)

    def features(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        vectors: Tensor = self.layers(x).flatten(1)
        return vectors


def _posterior(inputs: int, hidden: int, outputs: int, norm: FlatNorm) -> nn.Sequential:
    """Feature vectors [N, inputs] to the posterior's logits and means [N, outputs]."""
    return nn.Sequential(
        nn.Linear(inputs, hidden, bias=norm != "batch"),
        nn.Unflatten(1, (hidden, 1, 1)),
        IMAGE_NORMS[norm](hidden),
        nn.Flatten(),
        LeakyReLU(_SLOPE),
        nn.Linear(hidden, outputs),
    )
