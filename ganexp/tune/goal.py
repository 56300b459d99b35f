"""What a search is for: a score of the runs, and whether less of it is better."""

import math
import re
from dataclasses import dataclass
from typing import Any

from ganexp.archive import Record
from ganexp.compare.measures import BETTER, SPEED
from ganexp.errors import UserError, suggest

_BETTER = {name: way for name, way in BETTER.items() if name != SPEED} | {"is": "higher"}
"""Of scores without their suffix, and of the metric that they are called by: ``is`` is ``cnn_score``."""

_SUFFIX = "(_cnn|_random|_pixels)?"
"""Whose features a score came about by."""


@dataclass(frozen=True)
class Goal:
    """A score by name, with or without its suffix; None is the first of a run's scores."""

    name: str | None
    lower: bool

    def score(self, row: dict[str, Any]) -> tuple[str, float] | None:
        """The score's full name and value in a line of metrics, where that is a finite number."""
        scores = [key.removeprefix("score/") for key in row if key.startswith("score/")]
        wanted = [key for key in scores if self.name is None or re.fullmatch(self.name + _SUFFIX, key)]
        value = row[f"score/{wanted[0]}"] if wanted else None
        return (wanted[0], float(value)) if isinstance(value, int | float) and math.isfinite(value) else None

    def series(self, record: Record) -> dict[int, float]:
        """The score at the end of each epoch that has one."""
        found = ((row.get("epoch"), self.score(row)) for row in record.rows)
        return {epoch: score[1] for epoch, score in found if isinstance(epoch, int) and score is not None}

    def best(self, values: list[float]) -> float | None:
        """The best of them, if there is one."""
        return (min if self.lower else max)(values, default=None)


def read_goal(name: str | None, direction: str | None, first: str) -> Goal:
    """``first``: the metric that a run's first score is of. Raises UserError where no direction is known."""
    if name is not None and not re.fullmatch(r"\w+", name):
        raise UserError(f"goal={name}: should be a score's name, such as fid or recall_cnn")
    stem = re.sub(_SUFFIX + "$", "", name or first)
    if direction is None and stem not in _BETTER:
        raise UserError(f"goal={name or first}: say direction=lower or higher, or {suggest(stem, _BETTER)}")
    return Goal(name, (direction or _BETTER[stem]) == "lower")
