r"""How well a score tells anomalous samples from normal ones.

``areas``: the area under the ROC curve, by ranks: the probability that an anomalous sample scores higher than a
normal one, ties counting half; and the average precision, the sum over thresholds of the step in recall times
the precision there (not interpolated). Chance is 0.5 of the first, and of the second the share of anomalies.

``threshold``: of n normal scores, the k-th smallest with k = ceil((1 - a)(n + 1)). A new normal sample of the
same distribution scores higher with a probability of at most a (split conformal prediction; Vovk et al. 2005).

scikit-learn has both areas, and the tests compare with it. Of 10,000 scores, 1,000 resamples take it 9.4 s;
here they take 0.4 s, because scores are sorted once.
"""

import math
from typing import NamedTuple

import numpy as np

_RESAMPLES = 1_000
_SEED = 0
_TAILS = (0.025, 0.975)


class Area(NamedTuple):
    """An area and its 95 % bootstrap interval, normal and anomalous samples resampled separately."""

    value: float
    low: float
    high: float


class Detection(NamedTuple):
    """What one score finds. ``caught``, ``false_alarms``: shares of the anomalous and of the normal samples
    above ``threshold``; all three are None where there is no threshold.
    """

    auroc: Area
    average_precision: Area
    threshold: float | None
    caught: float | None
    false_alarms: float | None


def areas(scores: np.ndarray, anomalous: np.ndarray, weights: np.ndarray | None = None) -> tuple[float, float]:
    """The area under the ROC curve and the average precision of scores [N] with flags [N] bool.

    ``weights``: how often each sample counts. There has to be a sample of either kind.
    """
    return _areas_of_sorted(*_sorted(scores, anomalous), weights=weights)


def detection(scores: np.ndarray, anomalous: np.ndarray, limit: float | None) -> Detection:
    """``limit``: the threshold, of other samples than these."""
    order, flags, ends = _sorted(scores, anomalous)
    observed = _areas_of_sorted(order, flags, ends)
    rng = np.random.default_rng(_SEED)
    kinds = [np.flatnonzero(anomalous), np.flatnonzero(~anomalous)]
    drawn = np.empty((_RESAMPLES, 2))
    for number in range(_RESAMPLES):
        weights = np.zeros(len(scores))
        for rows in kinds:
            weights[rows] = np.bincount(rng.integers(len(rows), size=len(rows)), minlength=len(rows))
        drawn[number] = _areas_of_sorted(order, flags, ends, weights=weights)
    low, high = np.quantile(drawn, _TAILS, axis=0)
    auroc, precision = (Area(*map(float, area)) for area in zip(observed, low, high, strict=True))
    if limit is None:
        return Detection(auroc, precision, None, None, None)
    above = scores > limit
    return Detection(auroc, precision, limit, float(above[anomalous].mean()), float(above[~anomalous].mean()))


def threshold(normal: np.ndarray, false_alarms: float) -> float | None:
    """See the module's docstring; None where there are too few scores for such a rate of false alarms."""
    rank = math.ceil((1 - false_alarms) * (len(normal) + 1) - 1e-9)
    return None if rank > len(normal) else float(np.sort(normal)[rank - 1])


def _sorted(scores: np.ndarray, anomalous: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The order of falling scores, the flags in it, and the last place of each group of equal scores."""
    order = np.argsort(-scores, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(scores[order])), len(scores) - 1)
    return order, anomalous[order], ends


def _areas_of_sorted(
    order: np.ndarray, flags: np.ndarray, ends: np.ndarray, *, weights: np.ndarray | None = None
) -> tuple[float, float]:
    counts = np.ones(len(order)) if weights is None else weights[order]
    found = np.cumsum(counts * flags)[ends]
    alarms = np.cumsum(counts * ~flags)[ends]
    steps, alarm_steps = np.diff(found, prepend=0.0), np.diff(alarms, prepend=0.0)
    auroc = (alarm_steps * (found - steps / 2)).sum() / (found[-1] * alarms[-1])
    precision = found / np.maximum(found + alarms, 1)
    return float(auroc), float((steps * precision).sum() / found[-1])
