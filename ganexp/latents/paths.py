r"""Ways between two points of a latent space.

    linear       p(t) = (1 - t) a + t b
    spherical    p(t) = r(t) [sin((1 - t) theta) a / |a| + sin(t theta) b / |b|] / sin(theta),
                 cos(theta) = <a, b> / (|a| |b|),   r(t) = (1 - t) |a| + t |b|

Spherical: Shoemake 1985 (slerp); White 2016 for latents. Almost all points of a normal prior have the length
sqrt(size). Halfway between two of them, a straight line has sqrt(size / 2), where a generator was not trained.
"""

from typing import Protocol

import torch
from torch import Tensor

from ganexp.latents.latent_space import LatentSpace

_STRAIGHT = 1e-4
"""An angle, in radians, below which an arc and a line are the same in float32."""


class Path(Protocol):
    """How points between two are made."""

    def __call__(self, space: LatentSpace, start: Tensor, end: Tensor, shares: Tensor) -> Tensor:
        """Points [S, ..., size] at the shares [S] of the way from ``start`` to ``end`` [..., size]."""
        ...


class Linear:
    """A straight line."""

    def __call__(self, space: LatentSpace, start: Tensor, end: Tensor, shares: Tensor) -> Tensor:
        return linear(start, end, shares)


class Spherical:
    """An arc around 0; InfoGAN's codes, which are no noise, go straight."""

    def __call__(self, space: LatentSpace, start: Tensor, end: Tensor, shares: Tensor) -> Tensor:
        sizes = [space.noise_size, space.size - space.noise_size]
        (noise, codes), (other, other_codes) = (point.split(sizes, -1) for point in (start, end))
        return torch.cat([spherical(noise, other, shares), linear(codes, other_codes, shares)], -1)


class BySpace:
    """The arc where the space is spherical, else the line."""

    def __call__(self, space: LatentSpace, start: Tensor, end: Tensor, shares: Tensor) -> Tensor:
        kind = Spherical() if space.spherical else Linear()
        return kind(space, start, end, shares)


def linear(start: Tensor, end: Tensor, shares: Tensor) -> Tensor:
    """Points [S, ..., D] on a straight line; the ends are exact."""
    t = shares.view(-1, *[1] * start.dim())
    return (1 - t) * start + t * end


def spherical(start: Tensor, end: Tensor, shares: Tensor) -> Tensor:
    """Points [S, ..., D] on an arc around 0; a line where the two are parallel, or one is 0."""
    t = shares.view(-1, *[1] * start.dim()).double()
    a, b = start.double(), end.double()
    lengths = [point.norm(dim=-1, keepdim=True) for point in (a, b)]
    unit, other = (point / length.clamp(min=1e-12) for point, length in zip((a, b), lengths, strict=True))
    angle = (unit * other).sum(-1, keepdim=True).clamp(-1, 1).acos()
    arc = (((1 - t) * angle).sin() * unit + (t * angle).sin() * other) / angle.sin()
    points = ((1 - t) * lengths[0] + t * lengths[1]) * arc
    straight = angle.sin() < _STRAIGHT
    return torch.where(straight, linear(a, b, shares.double()), points).to(start.dtype)
