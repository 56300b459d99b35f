r"""Means of few runs: their confidence intervals, and tests of differences.

Intervals are bootstrap intervals, bias-corrected and accelerated (BCa; Efron 1987): quantiles of the means of
resampled values, moved by the bias :math:`z_0` and the acceleration :math:`a`,

.. math:: \alpha' = \Phi\Big(z_0 + \frac{z_0 + z_\alpha}{1 - a (z_0 + z_\alpha)}\Big).

A permutation test counts how many relabellings of the same values give a difference at least as large in size
as the observed one (Fisher 1935). Holm's (1979) correction bounds the probability of any false positive among
several tests. Every random draw has a fixed seed: the same values give the same result.
"""

import math
from collections.abc import Sequence
from itertools import combinations, product
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
from scipy.special import stdtrit

ALPHA = 0.05
"""A difference is significant where p < ALPHA; intervals have confidence level 1 - ALPHA."""

_RESAMPLES = 9_999
_MAX_RELABELLINGS = 20_000  # where there are more, so many are drawn at random
_SEED = 0
_NORMAL = NormalDist()

Values = Sequence[float] | np.ndarray


class Mean(NamedTuple):
    """The mean of ``n`` values and its interval, which is None for a single value."""

    mean: float
    low: float | None
    high: float | None
    n: int


class Difference(NamedTuple):
    """The mean of one group minus that of another, its interval, and the test's two-sided p.

    ``least`` is the smallest p possible with so many values.
    """

    mean: float
    low: float | None
    high: float | None
    p: float
    least: float
    paired: bool


def mean_of(values: Values) -> Mean:
    """The mean of at least one finite value, with a 95 % interval."""
    x = np.asarray(values, dtype=np.float64)
    observed = float(x.mean())
    if len(x) < 2:
        return Mean(observed, None, None, len(x))
    return Mean(observed, *_interval(_resampled(x, _SEED), observed, (x - observed) / len(x)), len(x))


def t_mean_of(values: Values) -> Mean:
    """The mean of at least one finite value, with Student's 95 % interval.

    For five values or so: their bootstrap interval is too narrow, because its resamples cannot vary as much as
    new values would. Differences of pairs are about normal, which this interval takes for granted.
    """
    x = np.asarray(values, dtype=np.float64)
    mean = float(x.mean())
    if len(x) < 2:
        return Mean(mean, None, None, len(x))
    reach = float(stdtrit(len(x) - 1, 1 - ALPHA / 2) * x.std(ddof=1) / math.sqrt(len(x)))
    return Mean(mean, mean - reach, mean + reach, len(x))


def difference(one: Values, other: Values, *, paired: bool) -> Difference:
    """The difference of two groups; ``paired``: the n-th values belong together, such as by seed."""
    x, y = np.asarray(one, dtype=np.float64), np.asarray(other, dtype=np.float64)
    if paired:
        mean = mean_of(x - y)
        return Difference(mean.mean, mean.low, mean.high, _sign_flip(x - y), least_p(len(x), None), True)
    observed = float(x.mean() - y.mean())
    low = high = None
    if min(len(x), len(y)) > 1:
        resampled = _resampled(x, _SEED) - _resampled(y, _SEED + 1)
        influence = np.concatenate([(x - x.mean()) / len(x), (y.mean() - y) / len(y)])
        low, high = _interval(resampled, observed, influence)
    return Difference(observed, low, high, _permutation(x, y), least_p(len(x), len(y)), False)


def least_p(one: int, other: int | None) -> float:
    """The smallest possible two-sided p with ``one`` and ``other`` values; ``one`` pairs if ``other`` is None.

    With equal numbers, swapping all labels gives the same absolute difference, so two relabellings reach it.
    """
    if other is None:
        return min(1.0, math.ldexp(2.0, -one))
    return min(1.0, (2 if one == other else 1) / math.comb(one + other, one))


def runs_needed(comparisons: int) -> int:
    """How many values each group needs so that p can be below 0.05 after correction for ``comparisons``."""
    n = 2
    while least_p(n, n) * comparisons >= ALPHA:
        n += 1
    return n


def holm(ps: Sequence[float]) -> list[float]:
    """Holm's correction: the k-th smallest of m p-values times (m - k + 1), non-decreasing, at most 1."""
    corrected, largest = [0.0] * len(ps), 0.0
    for rank, index in enumerate(sorted(range(len(ps)), key=lambda index: ps[index])):
        largest = max(largest, min(1.0, ps[index] * (len(ps) - rank)))
        corrected[index] = largest
    return corrected


def _resampled(x: np.ndarray, seed: int) -> np.ndarray:
    """Means [_RESAMPLES] of bootstrap samples of ``x`` [N]."""
    return np.asarray(x[np.random.default_rng(seed).integers(len(x), size=(_RESAMPLES, len(x)))].mean(1))


def _interval(resampled: np.ndarray, observed: float, influence: np.ndarray) -> tuple[float, float]:
    """The BCa interval. ``influence`` [N]: each value's influence on the statistic, for the acceleration."""
    scale = float((influence**2).sum())
    below = float((resampled < observed).mean() + (resampled <= observed).mean()) / 2
    if scale == 0 or not 0 < below < 1:  # all values are the same
        return float(resampled.min()), float(resampled.max())
    bias = _NORMAL.inv_cdf(below)
    acceleration = float((influence**3).sum()) / (6 * scale**1.5)
    tail = _NORMAL.inv_cdf(1 - ALPHA / 2)
    moved = [bias + z / (1 - acceleration * z) for z in (bias - tail, bias + tail)]
    low, high = np.quantile(resampled, [_NORMAL.cdf(z) for z in moved])
    return float(low), float(high)


def _permutation(x: np.ndarray, y: np.ndarray) -> float:
    """The p of a permutation test: the share of relabellings with at least as large a difference of means."""
    both, n = np.concatenate([x, y]), len(x)
    if math.comb(len(both), n) <= _MAX_RELABELLINGS:
        chosen = np.array(list(combinations(range(len(both)), n)))
    else:
        rng = np.random.default_rng(_SEED)
        chosen = np.argsort(rng.random((_MAX_RELABELLINGS, len(both))), axis=1)[:, :n]
    sums = both[chosen].sum(1)
    differences = sums / n - (both.sum() - sums) / len(y)
    return _fraction_as_large(
        differences, float(x.mean() - y.mean()), exact=math.comb(len(both), n) <= _MAX_RELABELLINGS
    )


def _sign_flip(differences: np.ndarray) -> float:
    """The p of a sign-flip test: the share of sign patterns whose mean is at least as far from 0."""
    n = len(differences)
    if 2**n <= _MAX_RELABELLINGS:
        signs = np.array(list(product((-1.0, 1.0), repeat=n)))
    else:
        signs = np.random.default_rng(_SEED).choice((-1.0, 1.0), size=(_MAX_RELABELLINGS, n))
    return _fraction_as_large(
        (signs * differences).mean(1), float(differences.mean()), exact=2**n <= _MAX_RELABELLINGS
    )


def _fraction_as_large(resampled: np.ndarray, observed: float, *, exact: bool) -> float:
    """The share of ``resampled`` at least as large as ``observed``; if drawn, it is counted among them."""
    tolerance = 1e-9 * float(np.abs(resampled).max(initial=abs(observed)))  # rounding: sums in another order
    hits = int((np.abs(resampled) >= abs(observed) - tolerance).sum())
    return hits / len(resampled) if exact else (hits + 1) / (len(resampled) + 1)
