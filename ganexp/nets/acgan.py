"""ACGAN's networks for CIFAR-10: Odena et al. 2017, appendix A.

    generator                                            discriminator (each with dropout)
    linear              384 x  4 x  4        ReLU        conv 3, stride 2    16 x 16 x 16       LeakyReLU
    transposed conv 5   192 x  8 x  8  norm  ReLU        conv 3              32 x 16 x 16  norm LeakyReLU
    transposed conv 5    96 x 16 x 16  norm  ReLU        conv 3, stride 2    64 x  8 x  8  norm LeakyReLU
    transposed conv 5     C x 32 x 32  tanh              conv 3             128 x  8 x  8  norm LeakyReLU
                                                         conv 3, stride 2   256 x  4 x  4  norm LeakyReLU
                                                         conv 3             512 x  4 x  4  norm LeakyReLU
                                                         linear: the logit, and a logit for each class

Every transposed convolution has stride 2. Other square images whose side is a multiple of 8 are made from a
first map of an eighth of their side.
"""

from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn

from ganexp.config.ranges import Count, FlatNorm, Fraction, Shape, Whole
from ganexp.nets.convolutions import MapToVector, ProjectToMap
from ganexp.nets.heads import HeadWithOutputs, MapHead, ProjectionHead
from ganexp.nets.layers import (
    IMAGE_NORMS,
    DiscriminatorBase,
    GeneratorBase,
    LeakyReLU,
    initialise_normal,
    label_vectors,
    smallest_side,
)


def _double(inputs: int, outputs: int) -> nn.ConvTranspose2d:
    return nn.ConvTranspose2d(inputs, outputs, kernel_size=5, stride=2, padding=2, output_padding=1, bias=False)


class Generator(GeneratorBase):
    """Latents [N, latent] and, if ``classes``, labels [N] to images [N, C, H, W] in [-1, 1]."""

    def __init__(self, shape: Shape, latent: Count, classes: Whole, width: Count) -> None:
        super().__init__()
        self.latent = latent
        self.classes = classes
        self.layers = nn.Sequential(
            ProjectToMap(latent + classes, 4 * width, smallest_side("acgan", shape, 8), bias=True),
            nn.ReLU(inplace=True),
            _double(4 * width, 2 * width),
            nn.BatchNorm2d(2 * width),
            nn.ReLU(inplace=True),
            _double(2 * width, width),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
            _double(width, shape[0]),
            nn.Tanh(),
        )
        self.apply(initialise_normal)

    def forward(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        if self.classes:
            z = torch.cat([z, label_vectors(y, self.classes)], 1)
        images: Tensor = self.layers(z[:, :, None, None])
        return images


class Discriminator(DiscriminatorBase):
    """Images [N, C, H, W] to logits [N], or [N, 1 + outputs]; ``projection`` takes labels [N]."""

    def __init__(
        self,
        shape: Shape,
        classes: Whole,
        condition: Literal["projection", "none"],
        outputs: Whole,
        width: Count,
        norm: FlatNorm,
        dropout: Fraction,
    ) -> None:
        super().__init__()
        self.classes = 0 if condition == "none" else classes
        self.outputs = outputs
        self.samplewise = norm != "batch"
        layers: list[nn.Module] = []
        for level, (before, after) in enumerate(pairwise([shape[0], *(width * 2**k for k in range(6))])):
            stride = 1 + (level + 1) % 2
            layers.append(
                nn.Conv2d(before, after, kernel_size=3, stride=stride, padding=1, bias=norm != "batch")
            )
            if level:
                layers.append(IMAGE_NORMS[norm](after))
            layers += [LeakyReLU(0.2), nn.Dropout(dropout)]
        self.layers = nn.Sequential(*layers)
        side = smallest_side("acgan", shape, 8)
        self.head: nn.Module = MapHead(32 * width, side)
        if self.classes:
            self.head = ProjectionHead(self.head, 32 * width, classes)
        if outputs:
            self.head = HeadWithOutputs(self.head, MapToVector(32 * width, outputs, side))
        self.apply(initialise_normal)

    def features(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        maps: Tensor = self.layers(x)
        return maps
