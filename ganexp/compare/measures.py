"""A run's scores: the best and the final value of each, and their order."""

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from ganexp.metrics.directions import Direction
from ganexp.runs.saved_run import SavedRun

DIVERSITY, SPEED = "diversity", "images_per_second"
EXTRA = (DIVERSITY, SPEED)
"""Measured in every run, even without scores. Diversity has no direction: 1 is that of real samples."""

_KEYS = {DIVERSITY: "sentinel/diversity", SPEED: "speed/images_per_second"}


class Measured(NamedTuple):
    """A run's best and last value; None where it is missing or not finite."""

    best: float | None
    final: float | None


def scores_of(records: Iterable[SavedRun]) -> list[str]:
    """The names of all scores, in the order in which they were logged."""
    keys = (key for record in records for row in record.rows for key in row)
    return list(dict.fromkeys(key.removeprefix("score/") for key in keys if key.startswith("score/")))


def series(record: SavedRun, name: str) -> list[tuple[int, float]]:
    """Pairs of images seen and value of a score, diversity or speed; non-finite values are left out."""
    found = record.series(_KEYS.get(name, f"score/{name}"))
    return [(images, value) for images, value in found if math.isfinite(value)]


def measured(record: SavedRun, name: str) -> Measured:
    """A run's best and final value so far. Best is None for EXTRA and where no direction is known."""
    values = [value for _, value in series(record, name)]
    direction = record.direction(name)
    best = (min(values) if direction == "lower" else max(values)) if values else None
    return Measured(None if direction == "unknown" or name in EXTRA else best, _final(record, name, values))


def has_scores(record: SavedRun) -> bool:
    """Whether the run has logged any score."""
    return any(key.startswith("score/") for row in record.rows for key in row)


def ordered(values: Sequence[tuple[str, float]], direction: Direction) -> list[str]:
    """Names sorted by value, the best first; alphabetically where no direction is known."""
    if direction == "unknown":
        return sorted(name for name, _ in values)
    return [name for name, _ in sorted(values, key=lambda pair: pair[1], reverse=direction == "higher")]


def _final(record: SavedRun, name: str, values: Sequence[float]) -> float | None:
    """The value of the last scored epoch; None if it is not finite, never an earlier epoch's value instead."""
    if name == SPEED:
        whole = record.manifest.get("images_per_second")
        if isinstance(whole, int | float) and math.isfinite(whole):
            return float(whole)
    key = _KEYS.get(name, f"score/{name}")
    last = next((row[key] for row in reversed(record.rows) if key in row), None)
    return values[-1] if values and isinstance(last, int | float) and math.isfinite(last) else None
