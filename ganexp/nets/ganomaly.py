"""GANomaly's networks (Akcay et al. 2018): an autoencoder and a second encoder, and a discriminator.

For images of 32 x 32 pixels and C channels with ``width: 64`` and ``latent: 100``:

    encoder                                       decoder
    ConvDown2x    64 x 16 x 16       LeakyReLU    ProjectToMap       256 x  4 x  4  norm ReLU
    ConvDown2x   128 x  8 x  8  norm LeakyReLU    ConvTransposeUp2x  128 x  8 x  8  norm ReLU
    ConvDown2x   256 x  4 x  4  norm LeakyReLU    ConvTransposeUp2x   64 x 16 x 16  norm ReLU
    MapToVector  100                              ConvTransposeUp2x    C x 32 x 32  tanh

The second encoder has the layers of the first and weights of its own. The discriminator is an encoder to one
number, the logit. No layer has a bias, as in the authors' program.
"""

from itertools import pairwise
from typing import NamedTuple

from torch import Tensor, nn

from ganexp.config.ranges import Count, ImageNorm, Shape
from ganexp.nets.convolutions import ConvDown2x, ConvTransposeUp2x, MapToVector, ProjectToMap
from ganexp.nets.heads import MapHead
from ganexp.nets.layers import IMAGE_NORMS, DiscriminatorBase, LeakyReLU, doublings, initialise_normal


def _smallest(shape: list[int]) -> int:
    """Pixels of a side of the smallest map: 7 of images of 28, which no map of 4 doubles to."""
    return 7 if shape[-1] == 28 else 4


class Rebuilt(NamedTuple):
    """Of N images: their codes [N, latent], what is made of these [N, C, H, W], and the codes of that."""

    codes: Tensor
    images: Tensor
    codes_again: Tensor


def _channels(shape: list[int], width: int) -> list[int]:
    """The channels of an encoder's maps, from the largest map to the smallest."""
    return [width * 2**level for level in range(doublings("ganomaly", shape, _smallest(shape)))]


def _trunk(shape: list[int], width: int, norm: ImageNorm) -> nn.Sequential:
    layers: list[nn.Module] = []
    for level, (before, after) in enumerate(pairwise([shape[0], *_channels(shape, width)])):
        layers.append(ConvDown2x(before, after, bias=False))
        if level:
            layers.append(IMAGE_NORMS[norm](after))
        layers.append(LeakyReLU(0.2))
    return nn.Sequential(*layers)


class Encoder(nn.Module):
    """Images [N, C, H, W] to codes [N, latent]."""

    def __init__(self, shape: Shape, latent: Count, width: Count, norm: ImageNorm) -> None:
        super().__init__()
        last = MapToVector(_channels(shape, width)[-1], latent, _smallest(shape), bias=False)
        self.layers = nn.Sequential(*_trunk(shape, width, norm), last, nn.Flatten())

    def forward(self, x: Tensor) -> Tensor:
        codes: Tensor = self.layers(x)
        return codes


class Decoder(nn.Module):
    """Codes [N, latent] to images [N, C, H, W] in [-1, 1]."""

    def __init__(self, shape: Shape, latent: Count, width: Count, norm: ImageNorm) -> None:
        super().__init__()
        channels = _channels(shape, width)[::-1]
        layers: list[nn.Module] = [ProjectToMap(latent, channels[0], _smallest(shape), bias=False)]
        layers += [IMAGE_NORMS[norm](channels[0]), nn.ReLU(inplace=True)]
        for before, after in pairwise(channels):
            layers += [ConvTransposeUp2x(before, after, bias=False), IMAGE_NORMS[norm](after)]
            layers.append(nn.ReLU(inplace=True))
        layers += [ConvTransposeUp2x(channels[-1], shape[0], bias=False), nn.Tanh()]
        self.layers = nn.Sequential(*layers)

    def forward(self, z: Tensor) -> Tensor:
        images: Tensor = self.layers(z[:, :, None, None])
        return images


class Generator(nn.Module):
    """Images [N, C, H, W] to their reconstructions in [-1, 1], through codes; ``rebuilt`` gives these too.

    Raises UserError for images whose side is neither 28 nor a power of two from 8 on.
    """

    def __init__(self, shape: Shape, latent: Count, width: Count, norm: ImageNorm) -> None:
        super().__init__()
        self.encoder = Encoder(shape, latent, width, norm)
        self.decoder = Decoder(shape, latent, width, norm)
        self.encoder_again = Encoder(shape, latent, width, norm)
        self.apply(_initialise)

    def forward(self, x: Tensor) -> Tensor:
        images: Tensor = self.decoder(self.encoder(x))
        return images

    def rebuilt(self, x: Tensor) -> Rebuilt:
        """The reconstruction with the codes before and behind it."""
        codes = self.encoder(x)
        images = self.decoder(codes)
        return Rebuilt(codes, images, self.encoder_again(images))


class Discriminator(DiscriminatorBase):
    """Images [N, C, H, W] to logits [N]; ``features`` are the smallest map."""

    def __init__(self, shape: Shape, width: Count, norm: ImageNorm) -> None:
        super().__init__()
        self.classes = 0
        self.samplewise = norm != "batch"
        self.layers = _trunk(shape, width, norm)
        self.head = MapHead(_channels(shape, width)[-1], _smallest(shape), bias=False)
        self.apply(_initialise)

    def features(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        maps: Tensor = self.layers(x)
        return maps


def _initialise(module: nn.Module) -> None:
    initialise_normal(module)
    if isinstance(module, nn.BatchNorm2d):
        nn.init.normal_(module.weight, 1.0, 0.02)
