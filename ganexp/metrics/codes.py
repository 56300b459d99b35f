"""Scores of generators whose latents hold codes (InfoGAN): what the codes stand for.

They compare codes with what is measured of the samples, so real samples have no such score.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.stats import spearmanr

from ganexp.errors import UserError
from ganexp.metrics.directions import Direction
from ganexp.metrics.metric import EvalPair, Metric, Need, Scores


@dataclass(frozen=True)
class CodeAccuracy(Metric):
    """How well the first categorical code stands for the data's classes, in [0, 1].

    Chen et al. 2016, section 7.2, classify real digits by the posterior; this measures generated samples. Each
    category is matched with one class, so that the share of samples whose class, by the data set's
    classifier, is their category's is largest (the Hungarian method, Kuhn 1955).
    """

    SCORES: ClassVar[Mapping[str, Direction]] = {"code_accuracy": "higher"}
    needs: ClassVar[tuple[Need, ...]] = ("categories",)

    def __call__(self, pair: EvalPair) -> Scores:
        probabilities, categories = pair.fake.probabilities, pair.fake.categories
        assert categories is not None
        if probabilities is None or probabilities.shape[1] != pair.source.classes:
            raise UserError("metrics=code_accuracy needs the data's own classes: take features=classifier")
        accuracy, _ = best_matching(categories[:, 0], probabilities.argmax(1))
        return {f"code_accuracy{pair.suffix}": accuracy}


@dataclass(frozen=True)
class CodeCorrelation(Metric):
    """The largest correlation of a continuous code with an image's slant, and with its width, in [0, 1].

    Absolute values of Spearman's coefficient. Chen et al. 2016 find both in MNIST (section 7.2) by eye.
    """

    SCORES: ClassVar[Mapping[str, Direction]] = {"code_slant": "higher", "code_width": "higher"}
    needs: ClassVar[tuple[Need, ...]] = ("continuous",)

    def __call__(self, pair: EvalPair) -> Scores:
        codes = pair.fake.continuous
        assert codes is not None
        if not pair.source.is_image:
            raise UserError("metrics=code_correlation measures images, and this data has none")
        slant, width = slant_and_width(pair.fake.samples)
        return {
            "code_slant": _largest_correlation(codes, slant),
            "code_width": _largest_correlation(codes, width),
        }


def best_matching(categories: np.ndarray, classes: np.ndarray) -> tuple[float, dict[int, int]]:
    """The share of rows that agree under the best one-to-one matching, and the class of each category.

    ``categories``, ``classes``: [N] int64, from 0.
    """
    size = int(max(categories.max(), classes.max())) + 1
    counts = np.zeros((size, size), np.int64)
    np.add.at(counts, (categories, classes), 1)
    rows, columns = linear_sum_assignment(counts, maximize=True)
    return float(counts[rows, columns].sum() / len(categories)), dict(
        zip(rows.tolist(), columns.tolist(), strict=True)
    )


def slant_and_width(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of images [N, C, H, W] uint8: their slant and their width, each [N] float64.

    From second moments of the brightness, which is light on a dark ground: the slant is the covariance of the
    columns with the rows over the variance of the rows, the width the standard deviation of the columns.
    """
    ink = images.astype(np.float64).mean(1) + 1e-9  # an empty image has no moments
    ink /= ink.sum((1, 2), keepdims=True)
    y, x = np.arange(ink.shape[1]), np.arange(ink.shape[2])
    rows, columns = ink.sum(2), ink.sum(1)
    mean_y, mean_x = rows @ y, columns @ x
    variance_y = rows @ y**2 - mean_y**2
    variance_x = columns @ x**2 - mean_x**2
    covariance = np.einsum("nyx,y,x->n", ink, y, x) - mean_y * mean_x
    return covariance / np.maximum(variance_y, 1e-9), np.sqrt(np.maximum(variance_x, 0))


def _largest_correlation(codes: np.ndarray, measured: np.ndarray) -> float:
    if np.ptp(measured) == 0:
        return 0.0
    return max(abs(float(spearmanr(code, measured).statistic)) for code in codes.T)
