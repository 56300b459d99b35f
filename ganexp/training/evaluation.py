"""How good is a generator: the metrics of a configuration, against real samples kept for comparison.

Everything has a seed of its own, so that looking never changes a run: which real samples, which latents, the
subsets of a metric.

Real against real, with as many samples on each side, is the floor: what the limited number of samples costs
by itself. A generator with the data's own distribution scores as much, by chance a little less. One that copies
training samples comes as near, since they are real: what tells the two apart is ``metrics=memorisation``. With
``evaluate.split``, samples are compared with images that training never saw, and the floor is what training
images themselves score against those.
"""

import math

import numpy as np
import torch
from omegaconf import DictConfig
from torch import nn

from ganexp.data.arrays import Arrays
from ganexp.data.reference import reference
from ganexp.data.source import Source
from ganexp.errors import UserError, suggest
from ganexp.games.game import Game, Inputs, Request
from ganexp.games.sampling import generate, with_own_statistics
from ganexp.metrics.directions import direction_of, of_metrics
from ganexp.metrics.feature_cache import folder_of, kept
from ganexp.metrics.features import Features, SampleFeatures
from ganexp.metrics.metric import Basis, EvalPair, Metric, Need, Scores
from ganexp.metrics.reference import Reference
from ganexp.metrics.table import score_table
from ganexp.system.rng import fork_rng, seed_for
from ganexp.training.build import build
from ganexp.training.state import Progress

_BATCH = 100

_LACKING: dict[Need, str] = {
    "labels": "asks a generator for classes: train one with game=cgan",
    "target": "compares with what each output should be, which this game does not know",
}

TRAINING, HELD_OUT = "training", "held_out"
"""What evaluate.split says beside a split's name: the samples trained on; the first held-out split there is."""


_Drawn = tuple[np.ndarray, np.ndarray | None, np.ndarray]
"""Samples, their labels if they have any, and the rows that are drawn of them."""


