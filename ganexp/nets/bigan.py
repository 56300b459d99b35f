"""Discriminators of pairs of a sample and its code, for BiGAN (Donahue et al. 2017; Dumoulin et al. 2017).

    x   the strided convolutions of DCGAN's discriminator      C x side x side, flat
    z   Linear, LeakyReLU                                      hidden
    both joined: Linear, LeakyReLU, dropout                    hidden: the features
    Linear                                                     the logit

The two branches are those of EGBAD (Zenati et al. 2018). A pair is one vector: the sample's values, then the
code.
"""

import math
from itertools import pairwise

import torch
from torch import Tensor, nn

from ganexp.config.ranges import Count, Fraction, ImageNorm, Shape, Widths
from ganexp.nets.dcgan import halving_layers, plan_maps
from ganexp.nets.heads import LinearHead
from ganexp.nets.layers import DiscriminatorBase, LeakyReLU, initialise_normal


class Discriminator(DiscriminatorBase):
    """Pairs [N, C H W + latent] to logits [N]."""

    def __init__(
        self,
        shape: Shape,
        latent: Count,
        width: Count,
        max_width: Count,
        hidden: Count,
        norm: ImageNorm,
        dropout: Fraction,
    ) -> None:
        super().__init__()
        self.classes = 0
        self.samplewise = norm != "batch"
        self.shape = shape
        side, channels = plan_maps(shape, width, max_width)
        layers = halving_layers([shape[0], *channels], norm)
        self.of_sample = nn.Sequential(*layers, nn.Flatten())
        self.of_code = nn.Sequential(nn.Linear(latent, hidden), LeakyReLU(0.2))
        joined = nn.Linear(channels[-1] * side**2 + hidden, hidden)
        self.joined = nn.Sequential(joined, LeakyReLU(0.2), nn.Dropout(dropout))
        self.head = LinearHead(hidden)
        self.apply(initialise_normal)

    def features(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        samples, codes = x.tensor_split([math.prod(self.shape)], 1)
        images = samples.unflatten(1, self.shape).contiguous(memory_format=torch.channels_last)
        vectors: Tensor = self.joined(torch.cat([self.of_sample(images), self.of_code(codes)], 1))
        return vectors


class FlatDiscriminator(DiscriminatorBase):
    """Pairs [N, prod(shape) + latent] to logits [N], fully connected."""

    def __init__(self, shape: Shape, latent: Count, widths: Widths) -> None:
        super().__init__()
        self.classes = 0
        self.samplewise = True
        layers: list[nn.Module] = []
        for before, after in pairwise([math.prod(shape) + latent, *widths]):
            layers += [nn.Linear(before, after), LeakyReLU(0.2)]
        self.hidden = nn.Sequential(*layers)
        self.head = LinearHead(widths[-1])

    def features(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        vectors: Tensor = self.hidden(x)
        return vectors
