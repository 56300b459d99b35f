"""Fully connected networks, as in the first GAN (Goodfellow et al. 2014), but with LeakyReLU.

Samples may have any shape: [channels, height, width] of an image, [dimensions] of a point.
"""

import math

import torch
from torch import Tensor, nn

from ganexp.config.ranges import (
    Count,
    CriticCondition,
    FlatNorm,
    Fraction,
    GeneratorCondition,
    Shape,
    Whole,
    Widths,
)
from ganexp.nets.conditional_norm import ConditionalSequential, norm_layer
from ganexp.nets.heads import HeadWithOutputs, LinearHead, ProjectionHead
from ganexp.nets.layers import FLAT_NORMS, DiscriminatorBase, GeneratorBase, LeakyReLU, label_vectors


def _hidden(
    inputs: int, widths: list[int], norm: FlatNorm, dropout: float, classes: int = 0
) -> ConditionalSequential:
    """Linear, norm (conditional if ``classes``), LeakyReLU and dropout for each width."""
    layers: list[nn.Module] = []
    for width in widths:
        layers += [nn.Linear(inputs, width), norm_layer(FLAT_NORMS, norm, width, classes), LeakyReLU(0.2)]
        if dropout:
            layers.append(nn.Dropout(dropout))
        inputs = width
    return ConditionalSequential(*layers)


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
        condition: GeneratorCondition = "joined",
    ) -> None:
        super().__init__()
        self.latent = latent
        self.classes = classes
        self.shape = shape
        self.joined, normed = (classes, 0) if condition == "joined" else (0, classes)
        self.hidden = _hidden(latent + self.joined, widths, norm, dropout, normed)
        self.out = nn.Linear(widths[-1], math.prod(shape))
        self.last = nn.Tanh() if bounded else nn.Identity()

    def forward(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        if self.joined:
            z = torch.cat([z, label_vectors(y, self.joined)], 1)
        flat: Tensor = self.last(self.out(self.hidden(z, y)))
        return flat.reshape(-1, *self.shape)


class Discriminator(DiscriminatorBase):
    """Samples [N, *shape] and, if ``classes``, labels [N] to logits [N], or [N, 1 + outputs]."""

    def __init__(
        self,
        shape: Shape,
        classes: Whole,
        widths: Widths,
        norm: FlatNorm,
        dropout: Fraction,
        condition: CriticCondition = "joined",
        outputs: Whole = 0,
    ) -> None:
        super().__init__()
        self.classes = 0 if condition == "none" else classes
        self.joined = classes if condition == "joined" else 0
        self.outputs = outputs
        self.samplewise = norm != "batch"
        self.hidden = _hidden(math.prod(shape) + self.joined, widths, norm, dropout)
        self.head: nn.Module = LinearHead(widths[-1])
        if self.classes and condition == "projection":
            self.head = ProjectionHead(self.head, widths[-1], classes)
        if outputs:
            self.head = HeadWithOutputs(self.head, nn.Linear(widths[-1], outputs))
        self.rename_former_head("out")

    def features(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        x = x.flatten(1)
        if self.joined:
            x = torch.cat([x, label_vectors(y, self.joined)], 1)
        vectors: Tensor = self.hidden(x)
        return vectors
