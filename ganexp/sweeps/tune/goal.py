"""The objective of a search: a score of the runs, and whether lower is better."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ganexp.errors import UserError, suggest
from ganexp.metrics.directions import metric_directions, shipped_directions
from ganexp.runs.saved_run import SavedRun

_SUFFIX = "(_cnn|_random|_pixels)?"
"""The suffix that names a score's features."""


@dataclass(frozen=True)
class Goal:
    """A score by name, with or without its suffix; None is the first score of a run."""

    name: str | None
    lower: bool

    def score(self, row: dict[str, Any]) -> tuple[str, float] | None:
        """The score's full name and value in a row of metrics.jsonl; None where it is absent or not finite."""
        scores = [key.removeprefix("score/") for key in row if key.startswith("score/")]
        wanted = [key for key in scores if self.name is None or re.fullmatch(self.name + _SUFFIX, key)]
        value = row[f"score/{wanted[0]}"] if wanted else None
        return (wanted[0], float(value)) if isinstance(value, int | float) and math.isfinite(value) else None

    def series(self, record: SavedRun) -> dict[int, float]:
        """The score at the end of each epoch that has one."""
        found = ((row.get("epoch"), self.score(row)) for row in record.rows)
        return {epoch: score[1] for epoch, score in found if isinstance(epoch, int) and score is not None}

    def best(self, values: list[float]) -> float | None:
        """The best value, or None if there are none."""
        return (min if self.lower else max)(values, default=None)


def read_goal(name: str | None, direction: str | None, metrics: Mapping[str, Any]) -> Goal:
    """The goal; without a ``name``, the score of the first of the runs' ``metrics``.

    Raises UserError where the name is malformed or no direction is known.
    """
    if name is not None and not re.fullmatch(r"\w+", name):
        raise UserError(f"goal={name}: should be a score's name, such as fid or recall_cnn")
    by_metric = {metric: metric_directions([str(node["_target_"])]) for metric, node in metrics.items()}
    known = dict(shipped_directions())
    for metric, scores in by_metric.items():
        known |= scores
        for first in list(scores.values())[:1]:
            known.setdefault(
                metric, first
            )  # a metric's name may differ from its score's: metrics=is, cnn_score
    base = re.sub(_SUFFIX + "$", "", name or next(iter(metrics)))
    if direction is None and base not in known:
        raise UserError(
            f"goal={base}: unknown score; {suggest(base, known)}; for another, add direction=lower or higher"
        )
    return Goal(name, (direction or known[base]) == "lower")
