"""Walks through a latent space: from one random point to the next, or along one number of a point."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from ganexp.latents.latent_space import LatentSpace
from ganexp.latents.paths import Path


class Walk(NamedTuple):
    """The points of W walks that are shown at the same time.

    ``points`` [W, T, size]. ``ways`` [R, S]: which of the T points lead from one end to another, both included.
    ``closed``: whether the point after the last one is the first.
    """

    points: Tensor
    ways: Tensor
    closed: bool


def between_points(space: LatentSpace, keys: Tensor, path: Path, steps: int, *, loop: bool) -> Walk:
    """Walks through the points ``keys`` [W, n, size], in ``steps`` steps from each to the next."""
    starts, ends = (keys, keys.roll(-1, 1)) if loop else (keys[:, :-1], keys[:, 1:])
    shares = torch.linspace(0, 1, steps + 1)[:-1]
    points = path(space, starts, ends, shares).permute(1, 2, 0, 3).flatten(1, 2)
    if not loop:
        points = torch.cat([points, keys[:, -1:]], 1)
    ways = torch.arange(starts.shape[1])[:, None] * steps + torch.arange(steps + 1)
    return Walk(points, ways % points.shape[1], loop)


def along_numbers(points: Tensor, numbers: Sequence[int], values: Tensor) -> Walk:
    """Walks of points [W, size], each along one of its ``numbers`` [W], with the values [W, S] in turn."""
    moved = points[:, None].repeat(1, values.shape[1], 1)
    for walk, number in enumerate(numbers):
        moved[walk, :, number] = values[walk]
    return Walk(moved, torch.arange(values.shape[1])[None], closed=False)
