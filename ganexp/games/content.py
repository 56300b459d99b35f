"""Content losses of features: distances between what a fixed network makes of an output and of its target.

    weight * distance(phi(G(s)), phi(x))          Johnson et al. 2016; Ledig et al. 2017, equation 5

phi is built when training begins, not where a run is only read. It is frozen, has no parameters, is in no
checkpoint (its buffers are not persistent) and computes in float32 at least.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor
from torch.nn import functional

from ganexp.config.ranges import FilePath, NonNegative, Positive, Shape, Whole, Widths
from ganexp.errors import UserError
from ganexp.games.vgg_weights import vgg_convolutions
from ganexp.nets.fixed_convolutions import IMAGENET, FixedConvolutions, random_convolutions
from ganexp.system.float32 import at_least_float32

_SLOPE = 0.2


def distance(one: Tensor, other: Tensor, kind: str) -> Tensor:
    """The mean absolute (``l1``) or squared (``mse``) difference of two tensors of the same shape: a scalar."""
    difference = at_least_float32(one) - at_least_float32(other)
    return difference.abs().mean() if kind == "l1" else difference.square().mean()


@dataclass(frozen=True, kw_only=True)
class ContentFeatures:
    """The settings of a content loss of features; a subclass says which network they are of."""

    name: ClassVar[str]
    """The name of the loss term."""

    weight: NonNegative
    distance: Literal["l1", "mse"]
    shape: Shape
    """The shape [C, H, W] of the targets."""

    def network(self) -> FixedConvolutions:
        """The network. Raises UserError where it cannot be had."""
        raise NotImplementedError

    def term(self, network: FixedConvolutions, fake: Tensor, target: Tensor) -> Tensor:
        """The loss, a scalar; gradients reach ``fake`` only."""
        with torch.no_grad():
            wanted = network(target)
        return self.weight * distance(network(fake), wanted, self.distance)


@dataclass(frozen=True, kw_only=True)
class RandomFeatures(ContentFeatures):
    """A network with the random weights of He et al. 2015, always the same for a seed."""

    name: ClassVar[str] = "content_random"

    seed: Whole
    widths: Widths

    def network(self) -> FixedConvolutions:
        return _Random(random_convolutions(self.shape[0], self.widths, self.seed))


class _Random(FixedConvolutions):
    """Convolutions of kernel 3, each but the first of stride 2, LeakyReLU between them."""

    def features(self, x: Tensor) -> Tensor:
        for index, (weight, bias) in enumerate(self.convolutions()):
            x = functional.leaky_relu(x, _SLOPE) if index else x
            x = functional.conv2d(x, weight, bias, stride=2 if index else 1, padding=1)
        return x


_VGG19 = [[64, 64], [128, 128], [256] * 4, [512] * 4, [512] * 4]
_SMALLEST = 2 ** (len(_VGG19) - 1)


@dataclass(frozen=True, kw_only=True)
class VGG19(ContentFeatures):
    """conv5_4 of VGG19 (Simonyan & Zisserman 2015), trained on ImageNet, with torchvision's weights."""

    name: ClassVar[str] = "content_vgg19"

    activated: bool
    scale: Positive
    weights: FilePath | None

    def network(self) -> FixedConvolutions:
        if self.shape[0] not in (1, 3) or min(self.shape[1:]) < _SMALLEST:
            size = " x ".join(map(str, self.shape))
            raise UserError(
                f"content=vgg19: it takes images of 1 or 3 channels and {_SMALLEST} pixels or more, and these "
                f"are {size}; content=random takes any"
            )
        weights = vgg_convolutions(
            "vgg19", _VGG19, self.weights, "game.content_features.weights", "content=random"
        )
        return _VGG(weights, self.activated, self.scale)


class _VGG(FixedConvolutions):
    """Convolutions of kernel 3 and stride 1 with ReLU, and a maximum over 2 x 2 pixels between the levels."""

    def __init__(self, weights: Sequence[tuple[Tensor, Tensor]], activated: bool, scale: float) -> None:
        super().__init__(weights)
        self.activated, self.scale = activated, scale
        for name, values in zip(("mean", "std"), IMAGENET, strict=True):
            self.register_buffer(name, torch.tensor(values).view(1, 3, 1, 1), persistent=False)

    def features(self, x: Tensor) -> Tensor:
        x = ((x + 1) / 2 - self.get_buffer("mean")) / self.get_buffer("std")
        weights = self.convolutions()
        for level, widths in enumerate(_VGG19):
            x = functional.max_pool2d(x, 2) if level else x
            for index in range(len(widths)):
                x = functional.conv2d(x, *next(weights), padding=1)
                last = level == len(_VGG19) - 1 and index == len(widths) - 1
                x = x if last and not self.activated else functional.relu(x)
        return self.scale * x