class Evaluator:
    """Scores generators of one data set. Raises UserError where the metrics do not fit the data."""

    def __init__(self, source: Source, data: Arrays, cfg: DictConfig, device: torch.device) -> None:
        self._source = source
        self._device = device
        self._metrics: dict[str, Metric] = {name: build(node) for name, node in cfg.metrics.items()}
        self.directions = of_metrics(str(node["_target_"]) for node in cfg.metrics.values())
        """Which way each score is better."""
        self._seed = cfg.evaluate.seed
        split = cfg.evaluate.split
        named = None if split in (TRAINING, HELD_OUT) else split
        with fork_rng(device):
            self.features: Features = build(cfg.features)(source, data, device)
            self._reference = Reference(source, data, self.features, device, self._seed, named)
            self.split = split if split == TRAINING else self._held_out(split)
            self.real, self._other = self._real_sets(data, cfg.evaluate.count)
        self.count = len(self.real.samples)

    @property
    def compared(self) -> str:
        """What the floor is of, in words."""
        if self.split == TRAINING:
            return "real against real"
        return f"training images against those of the split {self.split}"

    def floor(self) -> Scores:
        """What real samples score against other real ones."""
        return self._scores(self._other, floor=True)

    def cautions(self, count: int | None = None) -> list[str]:
        """A line for each metric that so few samples (by default ``self.count``) make doubtful."""
        count = self.count if count is None else min(count, self.count)
        dimensions, classes = self.real.features.shape[1], self._source.classes
        basis = Basis(count, dimensions, classes, self.features.suffix, self._reference)
        found = (metric.warning(basis) for metric in self._metrics.values())
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
        for name, metric in self._metrics.items():
            for need in metric.needs:
                if getattr(inputs, need) is None:
                    raise UserError(f"metrics={name} {_LACKING[need]}")
        return inputs

    def of_generator(self, generator: nn.Module, inputs: Inputs) -> Scores:
        """The scores of a generator's samples."""
        samples = self._source.encode(generate(generator, inputs, _BATCH, self._device))
        labels = None if inputs.labels is None else inputs.labels.numpy()
        target = None if inputs.target is None else self._source.encode(inputs.target.numpy())
        return self._scores(self.features(samples)._replace(labels=labels, target=target))

    def of_samples(self, samples: np.ndarray, labels: np.ndarray | None) -> Scores:
        """The scores of samples [N, ...], uint8 images or float32 points, and of their labels [N], if any.

        Raises UserError where a metric needs targets, which samples alone do not have.
        """
        for name, metric in self._metrics.items():
            if "target" in metric.needs:
                raise UserError(
                    f"metrics={name} compares with what each output should be, which samples alone do not say"
                )
        return self._scores(self.features(samples)._replace(labels=labels))

    def _scores(self, fake: SampleFeatures, *, floor: bool = False) -> Scores:
        pair = EvalPair(self._source, self.real, fake, self.features.suffix, self._device, self._reference)
        found: Scores = {}
        with fork_rng(self._device):
            for metric in self._metrics.values():
                found |= metric.floor(pair) if floor else metric(pair)
        return found

    def _held_out(self, wanted: str) -> str:
        """The name of the held-out split. Raises UserError if there is none."""
        try:
            return self._reference.wanted().split
        except UserError as error:
            raise UserError(
                f"evaluate.split={wanted}: {error}; {TRAINING} compares with those trained on"
            ) from None

    def _real_sets(self, data: Arrays, most: int) -> tuple[SampleFeatures, SampleFeatures]:
        """Real samples to compare with, and as many others for the floor; features are kept in the cache."""
        rng = np.random.default_rng(seed_for(self._seed, "real samples to evaluate"))
        held_out = None if self.split == TRAINING else self._reference.held_out
        if held_out is None:
            count = min(most, len(data.samples) // 2)
            rows = np.sort(rng.permutation(len(data.samples))[: 2 * count].reshape(2, -1))
            sets: list[_Drawn] = [(data.samples, data.labels, half) for half in rows]
        else:
            count = min(most, len(data.samples), len(held_out.data.samples))
            drawn = [np.sort(rng.permutation(len(d.samples))[:count]) for d in (held_out.data, data)]
            sets = [(held_out.data.samples, held_out.labels, drawn[0]), (data.samples, data.labels, drawn[1])]
        if count < 2:
            raise UserError(f"evaluate: {len(data.samples)} real samples are too few to compare with")
        samples = [np.ascontiguousarray(images[rows]) for images, _, rows in sets]
        which = (data.fingerprint, held_out and held_out.data.fingerprint, count, self._seed)
        folder = folder_of(self.features.identity, which, self._device)
        found = kept(folder, lambda: _arrays([self.features(images) for images in samples]))
        first, second = (
            SampleFeatures(
                images,
                found[f"features_{n}"],
                found.get(f"probabilities_{n}"),
                None if labels is None else labels[rows],
            )
            for n, (images, (_, labels, rows)) in enumerate(zip(samples, sets, strict=True))
        )
        return first, second


def _arrays(sets: list[SampleFeatures]) -> dict[str, np.ndarray | None]:
    """What is kept of them, by name."""
    found: dict[str, np.ndarray | None] = {f"features_{n}": one.features for n, one in enumerate(sets)}
    return found | {f"probabilities_{n}": one.probabilities for n, one in enumerate(sets)}


class PeriodicEvaluation:
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
    def enabled(self) -> bool:
        """Whether it is ever asked."""
        return self._every is not None

    def is_due(self, epoch: int, *, last: bool) -> bool:
        """Whether the generator is scored at this epoch's end."""
        return self._every is not None and (last or epoch % self._every == 0)

    def prepare(self) -> list[str]:
        """Lines on what scores go by, and what real samples score: the floor.

        Raises UserError where the metrics do not fit the data.
        """
        source, data, cfg, device = self._arguments
        self._evaluator = judge = Evaluator(source, data, cfg, device)
        self._inputs = judge.inputs(self._game, data)
        self._floor = floor = judge.floor()
        self._choose(floor, judge)
        told = ", ".join(f"{name} {score:.3f}" for name, score in floor.items())
        of_real = f"; {judge.compared}: {told}" if floor else ""
        return [
            f"scored by {judge.count:,} samples and {judge.features.about}{of_real}",
            *judge.cautions(),
        ]

    def __call__(self, generator: nn.Module) -> Scores:
        """Its scores by name."""
        assert self._evaluator is not None, "ready() comes first"
        generator = with_own_statistics(self._game, generator, self._arguments[3])
        self._last = self._evaluator.of_generator(generator, self._inputs)
        return self._last

    def closing(self, images: int) -> str:
        """A table of the scores after so many ``images``, beside the floor and what was published."""
        return score_table(self._last, self._floor, self._published, images)

    def improves(self, scores: Scores, progress: Progress) -> bool:
        """Whether these are the best so far, which ``progress`` then remembers."""
        if not scores or not math.isfinite(scores.get(self._score, math.nan)):
            return False
        score, before = scores[self._score], progress.best
        better = before is None or (score < before if self._lower else score > before)
        if better:
            progress.best = score
        return better

    def _choose(self, floor: Scores, evaluator: Evaluator) -> None:
        """Which score says what is best. Raises UserError if there is no such score."""
        stems = [stem for stem in evaluator.directions if not any(name.startswith(stem) for name in floor)]
        known = [*floor, *stems]  # a floor lacks the scores that real samples cannot have
        wanted = self._best.score or known[0]
        named = [name for name in known if name in (wanted, wanted + evaluator.features.suffix)]
        if not named:
            raise UserError(f"evaluate.best.score={wanted}: no such score; {suggest(wanted, known)}")
        self._score = named[0]
        self._lower = (self._best.direction or direction_of(self._score, evaluator.directions)) == "lower"
