"""Scores of conditional generators, whose samples should match the requested labels."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ganexp.config.ranges import Count
from ganexp.errors import UserError
from ganexp.metrics.classifier import predict_labels, train_on
from ganexp.metrics.directions import Direction
from ganexp.metrics.feature_networks import Classifier
from ganexp.metrics.frechet import covariance_warning, frechet_distance, moments
from ganexp.metrics.metric import EvalContext, EvalPair, Metric, Need, Scores
from ganexp.metrics.prdc import prdc


@dataclass(frozen=True)
class ClassAccuracy(Metric):
    """The share of samples whose label by the data set's classifier is the requested one, in [0, 1].

    Of attributes: the mean over them of that share.
    """

    SCORES: ClassVar[Mapping[str, Direction]] = {"accuracy": "higher"}
    needs: ClassVar[tuple[Need, ...]] = ("labels",)

    def __call__(self, pair: EvalPair) -> Scores:
        probabilities, requested = pair.fake.probabilities, _labels(pair)[1]
        if probabilities is None or probabilities.shape[1] != pair.source.classes:
            raise UserError("metrics=accuracy needs the data's own labels: take features=classifier")
        attributes = pair.source.label_kind == "attributes"
        found = probabilities > 0.5 if attributes else probabilities.argmax(1)
        return {f"accuracy{pair.suffix}": float((found == requested).mean())}


@dataclass(frozen=True)
class IntraFID(Metric):
    """The mean of the FIDs of the classes: Miyato & Koyama 2018, section 6. Lower is better, from 0."""

    SCORES: ClassVar[Mapping[str, Direction]] = {"intra_fid": "lower"}
    needs: ClassVar[tuple[Need, ...]] = ("labels",)

    def __call__(self, pair: EvalPair) -> Scores:
        real, fake = _classes(pair)
        sets = (_of_class(pair, real, fake, label, 2, "intra_fid") for label in np.unique(real))
        distances = [frechet_distance(moments(one), moments(two)) for one, two in sets]
        return {f"intra_fid{pair.suffix}": float(np.mean(distances))}

    def warning(self, context: EvalContext) -> str | None:
        return covariance_warning(context.count // context.classes, context.dimensions)


@dataclass(frozen=True, kw_only=True)
class IntraRecall(Metric):
    """The mean over the classes of the share of a class's real samples near its generated ones, in [0, 1].

    Recall (Kynkaanniemi et al. 2019) within each class: low where a generator's samples of a class are alike.
    """

    SCORES: ClassVar[Mapping[str, Direction]] = {"intra_recall": "higher"}
    needs: ClassVar[tuple[Need, ...]] = ("labels",)

    neighbours: Count

    def __call__(self, pair: EvalPair) -> Scores:
        real, fake = _classes(pair)
        found = []
        for label in np.unique(real):
            one, two = _of_class(pair, real, fake, label, self.neighbours + 1, "intra_recall")
            found.append(prdc(one, two, self.neighbours).recall)
        return {f"intra_recall{pair.suffix}": float(np.mean(found))}


@dataclass(frozen=True)
class ClassificationAccuracy(Metric):
    """The accuracy on real images, in [0, 1], of a classifier trained only on generated images.

    Source: Ravuri & Vinyals 2019; here with a small network. The real images are those of the held-out split.
    Without a split with the same classes they are the other scores' real images, and a warning says so.
    """

    SCORES: ClassVar[Mapping[str, Direction]] = {"cas": "higher"}
    needs: ClassVar[tuple[Need, ...]] = ("labels",)

    def __call__(self, pair: EvalPair) -> Scores:
        real, fake = _classes(pair)
        if not pair.source.is_image:
            raise UserError("metrics=cas trains a classifier of images, and this data has none")
        net = Classifier(pair.fake.samples.shape[1], pair.source.classes)
        train_on(net, pair.fake.samples, fake, np.arange(len(fake)), pair.device)
        images = pair.real.samples
        held_out = pair.reference.held_out
        if held_out is not None and held_out.labels is not None:
            images, real = held_out.data.samples, held_out.labels
        return {"cas": float((predict_labels(net, images, pair.device) == real).mean())}

    def warning(self, context: EvalContext) -> str | None:
        held_out = context.reference.held_out
        if held_out is not None and held_out.labels is not None:
            return None
        reason = context.reference.missing_reason or "the held-out split has other classes than training"
        return f"cas is tested on images that the generator was trained on: {reason}"


def _labels(pair: EvalPair) -> tuple[np.ndarray, np.ndarray]:
    """The labels of the real and of the generated samples. Raises UserError where they have none."""
    if pair.real.labels is None or pair.fake.labels is None:
        raise UserError(
            "metrics=accuracy, intra_fid, intra_recall and cas need labels: those that a generator was asked "
            "for (game=cgan) or a folder with the run's own classes"
        )
    return pair.real.labels, pair.fake.labels


def _classes(pair: EvalPair) -> tuple[np.ndarray, np.ndarray]:
    """The labels of both. Raises UserError where they are no classes."""
    if pair.source.label_kind != "classes":
        raise UserError(
            "metrics=intra_fid, intra_recall and cas go by classes, and this data's labels are several "
            "attributes"
        )
    return _labels(pair)


def _of_class(
    pair: EvalPair, real: np.ndarray, fake: np.ndarray, label: int, least: int, metric: str
) -> tuple[np.ndarray, np.ndarray]:
    """The features of a class's real and generated samples, at least ``least`` each. Raises UserError."""
    one, two = pair.real.features[real == label], pair.fake.features[fake == label]
    if min(len(one), len(two)) < least:
        raise UserError(f"metrics={metric}: too few samples of class {label}: raise the count")
    return one, two
