"""Scores a run's generator while it trains."""

import math
from collections.abc import Mapping

import torch
from omegaconf import DictConfig
from torch import nn

from ganexp.data.arrays import Arrays
from ganexp.data.source import Source
from ganexp.games.game import Game
from ganexp.games.sampling import recompute_batch_norm
from ganexp.metrics.metric import Scores
from ganexp.metrics.table import score_line, score_table
from ganexp.runs.best_checkpoint import BestCheckpoint
from ganexp.training.evaluation import Evaluator

REAL = "real"
"""What the floor's scores are of."""


class PeriodicEvaluation:
    """Scores a run's generator every ``evaluate.every`` epochs, and earlier in the first of them."""

    def __init__(self, source: Source, data: Arrays, game: Game, cfg: DictConfig, device: torch.device) -> None:
        self._arguments = (source, data, cfg, device)
        self._game = game
        self._published = cfg.evaluate.published
        self._every = cfg.evaluate.every if cfg.metrics else None
        self._early = cfg.evaluate.early
        self._batch_size = cfg.batch_size
        self._evaluator: Evaluator | None = None
        self._beside: dict[str, Scores] = {}
        self._last: Scores = {}
        self._previous: Scores = {}

    @property
    def enabled(self) -> bool:
        """Whether ``evaluate.every`` is set, and there are metrics."""
        return self._every is not None

    def is_due(self, epoch: int, images: int, *, ended: bool = True, last: bool = False) -> bool:
        """Whether to score after the step that ends at ``images``, within ``epoch`` or where it has ``ended``.

        Due are every ``evaluate.every``-th epoch and the ``last`` one, and in the first ``evaluate.every``
        epochs also the steps that reach 1, 2, 4, 8 ... times ``evaluate.early`` images.
        """
        if self._every is None:
            return False
        before, now = (self._doublings(count) for count in (images - self._batch_size, images))
        early = epoch <= self._every and now > before
        return last or early or (ended and epoch % self._every == 0)

    def _doublings(self, images: int) -> int:
        """How many of 1, 2, 4, 8 ... times ``evaluate.early`` are reached."""
        return (images // self._early).bit_length() if self._early else 0

    def prepare(self, best: BestCheckpoint, previous: Mapping[str, float] | None = None) -> list[str]:
        """Builds the evaluator, and chooses the score that decides which checkpoint is ``best``.

        ``previous``: the last scores of a resumed run; see ``changes``. Returns log lines: number of samples,
        features, the floor, a trivial method's scores, and warnings. Raises UserError where the metrics do not
        fit the data, or where there is no such score.
        """
        source, data, cfg, device = self._arguments
        self._previous = dict(previous or {})
        self._evaluator = evaluator = Evaluator(source, data, cfg, device)
        self._inputs = evaluator.inputs(self._game, data)
        floor = evaluator.floor()
        baseline = evaluator.score_baseline(self._game, self._inputs)
        self._beside = {REAL: floor} | (dict([baseline]) if baseline else {})
        only_generated = [
            stem for stem in evaluator.directions if not any(name.startswith(stem) for name in floor)
        ]
        names = [*floor, *only_generated]  # the floor lacks scores that are not defined for real samples
        best.choose_score(cfg.evaluate.best, names, evaluator.features.suffix, evaluator.directions)
        of_real = f"; {evaluator.compared}: {_listed(floor)}" if floor else ""
        trivial = [f"by {name}: {_listed(scores)}" for name, scores in self._beside.items() if name != REAL]
        return [
            f"scored by {evaluator.count:,} samples and {evaluator.features.about}{of_real}",
            *trivial,
            *evaluator.warnings(),
        ]

    def __call__(self, generator: nn.Module) -> Scores:
        """The generator's scores by name. ``prepare`` must have been called."""
        assert self._evaluator is not None, "prepare() comes first"
        generator = recompute_batch_norm(self._game, generator, self._arguments[3])
        self._last = self._evaluator.score_generator(generator, self._inputs)
        return self._last

    def changes(self, scores: Scores) -> str:
        """One line: the scores beside their floor, and whether each is better than in the last call."""
        assert self._evaluator is not None, "prepare() comes first"
        line = score_line(scores, self._beside, self._previous, self._evaluator.directions)
        self._previous |= {name: score for name, score in scores.items() if not math.isnan(score)}
        return line

    def closing(self, images: int) -> str:
        """A table of the last scores, after ``images`` images, beside the floor and the published scores."""
        return score_table(self._last, self._beside, self._published, images)


def _listed(scores: Scores) -> str:
    return ", ".join(f"{name} {score:.3f}" for name, score in scores.items())
