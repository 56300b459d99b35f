"""How good is a generator: the metrics of a configuration, against real samples kept for comparison.

Everything has a seed of its own, so that looking never changes a run: which real samples, which latents, the
subsets of a metric. Real against real, with as many samples on each side, is the floor: no generator can
be expected below it.
"""

import hashlib
import math
from pathlib import Path

import numpy as np
import torch
from omegaconf import DictConfig
from torch import nn

from ganexp.build import build
from ganexp.data.arrays import Arrays
from ganexp.data.batches import seed_for
from ganexp.data.cache import alone, cache_folder
from ganexp.data.source import Source
from ganexp.device import random_numbers_left_alone
from ganexp.errors import UserError, suggest
from ganexp.files import replacing
from ganexp.games.game import Game, Inputs, Request
from ganexp.metrics.features import Extracted, Features
from ganexp.metrics.scores import Metric, Pair, Scores
from ganexp.metrics.table import score_table
from ganexp.reference import reference
from ganexp.sampling import generate
from ganexp.state import Progress

_BATCH = 100


class Evaluator:
    """Scores generators of one data set. Raises UserError where the metrics do not fit the data."""

    def __init__(self, source: Source, data: Arrays, cfg: DictConfig, device: torch.device) -> None:
        self._source = source
        self._device = device
        self._metrics: dict[str, Metric] = {name: build(node) for name, node in cfg.metrics.items()}
        self.lower_is_better: dict[str, bool] = {}
        """Of each score taken so far, whether it is a distance."""
        self._seed = cfg.evaluate.seed
        self.count = min(cfg.evaluate.count, len(data.samples) // 2)
        if self.count < 2:
            raise UserError(f"evaluate: {len(data.samples)} real samples are too few to compare with")
        with random_numbers_left_alone(device):
            self.features: Features = build(cfg.features)(data, device)
            self.real, self._other = self._real_halves(data)

    def floor(self) -> Scores:
        """What real samples score against other real ones."""
        return self._scores(self._other)

    def cautions(self, count: int | None = None) -> list[str]:
        """A line for each metric that so few samples (by default ``self.count``) make doubtful."""
        count = self.count if count is None else min(count, self.count)
        dimensions, classes = self.real.features.shape[1], self._source.classes
        found = (metric.caution(count, dimensions, classes) for metric in self._metrics.values())
        return [line for line in found if line is not None]

    def inputs(self, game: Game, data: Arrays) -> Inputs:
        """What a generator is given to be scored: always the same; labels as frequent as in ``data``.

        Raises UserError where a metric asks for what the generator has not.
        """
        rng = np.random.default_rng(seed_for(self._seed, "labels to evaluate"))
        rows = rng.choice(len(data.labels), self.count)
        real = reference(self._source, data, rows, labels_only=not game.needs_reference)
        latents = torch.Generator().manual_seed(seed_for(self._seed, "latents to evaluate"))
        inputs = game.inputs(Request(self.count), latents, real)
        asking = [name for name, metric in self._metrics.items() if metric.needs_labels]
        if asking and inputs.labels is None:
            raise UserError(f"metrics={asking[0]} asks a generator for classes: train one with game=cgan")
        return inputs

    def of_generator(self, generator: nn.Module, inputs: Inputs) -> Scores:
        """The scores of a generator's samples."""
        samples = self._source.encode(generate(generator, inputs, _BATCH, self._device))
        labels = None if inputs.labels is None else inputs.labels.numpy()
        return self.of_samples(samples, labels)

    def of_samples(self, samples: np.ndarray, labels: np.ndarray | None) -> Scores:
        """The scores of samples [N, ...], uint8 images or float32 points, and of their labels [N], if any."""
        return self._scores(self.features(samples)._replace(labels=labels))

    def _scores(self, fake: Extracted) -> Scores:
        pair = Pair(self._source, self.real, fake, self.features.suffix, self._device)
        found: Scores = {}
        with random_numbers_left_alone(self._device):
            for metric in self._metrics.values():
                taken = metric(pair)
                found |= taken
                self.lower_is_better |= dict.fromkeys(taken, metric.lower_is_better)
        return found

    def _real_halves(self, data: Arrays) -> tuple[Extracted, Extracted]:
        """Two disjoint draws of ``count`` real samples; what was extracted from them is kept in the cache."""
        rng = np.random.default_rng(seed_for(self._seed, "real samples to evaluate"))
        halves = np.sort(rng.permutation(len(data.samples))[: 2 * self.count].reshape(2, -1))
        samples = [np.ascontiguousarray(data.samples[rows]) for rows in halves]
        key = repr((1, data.fingerprint, self.features.identity, self.count, self._seed))
        folder = cache_folder() / f"features-{hashlib.sha256(key.encode()).hexdigest()[:16]}"
        file = folder / "real.npz"
        with alone(folder):
            if not file.is_file():
                _keep([self.features(half) for half in samples], file)
        kept = np.load(file, allow_pickle=False)
        first, second = (
            Extracted(samples[n], kept[f"features_{n}"], kept.get(f"probabilities_{n}"), data.labels[rows])
            for n, rows in enumerate(halves)
        )
        return first, second


def _keep(halves: list[Extracted], file: Path) -> None:
    content = {f"features_{n}": half.features for n, half in enumerate(halves)}
    content |= {
        f"probabilities_{n}": h.probabilities for n, h in enumerate(halves) if h.probabilities is not None
    }
    with replacing(file) as beside, beside.open("wb") as stream:
        np.savez(stream, allow_pickle=False, **content)


class Judge:
    """Scores a run's generator now and then."""

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
    def wanted(self) -> bool:
        """Whether it is ever asked."""
        return self._every is not None

    def due(self, epoch: int, *, last: bool) -> bool:
        """Whether the generator is scored at this epoch's end."""
        return self._every is not None and (last or epoch % self._every == 0)

    def ready(self) -> list[str]:
        """Lines on what scores go by, and what real samples score: the floor.

        Raises UserError where the metrics do not fit the data.
        """
        source, data, cfg, device = self._arguments
        self._evaluator = judge = Evaluator(source, data, cfg, device)
        self._inputs = judge.inputs(self._game, data)
        self._floor = floor = judge.floor()
        self._choose(floor, judge)
        told = ", ".join(f"{name} {score:.3f}" for name, score in floor.items())
        return [
            f"scored by {judge.count:,} samples and {judge.features.about}; real against real: {told}",
            *judge.cautions(),
        ]

    def __call__(self, generator: nn.Module) -> Scores:
        """Its scores by name."""
        assert self._evaluator is not None, "ready() comes first"
        self._last = self._evaluator.of_generator(generator, self._inputs)
        return self._last

    def closing(self, images: int) -> str:
        """A table of the scores after so many ``images``, beside the floor and what was published."""
        return score_table(self._last, self._floor, self._published, images)

    def improves(self, scores: Scores, progress: Progress) -> bool:
        """Whether these are the best so far, which ``progress`` then remembers."""
        if not scores or not math.isfinite(scores[self._score]):
            return False
        score, before = scores[self._score], progress.best
        better = before is None or (score < before if self._lower else score > before)
        if better:
            progress.best = score
        return better

    def _choose(self, floor: Scores, evaluator: Evaluator) -> None:
        """Which score says what is best. Raises UserError if there is no such score."""
        wanted = self._best.score or next(iter(floor))
        named = [name for name in floor if name in (wanted, wanted + evaluator.features.suffix)]
        if not named:
            raise UserError(f"evaluate.best.score={wanted}: no such score; {suggest(wanted, floor)}")
        self._score = named[0]
        lower = evaluator.lower_is_better[self._score]
        self._lower = lower if self._best.direction is None else self._best.direction == "lower"
