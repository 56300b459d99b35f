"""Residual networks: WGAN-GP (Gulrajani et al. 2017) and SNGAN (Miyato et al. 2018).

For 32 x 32 pixels, with the widths of SNGAN (256 and 128):

    generator                                      discriminator
    linear           256 x  4 x  4                 first block, halved    128 x 16 x 16
    block, doubled   256 x  8 x  8                 block, halved          128 x  8 x  8
    block, doubled   256 x 16 x 16                 block                  128 x  8 x  8
    block, doubled   256 x 32 x 32                 block                  128 x  8 x  8
    norm, ReLU, conv 3, tanh                       ReLU, sum or mean over positions, linear

The blocks are those of ``residual_blocks.py``. WGAN-GP pools by the mean and
SNGAN by the sum; SNGAN divides every weight of the discriminator by its largest singular value.
"""

from itertools import pairwise
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from ganexp.config.ranges import Count, CriticCondition, GeneratorCondition, ImageNorm, Shape, Whole
from ganexp.nets.conditional_norm import ConditionalSequential, label_layers, norm_layer
from ganexp.nets.heads import HeadWithOutputs, LinearHead, ProjectionHead
from ganexp.nets.initialise import initialise, initialise_generator, normalise_spectrally
from ganexp.nets.layers import (
    IMAGE_NORMS,
    DiscriminatorBase,
    GeneratorBase,
    label_vectors,
    smallest_side,
    with_label_maps,
)
from ganexp.nets.residual_blocks import SMALLEST, DiscriminatorBlock, GeneratorBlock, generator_channels


class Generator(GeneratorBase):
    """Latents [N, latent] and, if ``classes``, labels to images [N, C, H, W] in [-1, 1].

    The last map has ``width`` channels, each smaller one twice as many, up to ``max_width``.
    """

    ARCH: ClassVar[str] = "resnet"
    """Its choice of ``arch``, for messages."""

    def __init__(
        self,
        shape: Shape,
        latent: Count,
        classes: Whole,
        condition: GeneratorCondition,
        width: Count,
        max_width: Count,
        norm: ImageNorm,
        upsample: Literal["nearest", "bilinear"],
    ) -> None:
        super().__init__()
        self.latent, self.classes = latent, classes
        self.joined, normed = (classes, 0) if condition == "joined" else (0, classes)
        channels = generator_channels(self.ARCH, shape, width, max_width)
        self.first = nn.Linear(latent + self.joined, channels[0] * SMALLEST**2)
        self.blocks = nn.ModuleList(
            GeneratorBlock(inputs, outputs, norm, upsample, normed) for inputs, outputs in pairwise(channels)
        )
        self.last = ConditionalSequential(norm_layer(IMAGE_NORMS, norm, channels[-1], normed), nn.ReLU())
        self.to_image = nn.Conv2d(channels[-1], shape[0], 3, padding=1)
        initialise_generator(self, self.to_image, "glorot", apart_from=label_layers(self))

    def forward(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        if self.joined:
            z = torch.cat([z, label_vectors(y, self.joined)], 1)
        maps = self.first(z).unflatten(1, (-1, SMALLEST, SMALLEST))
        for block in self.blocks:
            maps = block(maps, y)
        images: Tensor = self.to_image(self.last(maps, y)).tanh()
        return images


class Discriminator(DiscriminatorBase):
    """Images [N, C, H, W] and, if ``classes``, labels to logits [N], or [N, 1 + outputs].

    The first map has ``width`` channels, each of the ``halvings`` doubles them, up to ``max_width``; ``plain``
    blocks follow. ``hidden``: the channels between a block's convolutions, those of its input or its output.
    ``spectral``: every weight is divided by its largest singular value (Miyato et al. 2018, algorithm 1).
    """

    ARCH: ClassVar[str] = "resnet"
    """Its choice of ``arch``, for messages."""

    samplewise = True

    def __init__(
        self,
        shape: Shape,
        classes: Whole,
        condition: CriticCondition,
        outputs: Whole,
        width: Count,
        max_width: Count,
        halvings: Count,
        plain: Whole,
        hidden: Literal["input", "output"],
        pooling: Literal["sum", "mean"],
        spectral: bool,
    ) -> None:
        super().__init__()
        smallest_side(self.ARCH, shape, 2**halvings)
        self.classes = 0 if condition == "none" else classes
        self.joined = classes if condition == "joined" else 0
        self.outputs, self.pooling = outputs, pooling
        channels = [min(width * 2**level, max_width) for level in range(halvings)]
        channels += [channels[-1]] * plain
        first = DiscriminatorBlock(shape[0] + self.joined, width, width, halved=True, first=True)
        blocks = [
            DiscriminatorBlock(before, before if hidden == "input" else after, after, halved=level < halvings)
            for level, (before, after) in enumerate(pairwise(channels), start=1)
        ]
        self.blocks = nn.Sequential(first, *blocks, nn.ReLU())
        self.head: nn.Module = LinearHead(channels[-1])
        if self.classes and condition == "projection":
            self.head = ProjectionHead(self.head, channels[-1], classes)
        if outputs:
            self.head = HeadWithOutputs(self.head, nn.Linear(channels[-1], outputs))
        initialise(self, "glorot")
        if spectral:
            normalise_spectrally(self)

    def features(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        if self.joined:
            x = with_label_maps(x, y, self.joined)
        points = self.blocks(x).flatten(2)
        pooled: Tensor = points.sum(2) if self.pooling == "sum" else points.mean(2)
        return pooled
