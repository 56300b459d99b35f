"""The metrics against the field's reference implementations, on the same features; skipped without those.

pip install torch-fidelity prdc
"""

import math
from typing import Any

import numpy as np
import pytest
import torch

from ganexp.metrics.frechet import frechet_distance, moments
from ganexp.metrics.inception_score import inception_score
from ganexp.metrics.kernel import kid, mmd2
from ganexp.metrics.prdc import prdc
from ganexp.metrics.sliced import sliced_wasserstein


def fidelity(module: str) -> Any:
    # before 0.4 it called precision what is recall
    pytest.importorskip("torch_fidelity", minversion="0.4.0")
    return pytest.importorskip(f"torch_fidelity.{module}")


def features(seed: int, count: int, dimensions: int, shift: float = 0.0) -> np.ndarray:
    """Like Inception's: not negative, correlated, with a steep spectrum; float32."""
    basis = np.random.default_rng(1234).standard_normal((dimensions, dimensions))
    basis *= np.exp(-np.linspace(0, 5, dimensions))[:, None] / math.sqrt(dimensions)
    latent = np.random.default_rng(seed).standard_normal((count, dimensions))
    return np.abs((latent + shift) @ basis * 3).astype(np.float32)


@pytest.mark.parametrize(
    ("n", "m", "dimensions", "tolerance"),
    [(3000, 2500, 2048, 1e-9), (3000, 2000, 512, 1e-9), (300, 400, 512, 1e-4), (100, 2000, 192, 1e-4)],
    ids=["2048", "512", "512 singular", "192 singular"],
)
def test_frechet(n: int, m: int, dimensions: int, tolerance: float) -> None:
    """The reference takes the roots of eigenvalues that rounding keeps from being 0: hence the tolerance."""
    reference = fidelity("metric_fid")
    x, y = features(0, n, dimensions), features(1, m, dimensions, shift=0.1)
    statistics = [reference.fid_features_to_statistics(torch.from_numpy(a).double()) for a in (x, y)]
    expected = reference.fid_statistics_to_metric(*statistics, False)["frechet_inception_distance"]
    assert expected > 0.1
    assert frechet_distance(moments(x), moments(y)) == pytest.approx(expected, abs=tolerance)


def test_kid(monkeypatch: pytest.MonkeyPatch) -> None:
    reference = fidelity("metric_kid")
    x, y = features(0, 800, 2048), features(1, 700, 2048, shift=0.1)
    both = [torch.from_numpy(a).double() for a in (x, y)]
    found = reference.kid_features_to_metric(
        *both, kid_subsets=5, kid_subset_size=500, rng_seed=2020, verbose=False
    )
    expected = found["kernel_inception_distance_mean"], found["kernel_inception_distance_std"]
    monkeypatch.setattr(np.random, "default_rng", np.random.RandomState)  # the same subsets
    assert kid(x, y, 5, 500, seed=2020) == pytest.approx(expected, rel=1e-9)


def test_mmd_of_all_samples() -> None:
    reference = fidelity("metric_kid")
    x, y = features(0, 1500, 2048), features(1, 1500, 2048, shift=0.1)
    found = reference.kernel_mmd(x.astype(float), y.astype(float))
    assert mmd2(x, y) == pytest.approx(float(found), rel=1e-9)


@pytest.mark.parametrize("scale", [0.1, 3.0, 200.0])
def test_inception_score(scale: float) -> None:
    reference = fidelity("metric_isc")
    logits = torch.from_numpy(features(0, 1003, 300)).double() * scale
    found = reference.isc_features_to_metric(logits, splits=10, shuffle=False)
    expected = found["inception_score_mean"], found["inception_score_std"]
    assert inception_score(logits.softmax(1).numpy(), seed=None) == pytest.approx(expected, rel=1e-10)


SETS = pytest.mark.parametrize(
    ("n", "m", "dimensions", "k"), [(2000, 1500, 2048, 3), (500, 600, 2048, 5), (3000, 2500, 64, 3)]
)


@SETS
def test_precision_and_recall(n: int, m: int, dimensions: int, k: int) -> None:
    reference = fidelity("metric_prc")
    real, fake = features(0, n, dimensions), features(1, m, dimensions, shift=0.1)
    found = reference.prc_features_to_metric(
        *(torch.from_numpy(a).double() for a in (fake, real)), prc_neighborhood=k, verbose=False
    )
    assert 0.01 < found["precision"] != found["recall"] < 0.99
    scores = prdc(real, fake, k)
    assert scores[:2] == pytest.approx((found["precision"], found["recall"]), abs=1e-6)  # float32 means


@SETS
def test_density_and_coverage(n: int, m: int, dimensions: int, k: int) -> None:
    """The reference takes float32 distances: one pair of ten million might fall on the other side."""
    reference = pytest.importorskip("prdc")
    real, fake = features(0, n, dimensions), features(1, m, dimensions, shift=0.1)
    found = reference.compute_prdc(real, fake, k)
    assert prdc(real, fake, k) == pytest.approx(tuple(found.values()), abs=1.5 / min(n, m))


def test_wasserstein_in_one_dimension() -> None:
    reference = pytest.importorskip("scipy.stats")
    x, y = features(0, 501, 1), features(1, 377, 1, shift=0.5)
    expected = reference.wasserstein_distance(x[:, 0], y[:, 0])
    assert sliced_wasserstein(x, y, 3, seed=0) == pytest.approx(expected, rel=1e-6)
