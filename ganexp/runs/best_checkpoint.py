"""``checkpoints/best.pt``: which score chooses it, the best value so far, and the file."""

import math
import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from ganexp.errors import UserError, suggest
from ganexp.metrics.directions import Direction, direction_of
from ganexp.runs.stored_checkpoints import read_valid
from ganexp.system.atomic import replacing
from ganexp.system.tensor_file import Damaged


class BestCheckpoint:
    """The best checkpoint of a run, on rank 0.

    ``value`` is the score of ``best.pt``. It is None while there is no such file, and the next finite score is
    then the best. Every checkpoint holds it as ``progress.best``.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        self.value: float | None = None
        self._score = ""
        self._direction: Direction = "unknown"

    def choose_score(
        self, settings: DictConfig, scores: Sequence[str], suffix: str, directions: Mapping[str, Direction]
    ) -> None:
        """Chooses the score that decides, by ``evaluate.best``; by default the first of ``scores``.

        ``scores``: the names of all scores; a setting may leave out ``suffix``, that of the features.
        ``directions``: see ``metrics/directions.py``. Raises UserError if there is no such score.
        """
        wanted = settings.score or scores[0]
        named = [name for name in scores if name in (wanted, wanted + suffix)]
        if not named:
            raise UserError(f"evaluate.best.score={wanted}: no such score; {suggest(wanted, scores)}")
        self._score = named[0]
        self._direction = settings.direction or direction_of(self._score, directions)

    def improves(self, scores: Mapping[str, float]) -> bool:
        """Whether the chosen one of ``scores`` is the best so far; if so, stores it as ``value``."""
        score = self._value_in(scores)
        if not math.isfinite(score):
            return False
        lower = self._direction == "lower"
        better = self.value is None or (score < self.value if lower else score > self.value)
        if better:
            self.value = score
        return better

    def _value_in(self, scores: Mapping[str, float]) -> float:
        """The chosen score, or NaN. It lacks the features' suffix if real samples do not have it."""
        named = (name for name in scores if name.startswith(f"{self._score}_") and not name.endswith("_std"))
        return scores.get(self._score, scores.get(next(named, ""), math.nan))

    def write(self, checkpoint: Path) -> None:
        """Makes a copy of a complete checkpoint file ``best.pt``. Raises OSError."""
        with replacing(self.file, self.file.parent.parent) as temporary:
            shutil.copyfile(checkpoint, temporary)

    def write_failed(self, value: float | None) -> None:
        """Called where the checkpoint with that score was not written; a better one may have come since."""
        if self.value == value:
            self.value = None

    def restore(self, progress: Mapping[str, Any]) -> None:
        """Takes ``value`` from a checkpoint's ``progress``; None where the file is missing."""
        value = progress.get("best")
        self.value = value if isinstance(value, int | float) and self.file.is_file() else None

    def discard_after(self, step: int) -> None:
        """Removes ``best.pt`` if it is damaged or from after ``step``: a rollback has discarded those steps."""
        with suppress(Damaged):
            if self.file.is_file() and read_valid(self.file)["progress"]["step"] <= step:
                return
        self.file.unlink(missing_ok=True)
