"""Scores of a run's generator while it trains: when they are taken, and which is the best so far."""

import math

import torch
from omegaconf import DictConfig
from torch import nn

from ganexp.data.arrays import Arrays
from ganexp.data.source import Source
from ganexp.errors import UserError, suggest
from ganexp.games.game import Game
from ganexp.games.sampling import with_own_statistics
from ganexp.metrics.directions import direction_of
from ganexp.metrics.metric import Scores
from ganexp.metrics.table import score_table
from ganexp.training.evaluation import Evaluator
from ganexp.training.state import Progress


class PeriodicEvaluation:
    """Scores a run's generator every ``evaluate.every`` epochs."""

    def __init__(self, source: Source, data: Arrays, game: Game, cfg: DictConfig, device: torch.device) -> None:
        self._arguments = (source, data, cfg, device)
        self._game = game
        self._best = cfg.evaluate.best
        self._published = cfg.evaluate.published
        self._every = cfg.evaluate.every
        self._evaluator: Evaluator | None = None
        self._floor: Scores = {}
        self._last: Scores = {}

    @property
    def enabled(self) -> bool:
        """Whether ``evaluate.every`` is set."""
        return self._every is not None

    def is_due(self, epoch: int, *, last: bool) -> bool:
        """Whether to score at this epoch's end: every ``evaluate.every`` epochs and after the last one."""
        return self._every is not None and (last or epoch % self._every == 0)

    def prepare(self) -> list[str]:
        """Builds the evaluator; returns log lines: number of samples, features, the floor and warnings.

        Raises UserError where the metrics do not fit the data.
        """
        source, data, cfg, device = self._arguments
        self._evaluator = evaluator = Evaluator(source, data, cfg, device)
        self._inputs = evaluator.inputs(self._game, data)
        self._floor = floor = evaluator.floor()
        self._choose(floor, evaluator)
        told = ", ".join(f"{name} {score:.3f}" for name, score in floor.items())
        of_real = f"; {evaluator.compared}: {told}" if floor else ""
        return [
            f"scored by {evaluator.count:,} samples and {evaluator.features.about}{of_real}",
            *evaluator.warnings(),
        ]

    def __call__(self, generator: nn.Module) -> Scores:
        """The generator's scores by name. ``prepare`` must have been called."""
        assert self._evaluator is not None, "prepare() comes first"
        generator = with_own_statistics(self._game, generator, self._arguments[3])
        self._last = self._evaluator.score_generator(generator, self._inputs)
        return self._last

    def closing(self, images: int) -> str:
        """A table of the last scores, after ``images`` images, beside the floor and the published scores."""
        return score_table(self._last, self._floor, self._published, images)

    def improves(self, scores: Scores, progress: Progress) -> bool:
        """Whether the score ``evaluate.best`` is the best so far; if so, stores it in ``progress.best``."""
        if not scores or not math.isfinite(scores.get(self._score, math.nan)):
            return False
        score, before = scores[self._score], progress.best
        better = before is None or (score < before if self._lower else score > before)
        if better:
            progress.best = score
        return better

    def _choose(self, floor: Scores, evaluator: Evaluator) -> None:
        """Chooses the score that decides which checkpoint is best. Raises UserError if it does not exist."""
        stems = [stem for stem in evaluator.directions if not any(name.startswith(stem) for name in floor)]
        known = [*floor, *stems]  # the floor lacks scores that are not defined for real samples
        wanted = self._best.score or known[0]
        named = [name for name in known if name in (wanted, wanted + evaluator.features.suffix)]
        if not named:
            raise UserError(f"evaluate.best.score={wanted}: no such score; {suggest(wanted, known)}")
        self._score = named[0]
        self._lower = (self._best.direction or direction_of(self._score, evaluator.directions)) == "lower"
