"""Scores a generator with the metrics of a configuration, against real samples.

Real samples, latents and the subsets of a metric are drawn with seeds of their own, so that an evaluation never
changes a run.

The floor is the score of real samples against as many other real samples: it shows the bias that the limited
number of samples causes. A generator with the data's distribution scores about the floor. So does one that
copies training samples; ``metrics=memorisation`` distinguishes the two. With ``evaluate.split``, samples are
compared with images that training never saw, and the floor is the score of training images against those.
"""

import numpy as np
import torch
from omegaconf import DictConfig
from torch import nn

from ganexp.data.arrays import Arrays
from ganexp.data.degradations.degradation import Degradation
from ganexp.data.held_out import AUTO, HELD_OUT, TRAINING
from ganexp.data.reference import random_rows
from ganexp.data.source import Source
from ganexp.errors import UserError
from ganexp.games.game import Game
from ganexp.games.request import Inputs
from ganexp.games.sampling import generate
from ganexp.games.seeded_inputs import inputs_like_data
from ganexp.metrics.directions import metric_directions
from ganexp.metrics.feature_cache import cached_arrays, features_folder
from ganexp.metrics.features import Features, SampleFeatures
from ganexp.metrics.metric import ONLY_GENERATED, EvalContext, EvalPair, Metric, Need, Scores
from ganexp.metrics.reference_sets import ReferenceSets
from ganexp.system.rng import fork_rng, seed_for
from ganexp.training.build import build, build_as

_BATCH = 100

_LACKING: dict[Need, str] = {
    "labels": "asks a generator for classes: train one with game=cgan",
    "categories": "goes by the categories that samples are made from, which this game does not have",
    "continuous": "goes by the continuous codes that samples are made from, which this game does not have",
    "target": "compares with what each output should be, which this game does not know",
    "source": "compares with the images that samples are made from, which this game does not have",
    "source_labels": "compares with the labels that images had before: train game=stargan",
}

_Drawn = tuple[np.ndarray, np.ndarray | None, np.ndarray]
"""Samples, their labels if they have any, and the numbers of the rows that were drawn."""


