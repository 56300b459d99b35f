"""Fully connected networks, as in the first GAN (Goodfellow et al. 2014), but with LeakyReLU.

Samples may have any shape: [channels, height, width] of an image, [dimensions] of a point.
"""

import math

import torch
from torch import Tensor, nn

from ganexp.config.ranges import Count, FlatNorm, Fraction, Shape, Whole, Widths
from ganexp.nets.heads import LinearHead
from ganexp.nets.layers import FLAT_NORMS, DiscriminatorBase, GeneratorBase, LeakyReLU, one_hot


def _hidden(inputs: int, widths: list[int], norm: FlatNorm, dropout: float) -> nn.Sequential:
    """Linear, norm, LeakyReLU and dropout for each width."""
    layers: list[nn.Module] = []
    for width in widths:
        layers += [nn.Linear(inputs, width), FLAT_NORMS[norm](width), LeakyReLU(0.2)]
        if dropout:
            layers.append(nn.Dropout(dropout))
        inputs = width
    return nn.Sequential(*layers)


class Generator(GeneratorBase):
    """Latents [N, latent] and, if ``classes``, labels [N] to samples [N, *shape].

    Samples are in [-1, 1] if ``bounded`` (tanh), otherwise unbounded.
    """

    def __init__(
        self,
        shape: Shape,
        bounded: bool,
        latent: Count,
        classes: Whole,
        widths: Widths,
        norm: FlatNorm,
        dropout: Fraction,
    ) -> None:
        super().__init__()
        self.latent = latent
        self.classes = classes
        self.shape = shape
        self.hidden = _hidden(latent + classes, widths, norm, dropout)
        self.out = nn.Linear(widths[-1], math.prod(shape))
        self.last = nn.Tanh() if bounded else nn.Identity()

    def forward(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        if self.classes:
            z = torch.cat([z, one_hot(y, self.classes)], 1)
        flat: Tensor = self.last(self.out(self.hidden(z)))
        return flat.reshape(-1, *self.shape)


class Discriminator(DiscriminatorBase):
    """Samples [N, *shape] and, if ``classes``, labels [N] to logits [N]."""

    def __init__(
        self,
        shape: Shape,
        classes: Whole,
        widths: Widths,
        norm: FlatNorm,
        dropout: Fraction,
    ) -> None:
        super().__init__()
        self.classes = classes
        self.samplewise = norm != "batch"
        self.hidden = _hidden(math.prod(shape) + classes, widths, norm, dropout)
        self.head = LinearHead(widths[-1])
        self.rename_former_head("out")

    def features(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        x = x.flatten(1)
        if self.classes:
            x = torch.cat([x, one_hot(y, self.classes)], 1)
        vectors: Tensor = self.hidden(x)
        return vectors
