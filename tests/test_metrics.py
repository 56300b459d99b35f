"""Each metric by hand, by brute force on small sets, against closed forms, and on sets of known score."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from ganexp.errors import UserError
from ganexp.metrics import kernel, prdc, sliced
from ganexp.metrics.frechet import Moments, covariance_warning, frechet_distance, moments
from ganexp.metrics.inception_score import inception_score
from ganexp.metrics.kernel import kid, mmd2
from ganexp.metrics.modes import coverage_of_classes, coverage_of_gaussians
from ganexp.metrics.prdc import PRDC
from ganexp.metrics.sliced import sliced_wasserstein

MANY = 10**6  # a count that limits no rank


def normal(seed: int, *shape: int, offset: float = 0.0) -> np.ndarray:
    return (np.random.default_rng(seed).standard_normal(shape) + offset).astype(np.float32)


def gaussian(mean: list[float], covariance: Any) -> Moments:
    return Moments(np.array(mean, float), np.array(covariance, float), MANY)


# --- Fréchet distance


def test_moments_by_hand() -> None:
    mean, covariance, count = moments(np.array([[0, 0], [2, 0], [0, 4]], np.float32))
    np.testing.assert_allclose(mean, [2 / 3, 4 / 3])
    np.testing.assert_allclose(covariance, [[4 / 3, -4 / 3], [-4 / 3, 16 / 3]])
    assert count == 3
    assert mean.dtype == covariance.dtype == np.float64


def test_moments_survive_an_offset_and_several_blocks() -> None:
    features = normal(0, 9000, 3, offset=4096.0)
    exact = features.astype(np.float64) - 4096  # without rounding: both are float32
    np.testing.assert_allclose(moments(features).covariance, np.cov(exact.T), rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(moments(features).mean - 4096, exact.mean(0), atol=1e-11)


def test_frechet_of_known_gaussians() -> None:
    line = frechet_distance(gaussian([0], [[4]]), gaussian([3], [[9]]))
    assert line == pytest.approx(3**2 + (2 - 3) ** 2, rel=1e-14)

    a, b = np.array([[2.0, 0.5], [0.5, 1.0]]), np.array([[1.0, -0.7], [-0.7, 3.0]])  # do not commute
    root = math.sqrt(np.trace(a @ b) + 2 * math.sqrt(np.linalg.det(a @ b)))  # 2 x 2: Cayley-Hamilton
    expected = 1**2 + 2**2 + np.trace(a + b) - 2 * root
    assert frechet_distance(gaussian([1, 0], a), gaussian([0, 2], b)) == pytest.approx(expected, rel=1e-13)


def test_frechet_of_singular_covariances() -> None:
    u, v = normal(0, 60).astype(float), normal(1, 60).astype(float)
    zero = [0.0] * 60
    along_u, along_v = gaussian(zero, np.outer(u, u)), gaussian(zero, np.outer(v, v))
    assert frechet_distance(along_u, along_v) == pytest.approx(u @ u + v @ v - 2 * abs(u @ v), abs=1e-11)
    everywhere = gaussian(zero, np.eye(60))
    assert frechet_distance(along_u, everywhere) == pytest.approx(u @ u + 60 - 2 * math.sqrt(u @ u), abs=1e-11)
    nowhere = gaussian(zero, np.zeros((60, 60)))
    assert frechet_distance(along_u, nowhere) == pytest.approx(u @ u, rel=1e-14)
    assert frechet_distance(nowhere, nowhere) == 0


@pytest.mark.parametrize(("n", "m"), [(40, 70), (40, 500), (300, 500)])
def test_frechet_of_samples_agrees_with_their_singular_values(n: int, m: int) -> None:
    """The trace of the root is the sum of the singular values of X Y^T: no covariance, so no lost digits."""
    scales = np.exp(-np.linspace(0, 8, 200))  # as steep as the spectrum of Inception's features
    x, y = normal(2, n, 200) * scales, 1.2 * normal(3, m, 200) * scales + 0.1
    centred = (x - x.mean(0)) / math.sqrt(n - 1), (y - y.mean(0)) / math.sqrt(m - 1)
    root = np.linalg.svd(centred[0] @ centred[1].T, compute_uv=False).sum()
    exact = ((x.mean(0) - y.mean(0)) ** 2).sum() + (centred[0] ** 2).sum() + (centred[1] ** 2).sum() - 2 * root
    assert frechet_distance(moments(x), moments(y)) == pytest.approx(exact, abs=1e-10)


@pytest.mark.parametrize("count", [30, 100, 1000])
def test_frechet_of_a_set_and_itself(count: int) -> None:
    x = normal(4, count, 100, offset=1.0).astype(np.float64)
    given = moments(x)
    assert 0 <= frechet_distance(given, given) < 1e-11
    assert 0 <= frechet_distance(given, moments(x[::-1])) < 1e-11
    shift = np.linspace(0, 1, 100)
    assert frechet_distance(given, moments(x + shift)) == pytest.approx(shift @ shift, abs=1e-10)
    other = moments(normal(5, count, 100))
    assert frechet_distance(given, other) == pytest.approx(frechet_distance(other, given), rel=1e-12)


def test_frechet_tends_to_the_squared_shift() -> None:
    shifted = normal(7, 50_000, 3) + np.array([1.0, 2.0, 0.5])
    apart = frechet_distance(moments(normal(6, 50_000, 3)), moments(shifted))
    assert apart == pytest.approx(5.25, abs=0.05)


def test_few_samples_are_warned_of() -> None:
    assert covariance_warning(2049, 2048) is None
    line = covariance_warning(2048, 2048)
    assert line is not None
    assert "needs more than 2,048 samples for a covariance of full rank" in line


# --- kernel distance


def by_pairs(real: np.ndarray, fake: np.ndarray) -> float:
    def k(x: np.ndarray, y: np.ndarray) -> float:
        return float((x.astype(float) @ y / len(x) + 1) ** 3)

    def among(rows: np.ndarray) -> float:
        return float(np.mean([k(x, y) for i, x in enumerate(rows) for j, y in enumerate(rows) if i != j]))

    return among(real) + among(fake) - 2 * float(np.mean([k(x, y) for x in real for y in fake]))


def test_mmd_by_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    real, fake = normal(0, 7, 3), normal(1, 5, 3, offset=0.5)
    assert mmd2(real, fake) == pytest.approx(by_pairs(real, fake), rel=1e-12)
    monkeypatch.setattr(kernel, "_ROWS", 3)
    assert mmd2(real, fake) == pytest.approx(by_pairs(real, fake), rel=1e-12)


def test_mmd_is_unbiased() -> None:
    values = [mmd2(normal(2 * seed, 6, 4), normal(2 * seed + 1, 4, 4)) for seed in range(4000)]
    error = np.std(values) / math.sqrt(len(values))
    assert abs(np.mean(values)) < 3 * error
    assert error < 0.1  # the diagonal, which is not counted, would add 10 on average


def test_kid_of_everything_is_mmd() -> None:
    real, fake = normal(0, 20, 4), normal(1, 20, 4, offset=0.5)
    mean, std = kid(real, fake, subsets=3, size=1000, seed=0)
    assert mean == pytest.approx(mmd2(real, fake), rel=1e-12)
    assert std < 1e-12


def test_kid_over_subsets() -> None:
    real, fake = normal(0, 60, 4), normal(1, 50, 4, offset=0.5)
    once = kid(real, fake, subsets=400, size=10, seed=3)
    assert once == kid(real, fake, subsets=400, size=10, seed=3)
    assert once != kid(real, fake, subsets=400, size=10, seed=4)
    assert once.mean == pytest.approx(mmd2(real, fake), abs=4 * once.std / math.sqrt(400))
    assert once.std > kid(real, fake, subsets=400, size=40, seed=3).std > 0
    assert kid(real, fake, subsets=1, size=10, seed=3).std == 0


# --- Inception Score


def test_inception_score_of_known_probabilities() -> None:
    certain = np.tile(np.eye(4, dtype=np.float32), (50, 1))
    assert inception_score(certain, splits=5, seed=None) == pytest.approx((4, 0))
    assert inception_score(certain[::4], splits=5, seed=0) == pytest.approx((1, 0)), "one class only"
    assert inception_score(np.full((50, 4), 0.25), splits=5, seed=0) == pytest.approx((1, 0)), "undecided"


def test_inception_score_by_hand() -> None:
    p = np.array([[0.5, 0.5, 0.0], [1.0, 0.0, 0.0], [0.2, 0.3, 0.5], [0.0, 0.1, 0.9], [0.6, 0.4, 0.0]])
    scores = []
    for part in (p[:2], p[2:]):  # 5 samples in 2 parts: 2 and 3
        q = part.mean(0)
        divergences = [sum(a * math.log(a / b) for a, b in zip(row, q, strict=True) if a) for row in part]
        scores.append(math.exp(np.mean(divergences)))
    assert inception_score(p, splits=2, seed=None) == pytest.approx(
        (np.mean(scores), np.std(scores)), rel=1e-13
    )


def test_inception_score_does_not_depend_on_how_samples_were_sorted() -> None:
    by_class = np.repeat(np.eye(10, dtype=np.float32), 500, 0)
    assert inception_score(by_class, seed=None).mean == 1, "each part sees one class"
    assert inception_score(by_class, seed=0).mean > 9.9
    assert inception_score(by_class, seed=0) == inception_score(by_class, seed=0)


def test_inception_score_refuses() -> None:
    with pytest.raises(UserError, match="10 parts"):
        inception_score(np.full((9, 2), 0.5), seed=0)
    with pytest.raises(ValueError, match="sum to 1"):
        inception_score(normal(0, 20, 3), seed=0)


# --- precision, recall, density, coverage


def by_balls(real: np.ndarray, fake: np.ndarray, k: int, k_density: int) -> PRDC:
    def radius(rows: np.ndarray, i: int, k: int) -> float:
        return sorted(math.dist(rows[i], rows[j]) for j in range(len(rows)) if j != i)[k - 1]

    n, m = range(len(real)), range(len(fake))
    inside = [[math.dist(real[i], fake[j]) < radius(real, i, k_density) for j in m] for i in n]
    precise = [any(math.dist(real[i], fake[j]) <= radius(real, i, k) for i in n) for j in m]
    recalled = [any(math.dist(real[i], fake[j]) <= radius(fake, j, k) for j in m) for i in n]
    density = np.sum(inside) / (k_density * len(fake))
    return PRDC(float(np.mean(precise)), float(np.mean(recalled)), density, float(np.mean(np.any(inside, 1))))


@pytest.mark.parametrize(("k", "k_density"), [(1, 1), (1, 3), (3, 2)])
def test_prdc_by_balls(k: int, k_density: int, monkeypatch: pytest.MonkeyPatch) -> None:
    real, fake = normal(0, 31, 3), 0.6 * normal(1, 23, 3) + 0.7
    expected = by_balls(real, fake, k, k_density)
    assert 0 < expected.recall < 1 and 0 < expected.coverage < 1
    assert prdc.prdc(real, fake, k, k_density) == pytest.approx(expected)
    monkeypatch.setattr(prdc, "_MAX_BYTES", 4 * 23 * 5)
    monkeypatch.setattr(prdc, "_COLUMNS", 4)
    assert prdc.prdc(real, fake, k, k_density) == pytest.approx(expected)
    assert prdc.prdc(real[::-1], fake[::-1], k, k_density) == pytest.approx(expected)


def test_prdc_on_a_line() -> None:
    real = np.array([[0], [1], [3]], np.float32)  # radii 1, 1, 2
    fake = np.array([[0.5], [5], [6], [6.5]], np.float32)  # radii 4.5, 1, 0.5, 0.5; 5 is on the ball around 3
    assert prdc.prdc(real, fake, k=1) == pytest.approx(PRDC(2 / 4, 3 / 3, 2 / 4, 2 / 3))


@pytest.mark.parametrize("dimensions", [2, 300])
def test_prdc_of_a_set_and_itself(dimensions: int) -> None:
    x = normal(0, 200, dimensions, offset=30.0)
    assert prdc.prdc(x, x[::-1], k=3, k_density=5) == PRDC(1, 1, 1, 1)
    assert prdc.prdc(x, x + 1000, k=3) == PRDC(0, 0, 0, 0)


def test_prdc_of_a_collapsed_generator() -> None:
    real = normal(0, 200, 300, offset=30.0)
    scores = prdc.prdc(real, np.repeat(real[:1], 50, 0), k=3)
    assert scores.precision == 1
    assert scores.recall == 1 / 200, "fakes that do not differ reach nobody but their original"
    assert scores.coverage < 0.2


def test_prdc_of_duplicates() -> None:
    """Balls of no size: they hold their own copies for ``<=``, and nothing for ``<``, without any rounding."""
    originals = normal(0, 50, 300, offset=30.0)
    order = np.random.default_rng(1).permutation(200)
    assert prdc.prdc(np.repeat(originals, 4, 0)[order], np.tile(originals, (5, 1)), k=3) == PRDC(1, 1, 0, 0)


def test_prdc_of_tight_clusters() -> None:
    """Small distances between far samples are differences of large numbers: float32 would lose them."""
    sides = np.where(np.arange(40) % 2, 50, -50)[:, None]
    real, fake = sides + 0.01 * normal(0, 40, 3), sides + 0.01 * normal(1, 40, 3)
    expected = by_balls(real, fake, 3, 3)
    assert 0 < expected.recall < 1 and 0 < expected.coverage < 1
    assert prdc.prdc(real, fake, k=3) == pytest.approx(expected)


def test_prdc_needs_neighbours() -> None:
    with pytest.raises(UserError, match="neighbour 5"):
        prdc.prdc(normal(0, 5, 2), normal(1, 9, 2), k=3, k_density=5)


# --- sliced Wasserstein distance


@pytest.mark.parametrize(("n", "m"), [(6, 6), (3, 2), (4, 6), (1, 5)])
def test_one_dimension_is_exact(n: int, m: int) -> None:
    p, q = normal(0, n, 1), normal(1, m, 1)
    evenly = np.sort(np.repeat(p, m)), np.sort(np.repeat(q, n))  # N M samples of the same two distributions
    assert sliced_wasserstein(p, q, 7, seed=0) == pytest.approx(np.abs(evenly[0] - evenly[1]).mean(), rel=1e-6)


def test_sliced_of_a_shift() -> None:
    x = normal(0, 300, 2)
    assert sliced_wasserstein(x, x[::-1], seed=0) == 0
    assert sliced_wasserstein(x, np.repeat(x, 3, 0), seed=0) == pytest.approx(0, abs=1e-15)
    shifted = x + np.array([3.0, 4.0])
    expected = 5 * 2 / math.pi  # |m| E |cos|
    assert sliced_wasserstein(x, shifted, 20_000, seed=0) == pytest.approx(expected, rel=0.01)
    assert sliced_wasserstein(x, shifted, seed=0) == sliced_wasserstein(shifted, x, seed=0)
    assert sliced_wasserstein(x, shifted, seed=0) != sliced_wasserstein(x, shifted, seed=1)


def test_sliced_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = normal(0, 40, 5), normal(1, 30, 5, offset=0.3)
    whole = sliced_wasserstein(x, y, 50, seed=0)
    monkeypatch.setattr(sliced, "_MAX_BYTES", 8 * 70 * 7)
    monkeypatch.setattr(sliced, "_ROWS", 9)
    assert sliced_wasserstein(x, y, 50, seed=0) == pytest.approx(whole, rel=1e-12)


# --- modes

RING = np.array([[math.cos(t), math.sin(t)] for t in 2 * math.pi * np.arange(8) / 8])
GRID = np.array([[x, y] for x in range(-4, 5, 2) for y in range(-4, 5, 2)], float)


@pytest.mark.parametrize(("centres", "sigma"), [(RING, 0.01), (GRID, 0.05)])
def test_the_true_sampler_covers_every_mode(centres: np.ndarray, sigma: float) -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(len(centres), size=2500)
    points = (centres[labels] + sigma * rng.standard_normal((2500, 2))).astype(np.float32)
    found = coverage_of_gaussians(points, centres, sigma)
    assert found.modes == len(centres)
    assert found.high_quality == pytest.approx(1 - math.exp(-4.5), abs=0.01)  # Rayleigh within 3
    assert 0 <= found.reverse_kl < 0.02

    collapsed = coverage_of_gaussians(points[labels == 2], centres, sigma)
    assert collapsed.modes == 1
    assert collapsed.reverse_kl == pytest.approx(math.log(len(centres)))


def test_modes_by_hand() -> None:
    centres = np.array([[0, 0], [10, 0], [20, 0]], float)
    points = np.array([[0, 0], [2.9, 0], [0, -1], [9, 1], [13.1, 0], [22.2, 2.2]])  # two are too far out
    found = coverage_of_gaussians(points, centres, sigma=1.0)
    assert found == pytest.approx((2, 4 / 6, 3 / 4 * math.log(3 * 3 / 4) + 1 / 4 * math.log(3 * 1 / 4)))
    assert coverage_of_gaussians(points + 100, centres, 1.0) == (0, 0, math.inf)


def test_classes_by_hand() -> None:
    assert coverage_of_classes(np.arange(1000), 1000) == pytest.approx((1000, 0), abs=1e-12)
    assert coverage_of_classes(np.full(9, 7), 1000) == pytest.approx((1, math.log(1000)))
    labels = np.array([0, 0, 0, 2])
    expected = 3 / 4 * math.log(4 * 3 / 4) + 1 / 4 * math.log(4 * 1 / 4)
    assert coverage_of_classes(labels, 4) == pytest.approx((2, expected))
    with pytest.raises(ValueError, match="2 classes, and a label 2"):
        coverage_of_classes(labels, 2)


# --- what every metric refuses

PAIRED: dict[str, Callable[[np.ndarray, np.ndarray], Any]] = {
    "frechet": lambda x, y: frechet_distance(moments(x), moments(y)),
    "mmd2": mmd2,
    "kid": lambda x, y: kid(x, y, seed=0),
    "prdc": prdc.prdc,
    "sliced": lambda x, y: sliced_wasserstein(x, y, seed=0),
    "modes": lambda x, y: coverage_of_gaussians(x, y, 0.1),
}


@pytest.mark.parametrize("metric", PAIRED.values(), ids=PAIRED)
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_no_score_of_what_is_not_finite(metric: Callable[..., Any], value: float) -> None:
    good, bad = normal(0, 20, 2), normal(1, 30, 2)
    bad[3, 1] = value
    with pytest.raises(UserError, match="1 of 30 samples"):
        metric(bad, good)
    with pytest.raises(ValueError):
        metric(good, normal(1, 30, 1))


@pytest.mark.parametrize("metric", ["frechet", "mmd2", "kid", "prdc", "sliced"])
def test_too_few_samples_are_said_in_one_line(metric: str) -> None:
    with pytest.raises(UserError) as caught:
        PAIRED[metric](normal(0, 0, 2), normal(1, 30, 2))
    assert "\n" not in str(caught.value)
