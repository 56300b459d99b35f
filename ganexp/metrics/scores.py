"""The metrics of ``conf/metrics``: each compares generated samples with real ones.

A score's name ends in the suffix of its features (``features.py``), which is empty for Inception's.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from ganexp.config.ranges import Count
from ganexp.data.plane import Plane
from ganexp.data.stacked_mnist import StackedMNIST
from ganexp.errors import UserError
from ganexp.metrics.classifier import predict_labels, trained_classifier
from ganexp.metrics.directions import Direction
from ganexp.metrics.frechet import covariance_warning, frechet_distance, moments
from ganexp.metrics.inception_score import inception_score
from ganexp.metrics.kernel import kid
from ganexp.metrics.metric import EvalContext, EvalPair, Metric, Scores
from ganexp.metrics.modes import coverage_of_classes, coverage_of_gaussians
from ganexp.metrics.sliced import sliced_wasserstein

_SEED = 0

_PUBLISHED_COUNT = 50_000
"""The number of samples of published FIDs: Heusel et al. 2017, section 4, and nearly all papers since."""


@dataclass(frozen=True)
class FID(Metric):
    """The Fréchet distance of Gaussians fitted to the features: Heusel et al. 2017. Lower is better, from 0."""

    SCORES: ClassVar[Mapping[str, Direction]] = {"fid": "lower"}

    def __call__(self, pair: EvalPair) -> Scores:
        distance = frechet_distance(moments(pair.real.features), moments(pair.fake.features))
        return {f"fid{pair.suffix}": distance}

    def warning(self, context: EvalContext) -> str | None:
        rank_warning = covariance_warning(context.count, context.dimensions)
        if context.suffix or context.count >= _PUBLISHED_COUNT:
            return rank_warning
        count_warning = (
            f"fid from {context.count:,} samples is higher than papers' figures, which are from "
            f"{_PUBLISHED_COUNT:,}: compare it with scores from as many samples only"
        )
        return count_warning if rank_warning is None else f"{rank_warning}; {count_warning}"


@dataclass(frozen=True, kw_only=True)
class KID(Metric):
    """Kernel distance: Binkowski et al. 2018. Lower is better; around 0 for equal distributions."""

    SCORES: ClassVar[Mapping[str, Direction]] = {"kid": "lower"}

    subsets: Count
    size: Count

    def __call__(self, pair: EvalPair) -> Scores:
        found = kid(pair.real.features, pair.fake.features, self.subsets, self.size, seed=_SEED)
        return {f"kid{pair.suffix}": found.mean, f"kid{pair.suffix}_std": found.std}


@dataclass(frozen=True, kw_only=True)
class InceptionScore(Metric):
    """Certainty and diversity of predicted classes: Salimans et al. 2016. From 1 to the number of classes.

    Higher is better. With the features of another network, its name is that network's: ``cnn_score``.
    """

    SCORES: ClassVar[Mapping[str, Direction]] = {"inception_score": "higher", "cnn_score": "higher"}

    splits: Count

    def __call__(self, pair: EvalPair) -> Scores:
        probabilities = pair.fake.probabilities
        if pair.source.label_kind != "classes" and pair.suffix:
            raise UserError(
                "metrics=is goes by classes, and this data's labels are attributes: take features=inception"
            )
        if probabilities is None:
            raise UserError("metrics=is needs classes: take features=classifier or features=inception")
        found = inception_score(probabilities, min(self.splits, len(probabilities)), seed=_SEED)
        name = f"{pair.suffix.lstrip('_') or 'inception'}_score"
        return {name: found.mean, f"{name}_std": found.std}


@dataclass(frozen=True, kw_only=True)
class Precision(Metric):
    """The share of generated samples near real ones, in [0, 1]: Kynkaanniemi et al. 2019."""

    SCORES: ClassVar[Mapping[str, Direction]] = {"precision": "higher"}

    neighbours: Count

    def __call__(self, pair: EvalPair) -> Scores:
        return {f"precision{pair.suffix}": pair.prdc(self.neighbours).precision}


@dataclass(frozen=True, kw_only=True)
class Recall(Metric):
    """The share of real samples near generated ones, in [0, 1]: Kynkaanniemi et al. 2019."""

    SCORES: ClassVar[Mapping[str, Direction]] = {"recall": "higher"}

    neighbours: Count

    def __call__(self, pair: EvalPair) -> Scores:
        return {f"recall{pair.suffix}": pair.prdc(self.neighbours).recall}


@dataclass(frozen=True, kw_only=True)
class Density(Metric):
    """Precision that is robust to outliers, from 0, about 1 for real samples: Naeem et al. 2020."""

    SCORES: ClassVar[Mapping[str, Direction]] = {"density": "higher"}

    neighbours: Count

    def __call__(self, pair: EvalPair) -> Scores:
        return {f"density{pair.suffix}": pair.prdc(self.neighbours).density}


@dataclass(frozen=True, kw_only=True)
class Coverage(Metric):
    """Recall that is robust to outliers, in [0, 1]: Naeem et al. 2020."""

    SCORES: ClassVar[Mapping[str, Direction]] = {"coverage": "higher"}

    neighbours: Count

    def __call__(self, pair: EvalPair) -> Scores:
        return {f"coverage{pair.suffix}": pair.prdc(self.neighbours).coverage}


@dataclass(frozen=True, kw_only=True)
class SlicedWasserstein(Metric):
    """Computed on the sample values, not on features: Rabin et al. 2011. Lower is better, from 0."""

    SCORES: ClassVar[Mapping[str, Direction]] = {"swd": "lower"}

    directions: Count

    def __call__(self, pair: EvalPair) -> Scores:
        one, two = (found.samples.reshape(len(found.samples), -1) for found in (pair.real, pair.fake))
        scale = pair.source.value_range / 2 if pair.source.is_image else 1.0  # in [-1, 1]; a shift cancels out
        return {"swd": sliced_wasserstein(one, two, self.directions, seed=_SEED) / scale}


@dataclass(frozen=True)
class ModeCoverage(Metric):
    """The number of modes found, of Gaussians in the plane or of Stacked MNIST: Lin et al. 2018, section 4."""

    SCORES: ClassVar[Mapping[str, Direction]] = {
        "modes": "higher",
        "high_quality": "higher",
        "reverse_kl": "lower",
    }

    def __call__(self, pair: EvalPair) -> Scores:
        source, samples = pair.source, pair.fake.samples
        if isinstance(source, Plane):
            found = coverage_of_gaussians(samples, source.centres, source.sigma)
            return {
                "modes": float(found.modes),
                "high_quality": found.high_quality,
                "reverse_kl": found.reverse_kl,
            }
        if not isinstance(source, StackedMNIST):
            raise UserError("metrics=modes counts modes that are known: data=ring, grid or stacked_mnist")
        digits = source.digits()
        net, _, _ = trained_classifier(digits, digits.load(), pair.device)
        red, green, blue = (predict_labels(net, samples[:, c : c + 1], pair.device) for c in range(3))
        classes = coverage_of_classes(100 * red + 10 * green + blue, 1000)
        return {"modes": float(classes.modes), "reverse_kl": classes.kl}
