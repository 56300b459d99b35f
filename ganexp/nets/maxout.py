"""PacGAN's networks for points of the plane (Lin et al. 2018, section 4.1, after Dumoulin et al. 2017).

The generator has ReLU layers with batch norm. The discriminator has maxout layers (Goodfellow et al. 2013): a
unit is the largest of several linear functions. All weights are initialised from N(0, std^2).
"""

import math

import torch
from torch import Tensor, nn

from ganexp.config.ranges import Count, Positive, Shape, Whole, Widths
from ganexp.nets.heads import LinearHead
from ganexp.nets.layers import DiscriminatorBase, GeneratorBase, label_vectors


def _initialise(net: nn.Module, std: float) -> None:
    for module in net.modules():
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, 0.0, std)
            if module.bias is not None:
                nn.init.zeros_(module.bias)


class Generator(GeneratorBase):
    """Latents [N, latent] and, if ``classes``, labels [N] to samples [N, *shape], in [-1, 1] if ``bounded``."""

    def __init__(
        self, shape: Shape, bounded: bool, latent: Count, classes: Whole, widths: Widths, std: Positive
    ) -> None:
        super().__init__()
        self.latent = latent
        self.classes = classes
        self.shape = shape
        layers: list[nn.Module] = []
        inputs = latent + classes
        for width in widths:
            layers += [nn.Linear(inputs, width, bias=False), nn.BatchNorm1d(width), nn.ReLU(inplace=True)]
            inputs = width
        layers += [nn.Linear(inputs, math.prod(shape)), nn.Tanh() if bounded else nn.Identity()]
        self.layers = nn.Sequential(*layers)
        _initialise(self, std)

    def forward(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        if self.classes:
            z = torch.cat([z, label_vectors(y, self.classes)], 1)
        flat: Tensor = self.layers(z)
        return flat.reshape(-1, *self.shape)


class Maxout(nn.Module):
    """Vectors [N, inputs] to [N, units], each the largest of ``pieces`` linear functions."""

    def __init__(self, inputs: int, units: int, pieces: int) -> None:
        super().__init__()
        self.linear = nn.Linear(inputs, units * pieces)
        self.pieces = pieces

    def forward(self, x: Tensor) -> Tensor:
        largest: Tensor = self.linear(x).unflatten(1, (-1, self.pieces)).amax(2)
        return largest


class Discriminator(DiscriminatorBase):
    """Samples [N, *shape] and, if ``classes``, labels [N] to logits [N]."""

    def __init__(self, shape: Shape, classes: Whole, widths: Widths, pieces: Count, std: Positive) -> None:
        super().__init__()
        self.classes = classes
        self.samplewise = True
        layers: list[nn.Module] = []
        inputs = math.prod(shape) + classes
        for width in widths:
            layers.append(Maxout(inputs, width, pieces))
            inputs = width
        self.layers = nn.Sequential(*layers)
        self.head = LinearHead(inputs)
        self.rename_former_head(f"layers.{len(layers)}")
        _initialise(self, std)

    def features(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        x = x.flatten(1)
        if self.classes:
            x = torch.cat([x, label_vectors(y, self.classes)], 1)
        vectors: Tensor = self.layers(x)
        return vectors
