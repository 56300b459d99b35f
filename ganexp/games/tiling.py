"""Applies an image-to-image generator to sources of any size: padded, and in tiles that overlap.

A network says the ``multiple`` of its source's sides, and its ``scale``. Larger sources are cut into tiles that
overlap, and their outputs are blended: the quarter of an overlap at a tile's edge is not used, and the weights
are linear in the middle half. So a generator whose pixels depend on no more than a quarter of the overlap
around them makes what it makes of the whole image. A norm over the image sees one tile only.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from ganexp.errors import UserError
from ganexp.games.translation import Restored


@dataclass(frozen=True)
class Tiles:
    """``side``: the largest side of a source that is not cut; ``overlap``: of neighbouring tiles; in pixels."""

    side: int
    overlap: int


@torch.inference_mode()
def translated(generator: Restored, source: Tensor, tiles: Tiles, name: str) -> Tensor:
    """The output [1, C, scale h, scale w] of a source [1, c, h, w], on its device.

    Raises UserError, with the image's ``name``, where the network takes one size only and this is another.
    """
    multiple = getattr(generator.net, "multiple", None)
    if multiple is None:
        _check_size(generator, source, name)
        whole: Tensor = generator(source).float()
        return whole
    scale = int(generator.net.scale)  # type: ignore[arg-type]
    height, width = source.shape[2:]
    smallest = getattr(generator.net, "smallest", multiple)
    bottom, right = (max(smallest, side + -side % multiple) - side for side in (height, width))
    padded = generator.degrade.pad(source, bottom, right)
    if max(height, width) <= tiles.side:
        output: Tensor = generator(padded).float()
    else:
        output = _in_tiles(generator, padded, tiles, multiple, scale)
    return output[:, :, : scale * height, : scale * width]


def _check_size(generator: Restored, source: Tensor, name: str) -> None:
    _, height, width = generator.degrade.source_shape
    if list(source.shape[2:]) != [height, width]:
        raise UserError(
            f"{name} is {source.shape[3]} x {source.shape[2]}, and this run's network takes only "
            f"{width} x {height}: a convolutional one (arch=unet) takes any size"
        )


def _in_tiles(generator: Restored, source: Tensor, tiles: Tiles, multiple: int, scale: int) -> Tensor:
    """``source`` has sides that are multiples of ``multiple``, and so has each tile and its place."""
    fewest = -(-(multiple + tiles.overlap) // multiple) * multiple  # less would leave no overlap
    side = max(fewest, tiles.side // multiple * multiple)
    total: Tensor | None = None
    weights = torch.zeros(1, 1, scale * source.shape[2], scale * source.shape[3], device=source.device)
    for top, bottom in _spans(source.shape[2], side, tiles.overlap, multiple):
        for left, right in _spans(source.shape[3], side, tiles.overlap, multiple):
            output = generator(source[:, :, top:bottom, left:right]).float()
            rows = _ramp(top, bottom, source.shape[2], tiles.overlap, scale).to(source.device)
            columns = _ramp(left, right, source.shape[3], tiles.overlap, scale).to(source.device)
            weight = rows[:, None] * columns
            if total is None:
                total = output.new_zeros(1, output.shape[1], *weights.shape[2:])
            place = (..., slice(scale * top, scale * bottom), slice(scale * left, scale * right))
            total[place] += weight * output
            weights[place] += weight
    assert total is not None
    return total / weights


def _spans(length: int, side: int, overlap: int, multiple: int) -> Iterator[tuple[int, int]]:
    """Beginning and end of each tile along one axis: they overlap by ``overlap`` or more."""
    step = (side - overlap) // multiple * multiple
    begin = 0
    while begin + side < length:
        yield begin, begin + side
        begin += step
    yield max(0, length - side), length


def _ramp(begin: int, end: int, length: int, overlap: int, scale: int) -> Tensor:
    """Weights [scale (end - begin)] of a tile: 1 in its middle, 0 at edges that are not the image's."""
    places = torch.arange(scale * (end - begin), dtype=torch.float32) + 0.5
    weights = torch.ones_like(places)
    if overlap and begin > 0:
        weights = weights.minimum(2 * places / (scale * overlap) - 0.5)
    if overlap and end < length:
        weights = weights.minimum(2 * places.flip(0) / (scale * overlap) - 0.5)
    return weights.clamp(min=0)
