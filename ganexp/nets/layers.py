"""What several architectures are made of."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from ganexp.errors import UserError

IMAGE_NORMS: dict[str, Callable[[int], nn.Module]] = {
    "batch": nn.BatchNorm2d,
    "layer": lambda channels: nn.GroupNorm(1, channels),
    "instance": lambda channels: nn.InstanceNorm2d(channels, affine=True),
    "none": lambda channels: nn.Identity(),
}
"""Norms of feature maps [N, C, H, W], by their name in a configuration."""

FLAT_NORMS: dict[str, Callable[[int], nn.Module]] = {
    "batch": nn.BatchNorm1d,
    "layer": nn.LayerNorm,
    "none": lambda units: nn.Identity(),
}
"""Norms of feature vectors [N, C]."""


class LatentNet(nn.Module):
    """A generator that is fed noise: the base of every architecture's ``Generator``."""

    latent: int
    """How many numbers z has."""

    classes: int
    """How many labels it can be asked for; 0 if none."""


def one_hot(y: Tensor | None, classes: int) -> Tensor:
    """Labels [N] as vectors [N, classes] of 0 and 1. Raises UserError if there are no labels."""
    if y is None:
        raise UserError("these networks expect labels (classes > 0): train them with game=cgan")
    return functional.one_hot(y, classes).to(torch.get_default_dtype())


def count_weights(module: nn.Module) -> int:
    """How many numbers training changes."""
    return sum(parameter.numel() for parameter in module.parameters())
