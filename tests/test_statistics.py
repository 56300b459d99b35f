"""Intervals, permutation tests and Holm's correction against scipy, against simulation and by hand."""

from itertools import pairwise

import numpy as np
import pytest
from scipy import stats

from ganexp.compare.statistics import difference, holm, least_p, mean_of, runs_needed

_RNG = np.random.default_rng(20)
FIVE, SIX = _RNG.normal(12.0, 1.0, 5), _RNG.normal(14.0, 2.0, 6)
SKEWED = _RNG.exponential(3.0, 12)


def mean(x: np.ndarray, axis: int = -1) -> np.ndarray:
    return np.asarray(np.mean(x, axis=axis))


def less(x: np.ndarray, y: np.ndarray, axis: int = -1) -> np.ndarray:
    return np.asarray(mean(x, axis) - mean(y, axis))


@pytest.mark.parametrize("values", [FIVE, SIX, SKEWED])
def test_an_interval_is_scipys(values: np.ndarray) -> None:
    found = mean_of(values)
    theirs = stats.bootstrap((values,), mean, n_resamples=9999, method="BCa", rng=0).confidence_interval
    assert found.mean == pytest.approx(values.mean()) and found.n == len(values)
    assert (found.low, found.high) == pytest.approx((theirs.low, theirs.high), abs=1e-9)


def test_the_interval_of_a_difference_is_scipys() -> None:
    found = difference(FIVE, SIX, paired=False)
    theirs = stats.bootstrap((FIVE, SIX), less, n_resamples=9999, method="BCa", rng=1).confidence_interval
    assert (found.low, found.high) == pytest.approx((theirs.low, theirs.high), abs=0.1)


def test_one_value_has_no_interval_and_equal_ones_have_no_width() -> None:
    assert mean_of([3.0]) == (3.0, None, None, 1)
    assert mean_of([2.0, 2.0, 2.0]) == (2.0, 2.0, 2.0, 3)
    lone = difference([1.0], [2.0, 3.0], paired=False)
    assert (lone.low, lone.high, lone.mean) == (None, None, -1.5)


def test_the_same_values_give_the_same_answer() -> None:
    assert mean_of(SKEWED) == mean_of(SKEWED)
    assert difference(SKEWED, FIVE, paired=False) == difference(SKEWED, FIVE, paired=False)


@pytest.mark.parametrize(("n", "lowest", "highest"), [(3, 0.68, 0.80), (5, 0.78, 0.89), (30, 0.90, 0.97)])
def test_how_often_the_interval_holds_the_mean(n: int, lowest: float, highest: float) -> None:
    """95 % for many values; for few it is too narrow, which the report says."""
    rng = np.random.default_rng(n)
    intervals = [mean_of(rng.normal(7.0, 2.0, n)) for _ in range(300)]
    held = np.mean(
        [low <= 7.0 <= high for _, low, high, _ in intervals if low is not None and high is not None]
    )
    assert lowest < held < highest


@pytest.mark.parametrize(("one", "other"), [(FIVE, SIX), (FIVE, FIVE + 0.3), (SIX[:3], FIVE[:3])])
def test_a_permutation_test_is_scipys(one: np.ndarray, other: np.ndarray) -> None:
    def size(x: np.ndarray, y: np.ndarray, axis: int = -1) -> np.ndarray:
        return np.asarray(abs(less(x, y, axis)))

    theirs = stats.permutation_test((one, other), size, alternative="greater", n_resamples=np.inf)
    assert difference(one, other, paired=False).p == pytest.approx(theirs.pvalue)


def test_a_paired_test_is_scipys() -> None:
    one, other = SIX, SIX + np.array([0.5, 0.1, -0.2, 0.4, 0.3, 0.6])

    def size(x: np.ndarray, y: np.ndarray, axis: int = -1) -> np.ndarray:
        return np.asarray(abs(mean(x - y, axis)))

    theirs = stats.permutation_test(
        (one, other), size, permutation_type="samples", alternative="greater", n_resamples=np.inf
    )
    found = difference(one, other, paired=True)
    assert found.p == pytest.approx(theirs.pvalue) and found.mean == pytest.approx(np.mean(one - other))
    assert difference(one, other, paired=False).p > 0.7  # what pairs have in common is gone only in pairs


def test_a_sampled_test_is_close_to_the_exact_one() -> None:
    rng = np.random.default_rng(3)
    one, other = rng.normal(0, 1, 30), rng.normal(0.5, 1, 30)  # 10^17 relabellings
    assert difference(one, other, paired=False).p == pytest.approx(stats.ttest_ind(one, other).pvalue, abs=0.02)
    assert difference(one, other, paired=True).p == pytest.approx(stats.ttest_rel(one, other).pvalue, abs=0.02)
    assert difference(one + 9, other, paired=False).p == pytest.approx(1 / 20_001)  # never 0


def test_chance_alone_is_taken_for_more_in_one_case_of_twenty() -> None:
    rng = np.random.default_rng(4)
    ps = [difference(*rng.normal(0, 1, (2, 5)), paired=False).p for _ in range(300)]
    assert 0.02 < np.mean(np.array(ps) <= 0.05) < 0.09


def test_the_smallest_p_that_so_few_can_give() -> None:
    assert difference([1, 2, 3], [7, 8, 9], paired=False).p == least_p(3, 3) == pytest.approx(0.1)
    assert difference([1, 2], [7, 8, 9], paired=False).p == least_p(2, 3) == pytest.approx(0.1)
    assert difference([1, 2, 3], [7, 8, 9.5], paired=True).p == least_p(3, None) == pytest.approx(0.25)
    assert least_p(1, 1) == least_p(1, None) == 1.0
    assert least_p(5, None) > 0.05 > least_p(6, None)
    for comparisons in (1, 3, 28):
        n = runs_needed(comparisons)
        assert comparisons * least_p(n, n) < 0.05 <= comparisons * least_p(n - 1, n - 1)


def test_holm_by_hand() -> None:
    """Sorted: 0.005 * 4, 0.01 * 3, 0.03 * 2, and 0.04, which may not fall below the one before."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == [1.0, 1.0] and holm([]) == []


def test_planted_means_come_out_in_their_order() -> None:
    rng = np.random.default_rng(5)
    groups = [rng.normal(goal, 0.5, 6) for goal in (10.0, 15.0, 20.0)]
    found = [mean_of(values) for values in groups]
    for (mean_, low, high, _), goal in zip(found, (10.0, 15.0, 20.0), strict=True):
        assert low is not None and high is not None and low < mean_ < high
        assert mean_ == pytest.approx(goal, abs=0.6) and high - low < 1.5
    for one, other in pairwise(groups):
        assert difference(one, other, paired=False).p == pytest.approx(2 / 924)
