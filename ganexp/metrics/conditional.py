"""Scores of samples that were asked for by a label: does a generator make what it is told to?"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ganexp.errors import UserError
from ganexp.metrics.classifier import Classifier, fit, labels_of
from ganexp.metrics.frechet import enough, frechet_distance, moments
from ganexp.metrics.scores import Metric, Pair, Scores


@dataclass(frozen=True)
class ClassAccuracy(Metric):
    """The share of samples that the data set's classifier takes for what they were asked to be, in [0, 1]."""

    lower_is_better: ClassVar[bool] = False
    needs_labels: ClassVar[bool] = True

    def __call__(self, pair: Pair) -> Scores:
        found, asked = pair.fake.probabilities, _labels(pair)[1]
        if found is None or found.shape[1] != pair.source.classes:
            raise UserError("metrics=accuracy needs the data's own classes: take features=classifier")
        return {f"accuracy{pair.suffix}": float((found.argmax(1) == asked).mean())}


@dataclass(frozen=True)
class IntraFID(Metric):
    """The mean of the FIDs within each class: Miyato & Koyama 2018, section 6. Lower is better, from 0."""

    lower_is_better: ClassVar[bool] = True
    needs_labels: ClassVar[bool] = True

    def __call__(self, pair: Pair) -> Scores:
        real, fake = _labels(pair)
        distances = [_within(pair, real, fake, label) for label in np.unique(real)]
        return {f"intra_fid{pair.suffix}": float(np.mean(distances))}

    def caution(self, count: int, dimensions: int, classes: int) -> str | None:
        return enough(count // classes, dimensions)


@dataclass(frozen=True)
class ClassificationAccuracy(Metric):
    """How many real images a classifier gets right that was trained on generated ones alone, in [0, 1].

    What samples are worth as training data: Ravuri & Vinyals 2019, with a small network.
    """

    lower_is_better: ClassVar[bool] = False
    needs_labels: ClassVar[bool] = True

    def __call__(self, pair: Pair) -> Scores:
        real, fake = _labels(pair)
        if pair.fake.samples.ndim != 4:
            raise UserError("metrics=cas trains a classifier of images, and this data has points")
        net = Classifier(pair.fake.samples.shape[1], pair.source.classes)
        fit(net, pair.fake.samples, fake, np.arange(len(fake)), pair.device)
        return {"cas": float((labels_of(net, pair.real.samples, pair.device) == real).mean())}


def _labels(pair: Pair) -> tuple[np.ndarray, np.ndarray]:
    """Of the real samples and of the generated ones. Raises UserError where nobody asked for labels."""
    if pair.real.labels is None or pair.fake.labels is None:
        raise UserError(
            "metrics=accuracy, intra_fid and cas need labels: those that a generator was asked for (game=cgan) "
            "or a folder with the run's own classes"
        )
    return pair.real.labels, pair.fake.labels


def _within(pair: Pair, real: np.ndarray, fake: np.ndarray, label: int) -> float:
    one, two = pair.real.features[real == label], pair.fake.features[fake == label]
    if min(len(one), len(two)) < 2:
        raise UserError(f"metrics=intra_fid: too few samples of class {label}: raise the count")
    return frechet_distance(moments(one), moments(two))
