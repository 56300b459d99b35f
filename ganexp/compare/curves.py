"""Curves and axes; a group's score over images seen: the mean of its runs, the range from lowest to highest."""

import math
from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

from ganexp.compare.groups import Group
from ganexp.compare.measures import series


class Point(NamedTuple):
    """At ``x``, such as images seen: the mean, the lowest and the highest of ``n`` values."""

    x: float
    mean: float
    low: float
    high: float
    n: int


class Curve(NamedTuple):
    """A group's points; ``rank`` is the group's rank, from 0."""

    rank: int
    label: str
    points: list[Point]


class Axis(NamedTuple):
    """An axis from ``low`` to ``high`` with ticks, linear or logarithmic."""

    low: float
    high: float
    ticks: list[float]
    logarithmic: bool

    def position(self, value: float) -> float:
        """The value's position on the axis, 0 at ``low`` and 1 at ``high``."""
        low, high, at = (math.log10(x) if self.logarithmic else x for x in (self.low, self.high, value))
        return (at - low) / (high - low)


def curve(rank: int, group: Group, name: str) -> Curve:
    """The group's score at each number of images where at least half of its scored runs have a value.

    With fewer values, one run's curve would look like the group's.
    """
    values: dict[int, list[float]] = defaultdict(list)
    curves = [found for run in group.runs if (found := series(run, name))]
    for found in curves:
        for images, value in found:
            values[images].append(value)
    enough = [images for images in sorted(values) if 2 * len(values[images]) >= len(curves)] or sorted(values)
    points = [
        Point(images, sum(at) / len(at), min(at), max(at), len(at))
        for images in enough
        if (at := values[images])
    ]
    return Curve(rank, group.label, points)


def axis(values: Sequence[float], *, may_be_logarithmic: bool) -> Axis:
    """An axis that contains all values, with about five ticks at round numbers; logarithmic above a decade."""
    low, high = min(values), max(values)
    if may_be_logarithmic and low > 0 and high > 10 * low:
        return Axis(low * 0.9, high * 1.1, _round_logarithms(low, high), True)
    margin = 0.05 * (high - low) or 0.05 * abs(high) or 1.0
    low, high = (0.0 if low >= 0 > low - margin else low - margin), high + margin
    step = _round_step((high - low) / 5)
    first = math.ceil(low / step)
    return Axis(low, high, [n * step for n in range(first, math.floor(high / step) + 1)], False)


def _round_step(rough: float) -> float:
    """``rough`` rounded up to 1, 2, 2.5 or 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(rough))
    return next((factor * power for factor in (1, 2, 2.5, 5) if factor * power >= rough), 10 * power)


def _round_logarithms(low: float, high: float) -> list[float]:
    """1, 2 and 5 times the powers of ten from ``low`` to ``high``; only the powers over three decades."""
    factors = (1, 2, 5) if high < 1000 * low else (1,)
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    ticks = [factor * 10.0**power for power in powers for factor in factors]
    return [tick for tick in ticks if low * 0.9 <= tick <= high * 1.1]
