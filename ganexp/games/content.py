"""Content losses of features: distances between what a fixed network makes of an output and of its target.

    weight * distance(phi(G(s)), phi(x))          Johnson et al. 2016; Ledig et al. 2017, equation 5

phi is built when training begins, not where a run is only read. It is frozen, has no parameters, is in no
checkpoint (its buffers are not persistent) and computes in float32 at least.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from ganexp.config.ranges import NonNegative, Positive, Shape, Whole, Widths
from ganexp.data.cache import cache_folder, cache_lock
from ganexp.errors import UserError, first_line
from ganexp.system.atomic import replacing
from ganexp.system.float32 import at_least_float32

_SLOPE = 0.2


def distance(one: Tensor, other: Tensor, kind: str) -> Tensor:
    """The mean absolute (``l1``) or squared (``mse``) difference of two tensors of the same shape: a scalar."""
    difference = at_least_float32(one) - at_least_float32(other)
    return difference.abs().mean() if kind == "l1" else difference.square().mean()


class FixedConvolutions(nn.Module):
    """Weights and biases of convolutions, as buffers that are not in ``state_dict``."""

    def __init__(self, weights: Sequence[tuple[Tensor, Tensor]]) -> None:
        super().__init__()
        self.count = len(weights)
        for index, (weight, bias) in enumerate(weights):
            self.register_buffer(f"weight{index}", weight.float().contiguous(), persistent=False)
            self.register_buffer(f"bias{index}", bias.float().contiguous(), persistent=False)

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
        rng = torch.Generator().manual_seed(self.seed)
        weights = []
        for inputs, outputs in pairwise([self.shape[0], *self.widths]):
            weight = torch.randn(outputs, inputs, 3, 3, generator=rng) * (2 / (9 * inputs)) ** 0.5
            weights.append((weight, torch.zeros(outputs)))
        return _Random(weights)


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
    weights: str | None

    def network(self) -> FixedConvolutions:
        if self.shape[0] not in (1, 3) or min(self.shape[1:]) < _SMALLEST:
            size = " x ".join(map(str, self.shape))
            raise UserError(
                f"content=vgg19: it takes images of 1 or 3 channels and {_SMALLEST} pixels or more, and these "
                f"are {size}; content=random takes any"
            )
        return _VGG(_vgg19_weights(self.weights), self.activated, self.scale)


class _VGG(FixedConvolutions):
    """Convolutions of kernel 3 and stride 1 with ReLU, and a maximum over 2 x 2 pixels between the levels."""

    def __init__(self, weights: Sequence[tuple[Tensor, Tensor]], activated: bool, scale: float) -> None:
        super().__init__(weights)
        self.activated, self.scale = activated, scale
        # of ImageNet's images in [0, 1], with which torchvision's weights were trained
        self.register_buffer("mean", torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1), persistent=False)

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


def _vgg19_weights(weights: str | None) -> list[tuple[Tensor, Tensor]]:
    """The convolutions of VGG19. Raises UserError where there are none."""
    file = Path(weights).expanduser() if weights is not None else _downloaded()
    if not file.is_file():
        raise UserError(f"game.content_features.weights={weights}: there is no such file")
    try:
        state = torch.load(file, map_location="cpu", weights_only=True, mmap=True)
        found, layer, inputs = [], 0, 3
        for widths in _VGG19:
            for outputs in widths:
                weight, bias = state[f"features.{layer}.weight"], state[f"features.{layer}.bias"]
                if list(weight.shape) != [outputs, inputs, 3, 3] or list(bias.shape) != [outputs]:
                    raise ValueError(f"features.{layer} has another shape")
                found.append((weight, bias))
                layer, inputs = layer + 2, outputs  # a ReLU follows each convolution
            layer += 1  # and a maximum each level
    except Exception as error:
        raise UserError(f"{file} does not hold torchvision's weights of VGG19: {first_line(error)}") from None
    return found


def _downloaded() -> Path:
    """torchvision's file in the cache, downloaded first if missing; its name has digits of its SHA-256."""
    from torchvision.models import VGG19_Weights  # only here: it takes long to import

    url: str = VGG19_Weights.IMAGENET1K_V1.url
    file = cache_folder() / "vgg19" / url.rpartition("/")[2]
    with cache_lock(file.parent):
        if file.is_file():
            return file
        try:
            with replacing(file) as beside:
                digits = file.stem.rpartition("-")[2]
                torch.hub.download_url_to_file(url, str(beside), hash_prefix=digits, progress=True)
        except (OSError, RuntimeError) as error:
            raise UserError(
                f"VGG19's weights are not in the cache and could not be downloaded ({str(error).strip()}): set "
                f"game.content_features.weights=<file of {file.name}>, or content=random, which needs nothing"
            ) from None
    return file
