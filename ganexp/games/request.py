"""Requests for samples of a generator, and what a game makes of them."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from torch import Tensor

MAX_ROWS = 20
"""The most rows of a grid that has one for each label or category."""


@dataclass(frozen=True)
class Request:
    """A request for samples of a generator.

    ``label``: int64 classes [count], or attributes or embeddings [count, K]; None: the game chooses.
    ``codes``: values [count] of InfoGAN's codes by their number: int64 of categorical, float32 of continuous
    ones; the others are random. ``columns``: of the grid; None: the game chooses. ``shared``: so many
    consecutive samples have the same random inputs, so that they differ in labels and codes only.
    """

    count: int
    label: Tensor | None = None
    codes: Mapping[int, Tensor] = field(default_factory=dict)
    columns: int | None = None
    shared: int = 1

    @property
    def draws(self) -> int:
        """How many random inputs are drawn; ``repeat`` makes ``count`` of them."""
        return math.ceil(self.count / self.shared)

    def repeat(self, drawn: Tensor) -> Tensor:
        """Random inputs [draws, ...], each for ``shared`` consecutive samples: [count, ...]."""
        return drawn.repeat_interleave(self.shared, 0)[: self.count]


class Inputs(NamedTuple):
    """Inputs of N calls of a generator, on the CPU; ``generator(*args)`` takes any slice of their rows.

    ``labels`` [N] or [N, K]: the labels, None where the generator takes none. ``source`` [N, ...] is drawn
    before each output in a grid, ``target`` [N, ...] after it; PSNR and SSIM compare with the target.
    ``categories`` [N, A] int64, ``continuous`` [N, B] float32: InfoGAN's codes of either kind, None without.
    ``source_labels`` [N] or [N, K]: the labels of the sources, where a game changes them.
    """

    args: tuple[Tensor, ...]
    labels: Tensor | None = None
    source: Tensor | None = None
    target: Tensor | None = None
    categories: Tensor | None = None
    continuous: Tensor | None = None
    source_labels: Tensor | None = None


class Baseline(NamedTuple):
    """What a method that learns nothing makes of the same sources: its name, and samples [N, ...]."""

    name: str
    samples: Tensor


class Grid(NamedTuple):
    """A grid of samples: the request, row by row, and the number of columns."""

    request: Request
    columns: int
