"""The layers of a generator that take its points, and the first activations behind them.

They are found by looking at what each layer is given, so that no architecture has to name its layers: a layer
takes points if its input holds the numbers of a point as they are (a part of them in BigGAN's blocks), or
divided by a length (progressive networks, StyleGAN2's mapping), beside labels or not.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ganexp.errors import UserError
from ganexp.latents.latent_space import LatentSpace
from ganexp.system.float32 import full_float32

_LOOKED_AT = 6
"""Random points by which layers are found."""


class Call(NamedTuple):
    """A layer with weights, its name, and its input [N, ...] at its first call."""

    name: str
    layer: nn.Module
    x: Tensor


@contextmanager
def recorded(generator: nn.Module) -> Iterator[list[Call]]:
    """Lists the first calls of all layers with weights, in their order, while the generator is run."""
    calls: dict[str, Call] = {}

    def record(name: str) -> object:
        def hook(layer: nn.Module, arguments: tuple[Tensor, ...]) -> None:
            if arguments and isinstance(arguments[0], Tensor):
                calls.setdefault(name, Call(name, layer, arguments[0].detach()))

        return hook

    found: list[Call] = []
    hooks = [
        module.register_forward_pre_hook(record(name))
        for name, module in generator.named_modules()
        if isinstance(weight := getattr(module, "weight", None), Tensor) and weight.dim() > 1
    ]
    try:
        yield found
    finally:
        for handle in hooks:
            handle.remove()
        found += calls.values()


class Looked(NamedTuple):
    """``first``: W [outputs, size] of each layer that takes points. ``behind``: the names of those after."""

    first: list[Tensor]
    behind: list[str]


@torch.no_grad()
@full_float32()
def look(space: LatentSpace) -> Looked:
    """Finds both in one run of the generator at random points of one label. Raises UserError without any."""
    rng = torch.Generator().manual_seed(0)
    label = space.random_labels(1, rng)
    labels = None if label is None else label.expand(_LOOKED_AT, *label.shape[1:])
    points = space.draw(_LOOKED_AT, rng, labels) + torch.randn(_LOOKED_AT, space.size, generator=rng)
    with recorded(space.generator) as calls:
        space.images(points, labels)
    first, behind = [], []
    for call in calls:
        columns = _columns_of_points(call.x, points)
        matrix = _matrix(call, columns, space.size) if columns else None
        if matrix is not None:
            first.append(matrix)
        elif bool((call.x - call.x[:1]).abs().amax() > 0):  # what differs from point to point, as labels do not
            behind.append(call.name)
    if not first:
        raise UserError("method: no layer of this generator takes its latents as they are; use method=ganspace")
    return Looked(first, behind)


def _columns_of_points(x: Tensor, points: Tensor) -> dict[int, int]:
    """Which number of a point stands in which column of a layer's input [N, D, ...]; empty if none does."""
    if len(x) != len(points) or x[0].numel() != x.shape[1]:
        return {}
    flat, points = x.flatten(1).float().cpu(), points.float()
    equal = (flat[:, None] == points[:, :, None]).all(0).nonzero().tolist()
    if equal:
        return dict(equal)
    size = points.shape[1]
    if flat.shape[1] < size:
        return {}
    lengths = flat[:, :size].norm(dim=1, keepdim=True) / points.norm(dim=1, keepdim=True)
    alike = torch.allclose(flat[:, :size], lengths * points, rtol=1e-3, atol=1e-5) and bool((lengths > 0).all())
    return {number: number for number in range(size)} if alike else {}


def _matrix(call: Call, columns: dict[int, int], size: int) -> Tensor | None:
    """W [outputs, size], float32 on the CPU, of an affine layer; None if it is not affine."""
    zero = torch.zeros_like(call.x[:1])
    basis = zero.repeat(len(columns) + 1, *[1] * (call.x.dim() - 1))
    for row, column in enumerate(columns.values()):
        basis[row + 1, column] = 1
    at_zero, *_ = outputs = call.layer(basis).flatten(1).float()
    slopes = (outputs[1:] - at_zero).T
    numbers = call.x.flatten(1)[:, list(columns.values())].float()
    given = torch.zeros_like(call.x)
    given[:, list(columns.values())] = call.x[:, list(columns.values())]
    expected = at_zero + numbers @ slopes.T
    if not torch.allclose(call.layer(given).flatten(1).float(), expected, rtol=1e-2, atol=1e-3):
        return None
    matrix = torch.zeros(len(slopes), size)
    matrix[:, list(columns)] = slopes.cpu()
    return matrix