class Evaluator:
    """Scores generators against one data set. Raises UserError where the metrics do not fit the data."""

    def __init__(self, source: Source, data: Arrays, cfg: DictConfig, device: torch.device) -> None:
        self._source = source
        self._device = device
        self._metrics: dict[str, Metric] = {name: build(node) for name, node in cfg.metrics.items()}
        for metric in self._metrics.values():
            metric.check(source)
        self.directions = metric_directions(str(node["_target_"]) for node in cfg.metrics.values())
        """Whether lower or higher is better, for each score."""
        self._seed = cfg.evaluate.seed
        degrade = None if cfg.degrade is None else build_as(Degradation, cfg.degrade, "degrade")
        self._degrade = degrade if degrade is not None and degrade.changes_target else None
        split = cfg.evaluate.split
        named = None if split in (TRAINING, HELD_OUT, AUTO) else split
        with fork_rng(device):
            self.features: Features = build(cfg.features)(source, data, device)
            self._reference = ReferenceSets(source, data, self.features, device, self._seed, named)
            if split == AUTO and self._reference.held_out is None:
                split = TRAINING
            self.split = split if split == TRAINING else self._held_out(split)
            self.real, self._other = self._real_sets(data, cfg.evaluate.count)
        self.count = len(self.real.samples)

    @property
    def compared(self) -> str:
        """Which two sets the floor compares, for the log."""
        if self.split == TRAINING:
            return "real against real"
        return f"training images against those of the split {self.split}"

    def floor(self) -> Scores:
        """The scores of real samples against other real samples."""
        return self._scores(self._other, floor=True)

    def warnings(self, count: int | None = None) -> list[str]:
        """A warning for each metric that ``count`` samples (by default ``self.count``) are too few for."""
        count = self.count if count is None else min(count, self.count)
        dimensions, classes = self.real.features.shape[1], self._source.classes
        context = EvalContext(count, dimensions, classes, self.features.suffix, self._reference)
        found = (metric.warning(context) for metric in self._metrics.values())
        return [line for line in found if line is not None]

    def inputs(self, game: Game, data: Arrays) -> Inputs:
        """The generator's inputs for scoring: the same each time; labels as frequent as in ``data``.

        A game that makes images from images is given images of ``self.split``, each once. Raises UserError
        where a metric needs labels or targets that the game does not provide.
        """
        if game.needs_reference:
            held_out = None if self.split == TRAINING else self._reference.held_out
            data = data if held_out is None else held_out.relabelled()
            count = self.count
            if data.sources is not None and not self._source.paired:
                count = min(count, len(data.sources))  # each source once
            rows = random_rows(len(data.samples), count, seed_for(self._seed, "sources to evaluate"))
        else:
            rng = np.random.default_rng(seed_for(self._seed, "labels to evaluate"))
            rows = rng.choice(len(data.labels), self.count)
        seed = seed_for(self._seed, "latents to evaluate")
        inputs = inputs_like_data(game, self._source, data, rows, seed)
        for name, metric in self._metrics.items():
            for need in metric.needs:
                if getattr(inputs, need) is None:
                    raise UserError(f"metrics={name} {_LACKING[need]}")
        return inputs

    def score_generator(self, generator: nn.Module, inputs: Inputs) -> Scores:
        """The scores of a generator's samples."""
        return self._score(generate(generator, inputs, _BATCH, self._device), inputs)

    def _score(self, generated: np.ndarray, inputs: Inputs) -> Scores:
        """The scores of samples [N, ...] float32 that were made from ``inputs``."""
        samples = self._source.encode(generated)
        labels = None if inputs.labels is None else inputs.labels.numpy()
        target = None if inputs.target is None else self._source.encode(inputs.target.numpy())
        categories, continuous, source_labels = (
            None if part is None else part.numpy()
            for part in (inputs.categories, inputs.continuous, inputs.source_labels)
        )
        found = self.features(samples)._replace(labels=labels, target=target)
        if inputs.source is not None and any("source" in metric.needs for metric in self._metrics.values()):
            found = found._replace(source=self._source.encode(inputs.source.numpy()))
        found = found._replace(categories=categories, continuous=continuous, source_labels=source_labels)
        return self._scores(found)

    def score_baseline(self, game: Game, inputs: Inputs) -> tuple[str, Scores] | None:
        """The name and the scores of a trivial method, given the same inputs; None where the game has none."""
        baseline = game.baseline(inputs)
        if baseline is None:
            return None
        return baseline.name, self._score(baseline.samples.numpy(), inputs)

    def score_samples(self, samples: np.ndarray, labels: np.ndarray | None) -> Scores:
        """The scores of samples [N, ...], uint8 images or float32 points, and of their labels, if any.

        Raises UserError where a metric needs targets or codes, which samples alone do not have.
        """
        for name, metric in self._metrics.items():
            for need in ONLY_GENERATED.intersection(metric.needs):
                lacking = _LACKING[need].partition(",")[0]
                raise UserError(f"metrics={name} {lacking}, which samples alone do not say")
        return self._scores(self.features(samples)._replace(labels=labels))

    def _scores(self, fake: SampleFeatures, *, floor: bool = False) -> Scores:
        suffix, reference = self.features.suffix, self._reference
        pair = EvalPair(self._source, self.real, fake, suffix, self._device, reference, self.features)
        found: Scores = {}
        with fork_rng(self._device):
            for metric in self._metrics.values():
                found |= metric.floor(pair) if floor else metric(pair)
        return found

    def _wanted(self, samples: np.ndarray) -> np.ndarray:
        """What outputs should look like: the samples, or the targets that ``degrade`` makes of them."""
        if self._degrade is None:
            return samples
        pieces = np.split(samples, range(_BATCH, len(samples), _BATCH))
        targets = [
            self._degrade.pair(self._source.decode(torch.from_numpy(piece)), None).target for piece in pieces
        ]
        return np.concatenate([self._source.encode(target.numpy()) for target in targets])

    def _held_out(self, split: str) -> str:
        """The name of the held-out split. Raises UserError if there is none."""
        try:
            return self._reference.find_held_out().split
        except UserError as error:
            raise UserError(
                f"evaluate.split={split}: {error}; {TRAINING} compares with those trained on"
            ) from None

    def _real_sets(self, data: Arrays, most: int) -> tuple[SampleFeatures, SampleFeatures]:
        """Real samples to compare with, and as many others for the floor; their features are cached."""
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
        samples = [self._wanted(np.ascontiguousarray(images[rows])) for images, _, rows in sets]
        which: tuple[object, ...] = (
            data.fingerprint,
            held_out and held_out.data.fingerprint,
            count,
            self._seed,
        )
        which += () if self._degrade is None else (self._degrade.about,)
        folder = features_folder(self.features.identity, which, self._device)
        found = cached_arrays(folder, lambda: _arrays([self.features(images) for images in samples]))
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
    """The arrays of a cache entry, by name."""
    found: dict[str, np.ndarray | None] = {f"features_{n}": one.features for n, one in enumerate(sets)}
    return found | {f"probabilities_{n}": one.probabilities for n, one in enumerate(sets)}
