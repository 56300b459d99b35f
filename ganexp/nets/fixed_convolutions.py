"""Networks that are never trained: fixed convolutions whose features losses and scores compare."""

from collections.abc import Iterator, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from ganexp.system.float32 import at_least_float32

ImageNet = tuple[list[float], list[float]]

IMAGENET: ImageNet = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
"""Mean and standard deviation of ImageNet's images in [0, 1], with which torchvision's weights were trained."""


class FixedConvolutions(nn.Module):
    """Weights and biases of convolutions, as buffers that are not in ``state_dict``."""

    def __init__(self, weights: Sequence[tuple[Tensor, Tensor]]) -> None:
        super().__init__()
        self.count = len(weights)
        kind = torch.get_default_dtype()
        for index, (weight, bias) in enumerate(weights):
            self.register_buffer(f"weight{index}", weight.to(kind).contiguous(), persistent=False)
            self.register_buffer(f"bias{index}", bias.to(kind).contiguous(), persistent=False)

    def convolutions(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Weights [C', C, 3, 3] and biases [C'], from the first layer to the last."""
        for index in range(self.count):
            yield self.get_buffer(f"weight{index}"), self.get_buffer(f"bias{index}")

    def features(self, x: Tensor) -> Tensor:
        """Features of images [N, C, H, W] in [-1, 1]."""
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast(x.device.type, enabled=False):
            return self.features(at_least_float32(x))


class Levels(FixedConvolutions):
    """Levels of convolutions of kernel 3 and stride 1 with ReLU; between them, a maximum over 2 x 2 pixels.

    ``depths``: convolutions of each level. ``normal``: mean and deviation of images in [0, 1], which images are
    normalised with; None: they stay in [-1, 1].
    """

    def __init__(
        self, weights: Sequence[tuple[Tensor, Tensor]], depths: Sequence[int], normal: ImageNet | None
    ) -> None:
        super().__init__(weights)
        self.depths = tuple(depths)
        self.channels = tuple(
            len(weights[sum(self.depths[: level + 1]) - 1][1]) for level in range(len(self.depths))
        )
        """The channels of the maps that ``levels`` gives."""
        mean, std = normal or ([0.5], [0.5])
        self.register_buffer("mean", torch.tensor(mean).view(1, -1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, -1, 1, 1), persistent=False)

    def levels(self, x: Tensor) -> list[Tensor]:
        """Images [N, C, H, W] in [-1, 1] to the last map [N, C', H / 2^l, W / 2^l] of each level l = 0, 1, ...

        They are in float32 at least, under autocast too.
        """
        with torch.autocast(x.device.type, enabled=False):
            x = ((at_least_float32(x) + 1) / 2 - self.get_buffer("mean")) / self.get_buffer("std")
            weights, found = self.convolutions(), list[Tensor]()
            for depth in self.depths:
                x = functional.max_pool2d(x, 2) if found else x
                for _ in range(depth):
                    x = functional.relu(functional.conv2d(x, *next(weights), padding=1))
                found.append(x)
            return found


def random_levels(channels: int, widths: Sequence[int], depths: Sequence[int], seed: int) -> Levels:
    """Levels with the random weights of He et al. 2015, always the same for a seed; biases are 0."""
    each = [width for width, depth in zip(widths, depths, strict=True) for _ in range(depth)]
    return Levels(random_convolutions(channels, each, seed), depths, None)


def random_convolutions(channels: int, widths: Sequence[int], seed: int) -> list[tuple[Tensor, Tensor]]:
    """Weights [C', C, 3, 3] of He et al. 2015 and biases of 0 [C'] of one convolution after another."""
    rng = torch.Generator().manual_seed(seed)
    weights = []
    for inputs, outputs in pairwise([channels, *widths]):
        weight = torch.randn(outputs, inputs, 3, 3, generator=rng) * (2 / (9 * inputs)) ** 0.5
        weights.append((weight, torch.zeros(outputs)))
    return weights


def gram(features: Tensor) -> Tensor:
    """The Gram matrices [N, C, C] of maps [N, C, H, W]: sums over positions of products, / (C H W).

    In float32 at least, under autocast too.
    """
    with torch.autocast(features.device.type, enabled=False):
        rows = at_least_float32(features).flatten(2)
        return rows @ rows.mT / rows[0].numel()
