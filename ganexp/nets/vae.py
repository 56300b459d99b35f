"""Encoders of variational autoencoders: samples [N, ...] to means and log variances of codes, [N, 2 latent].

    Encoder: DCGAN's discriminator (Radford et al. 2016) with another last layer, for images of 64 x 64 pixels:

    ConvDown2x     width x 32 x 32        LeakyReLU
    ConvDown2x   2 width x 16 x 16  norm  LeakyReLU
    ConvDown2x   4 width x  8 x  8  norm  LeakyReLU
    ConvDown2x   8 width x  4 x  4  norm  LeakyReLU
    MapToVector  2 latent

    FlatEncoder: linear and ReLU for each width, then linear: that of pytorch/examples with ``widths: [400]``

The decoders beside them are the generators of arch=dcgan and arch=mlp.
"""

import math
from itertools import pairwise
from typing import ClassVar

from torch import Tensor, nn

from ganexp.config.ranges import Count, ImageNorm, Shape, Widths
from ganexp.nets.convolutions import MapToVector
from ganexp.nets.dcgan import halving_layers, plan_maps
from ganexp.nets.layers import initialise_normal


class Encoder(nn.Module):
    """Images [N, C, H, W] to [N, 2 latent]. Raises UserError for sizes that arch=dcgan does not make."""

    OUTPUTS: ClassVar[int] = 2
    """Numbers for each dimension of a code."""

    def __init__(self, shape: Shape, latent: Count, width: Count, max_width: Count, norm: ImageNorm) -> None:
        super().__init__()
        self.latent = latent
        side, channels = plan_maps(shape, width, max_width)
        layers = halving_layers([shape[0], *channels], norm)
        self.layers = nn.Sequential(*layers, MapToVector(channels[-1], self.OUTPUTS * latent, side))
        self.apply(initialise_normal)

    def forward(self, x: Tensor) -> Tensor:
        codes: Tensor = self.layers(x).flatten(1)
        return codes


class FlatEncoder(nn.Module):
    """Samples [N, *shape] to [N, 2 latent]."""

    OUTPUTS: ClassVar[int] = 2
    """Numbers for each dimension of a code."""

    def __init__(self, shape: Shape, latent: Count, widths: Widths) -> None:
        super().__init__()
        self.latent = latent
        layers: list[nn.Module] = []
        for before, after in pairwise([math.prod(shape), *widths]):
            layers += [nn.Linear(before, after), nn.ReLU(inplace=True)]
        self.layers = nn.Sequential(nn.Flatten(), *layers, nn.Linear(widths[-1], self.OUTPUTS * latent))

    def forward(self, x: Tensor) -> Tensor:
        codes: Tensor = self.layers(x)
        return codes
