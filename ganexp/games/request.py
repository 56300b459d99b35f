"""Requests for samples of a generator, and what a game makes of them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from torch import Tensor


@dataclass(frozen=True)
class Request:
    """A request for samples of a generator.

    ``label``: int64 classes [count], or attributes or embeddings [count, K]; None: the game chooses.
    ``codes``: values of InfoGAN's codes by their number. ``truncation``: of the latents, None for none.
    """

    count: int
    label: Tensor | None = None
    codes: Mapping[int, float] = field(default_factory=dict)
    truncation: float | None = None


class Inputs(NamedTuple):
    """Inputs of N calls of a generator, on the CPU; ``generator(*args)`` takes any slice of their rows.

    ``labels`` [N] or [N, K]: the labels, None where the generator takes none. ``source`` [N, ...] is drawn
    before each output in a grid, ``target`` [N, ...] after it; PSNR and SSIM compare with the target.
    """

    args: tuple[Tensor, ...]
    labels: Tensor | None = None
    source: Tensor | None = None
    target: Tensor | None = None


class Grid(NamedTuple):
    """A grid of samples: the request, row by row, and the number of columns."""

    request: Request
    columns: int
