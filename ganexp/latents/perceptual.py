r"""How far images are from a target: an embedding e of images whose squared distances add two terms.

.. math:: |e(x) - e(t)|^2 = \mathrm{MSE}(x, t) + weight \cdot |\phi(x) - \phi(t)|^2

x and t are in [-1, 1]. As an embedding, a target is embedded once, and many images are compared
with many targets by their differences.
"""

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from ganexp.config.ranges import NonNegative, Whole, Widths
from ganexp.data.arrays import Arrays
from ganexp.data.source import Source
from ganexp.errors import UserError
from ganexp.metrics.classifier import trained_classifier
from ganexp.metrics.perceptual import lpips_network
from ganexp.nets.fixed_convolutions import Levels, random_levels
from ganexp.system.float32 import at_least_float32

_SMALLEST = 32
"""Pixels: AlexNet's third group of layers leaves nothing of smaller images."""


LoadData = Callable[[], Arrays]
"""Loads the run's data set, for embeddings that need it."""


class Embedding:
    """Images [N, C, H, W] in [-1, 1] to vectors [N, D]. ``features``: phi; None: of pixels alone.

    ``about``: what it compares, for people. Gradients reach the images.
    """

    def __init__(self, features: nn.Module | None, weight: float, about: str, device: torch.device) -> None:
        self.about = about
        self._factor = weight**0.5
        self._features = features if features is None else features.to(device).eval().requires_grad_(False)

    def __call__(self, images: Tensor) -> Tensor:
        images = at_least_float32(images)
        pixels: Tensor = images.flatten(1) / images[0].numel() ** 0.5
        if self._features is None or not self._factor:
            return pixels
        return torch.cat([pixels, self._factor * self._features(images)], 1)


def none(source: Source, data: LoadData, device: torch.device) -> Embedding:
    """Pixels alone."""
    return Embedding(None, 0.0, "pixels", device)


def random(
    source: Source, data: LoadData, device: torch.device, weight: NonNegative, seed: Whole, widths: Widths
) -> Embedding:
    """Convolutions with random weights; phi's squared distance is the mean over levels of mean squares."""
    levels = random_levels(source.shape[0], widths, [1] * len(widths), seed)
    return Embedding(_AllLevels(levels), weight, "pixels and random features", device)


def classifier(source: Source, data: LoadData, device: torch.device, weight: NonNegative) -> Embedding:
    """The data set's classifier; phi has length 1. Raises UserError where the data have no labels."""
    net, _, _ = trained_classifier(source, data(), device)
    return Embedding(_Direction(net), weight, "pixels and the features of this data set's classifier", device)


def lpips(
    source: Source,
    data: LoadData,
    device: torch.device,
    weight: NonNegative,
    network: Literal["alex", "vgg", "squeeze"],
) -> Embedding:
    """LPIPS (Zhang et al. 2018): its distance is phi's squared one. Raises UserError where it is missing."""
    if min(source.shape[1:]) < _SMALLEST:
        raise UserError(f"perceptual=lpips needs images of at least {_SMALLEST} pixels: take perceptual=random")
    phi = _LearnedLevels(lpips_network(network, "perceptual=lpips"))
    return Embedding(phi, weight, f"pixels and LPIPS ({network})", device)


class _AllLevels(nn.Module):
    def __init__(self, levels: Levels) -> None:
        super().__init__()
        self.net = levels

    def forward(self, images: Tensor) -> Tensor:
        maps = [level.flatten(1) for level in self.net.levels(images)]
        return torch.cat([level / (level.shape[1] * len(maps)) ** 0.5 for level in maps], 1)


class _Direction(nn.Module):
    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, images: Tensor) -> Tensor:
        return functional.normalize(self.net(images)[0], dim=1)


class _LearnedLevels(nn.Module):
    """d = sum over levels of mean over positions of w_c (a_c - b_c)^2, a and b of length 1: as one vector."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, images: Tensor) -> Tensor:
        net: nn.Module = self.net
        maps = net.net(net.scaling_layer(images.expand(-1, 3, -1, -1)))  # type: ignore[operator]
        found = []
        for level, line in zip(maps, net.lins, strict=True):  # type: ignore[arg-type]
            (weight,) = line.parameters()
            scaled = functional.normalize(level, dim=1, eps=1e-10) * weight.clamp_min(0).sqrt()
            found.append((scaled / (level.shape[2] * level.shape[3]) ** 0.5).flatten(1))
        return torch.cat(found, 1)
