"""Random holes of images, by a number of operations that is always the same: [N, 1, H, W], 1 in the hole."""

import math

import torch
from torch import Tensor

from ganexp.data.degradations.degradation import uniform


def box_masks(x: Tensor, rng: torch.Generator | None, most: int, size: float) -> Tensor:
    """One to ``most`` boxes for each image of ``x``, with sides of ``size`` / 4 to ``size`` times its own."""
    active = _some(x, rng, most)
    inside = []
    for length in x.shape[2:]:
        sides = (length * size * (0.25 + 0.75 * uniform(x, rng, len(x), most, 1))).round().clamp(min=1)
        first = torch.floor(uniform(x, rng, len(x), most, 1) * (length - sides + 1))
        places = torch.arange(length, device=x.device)
        inside.append((places >= first) & (places < first + sides))
    boxes = inside[0][..., :, None] & inside[1][..., None, :] & active[..., None, None]
    return boxes.any(1, keepdim=True).to(x.dtype)


def stroke_masks(
    x: Tensor, rng: torch.Generator | None, most: int, vertices: int, length: float, width: float
) -> Tensor:
    """One to ``most`` strokes for each image of ``x``: free-form masks after Yu et al. 2019, section 3.

    A stroke is a polyline with round joints, of two to ``vertices`` vertices. It turns to and fro, by 48 to 96
    degrees to either side of its heading. Segments are at most ``length`` long and strokes at most ``width``
    wide, in units of the image's shorter side, and at least a third of that. Vertices stay in the image.

    A stroke that has fewer vertices has some that coincide, so that nothing depends on the numbers drawn.
    """
    height, widths = x.shape[2:]
    unit, shape = min(height, widths), (len(x), most)
    y, across = (uniform(x, rng, *shape) * limit for limit in (height - 1, widths - 1))
    heading = 2 * math.pi * uniform(x, rng, *shape)
    radius = (width * unit * (1 + 2 * uniform(x, rng, *shape)) / 6).clamp(min=0.75)[..., None, None]
    active = _some(x, rng, most)
    count = 1 + torch.floor(uniform(x, rng, *shape) * (vertices - 1))
    rows = torch.arange(height, device=x.device)[:, None].to(x.dtype)
    columns = torch.arange(widths, device=x.device)[None, :].to(x.dtype)
    inside = torch.zeros(*shape, height, widths, dtype=torch.bool, device=x.device)
    for segment in range(vertices - 1):
        turn = (-1) ** segment * math.radians(48) * (1 + uniform(x, rng, *shape))
        step = length * unit * (1 + 2 * uniform(x, rng, *shape)) / 3 * (segment < count)
        next_y = (y + step * torch.sin(heading + turn)).clamp(0, height - 1)
        next_x = (across + step * torch.cos(heading + turn)).clamp(0, widths - 1)
        inside |= _distance(rows, columns, (y, across), (next_y, next_x)) <= radius
        y, across = next_y, next_x
    return (inside & active[..., None, None]).any(1, keepdim=True).to(x.dtype)


def _some(x: Tensor, rng: torch.Generator | None, most: int) -> Tensor:
    """Which of ``most`` there are, for each image: bool [N, most], the first one always."""
    count = 1 + torch.floor(uniform(x, rng, len(x), 1) * most)
    return torch.arange(most, device=x.device) < count


def _distance(
    rows: Tensor, columns: Tensor, start: tuple[Tensor, Tensor], end: tuple[Tensor, Tensor]
) -> Tensor:
    """The distance of each pixel to segments [N, S]: [N, S, H, W], in pixels."""
    y, x = (place[..., None, None] for place in start)
    along_y, along_x = (last[..., None, None] - first for last, first in zip(end, (y, x), strict=True))
    squared = (along_y**2 + along_x**2).clamp(min=1e-8)
    share = (((rows - y) * along_y + (columns - x) * along_x) / squared).clamp(0, 1)
    return torch.sqrt((rows - y - share * along_y) ** 2 + (columns - x - share * along_x) ** 2)
