"""What a page of runs can ask for, and what it is given."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from ganexp.play.html import Shown

Label = int | Mapping[int, int] | None
"""A class; attributes, each 0 or 1; None: the game chooses."""


class Asked(NamedTuple):
    """One state of a page's controls.

    ``moves``: of each slider, in standard deviations. ``codes``: InfoGAN's by their number; the others are
    random. ``other_seed``: of the samples that ``share`` in [0, 1] of the way leads to.
    """

    n: int
    seed: int
    label: Label = None
    codes: Mapping[int, float] = {}
    truncation: float | None = None
    moves: tuple[float, ...] = ()
    other_seed: int = 1
    share: float = 0.0


class Facts(NamedTuple):
    """What runs can be asked for.

    ``sliders``: the names of latents or directions. ``labels``: the names of classes or attributes, empty
    without; ``several``: whether a sample may have several of them. ``codes``: the categories of each, 0 of
    continuous ones. ``truncates``: whether latents can be truncated. ``names``: of the runs.
    """

    names: tuple[str, ...]
    sliders: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    several: bool = False
    codes: tuple[int, ...] = ()
    truncates: bool = False


class Translating(NamedTuple):
    """What a page of image translators can be asked for.

    ``directions``: their names, empty where there is one. ``degrades``: whether a run can make its sources of
    images.
    """

    names: tuple[str, ...]
    directions: tuple[str, ...]
    labels: tuple[str, ...]
    several: bool
    degrades: bool


Draw = Callable[[Asked], list[Shown | str]]
"""A picture of each run, or what is wrong."""


class Image(NamedTuple):
    """An image file that is to be translated, and how."""

    name: str
    content: bytes
    direction: str | None
    label: Label
    degrades: bool


Translate = Callable[[Image], list[Shown | str]]
"""The source and what each run makes of it, or what is wrong."""
