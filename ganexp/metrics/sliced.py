r"""The sliced Wasserstein distance (Rabin et al. 2011; Bonneel et al. 2015), of order 1.

.. math:: SW_1(P, Q) = E_\theta\, W_1(\theta^T P, \theta^T Q), \qquad
          W_1(p, q) = \int_0^1 |F_p^{-1}(t) - F_q^{-1}(t)|\, dt

over directions :math:`\theta` drawn uniformly from the unit sphere. In one dimension, optimal transport
matches quantiles: it pairs sorted samples. (The papers use order 2. Order 1 is the WGAN's distance, has the
samples' unit, and weighs outliers linearly.) Karras et al. 2018 compute it on patches of a Laplacian pyramid;
this module does not.
"""

import numpy as np

from ganexp.errors import UserError
from ganexp.metrics import check_rows

_MAX_BYTES = 2**25
"""The maximum size of the projections in bytes."""

_ROWS = 1024
"""Samples converted to float64 at a time."""


def sliced_wasserstein(real: np.ndarray, fake: np.ndarray, directions: int = 512, *, seed: int) -> float:
    """The mean distance along ``directions`` random directions, at least 0, in the samples' unit.

    Args:
        real: [N, D], points or images flattened.
        fake: [M, D].

    Raises:
        UserError: no samples, or some that are not finite.
    """
    check_rows(real, fake)
    if not len(real) or not len(fake):
        raise UserError("a sliced Wasserstein distance needs at least one sample of each kind")
    rng = np.random.default_rng(seed)
    at_a_time = max(1, _MAX_BYTES // (8 * (len(real) + len(fake))))
    total = 0.0
    for start in range(0, directions, at_a_time):
        rays = rng.standard_normal((min(at_a_time, directions - start), real.shape[1]))
        rays /= np.linalg.norm(rays, axis=1, keepdims=True)
        total += float(_wasserstein(_project(real, rays), _project(fake, rays)).sum())
    return total / directions


def _project(samples: np.ndarray, rays: np.ndarray) -> np.ndarray:
    """Projections [N, R] float64 of samples [N, D] on rays [R, D]."""
    along = np.empty((len(samples), len(rays)))
    for start in range(0, len(samples), _ROWS):
        along[start : start + _ROWS] = samples[start : start + _ROWS] @ rays.T
    return along


def _wasserstein(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    """The distances between columns of p [N, R] and of q [M, R], as [R].

    Both quantile functions are step functions, with widths 1/N and 1/M. In units of 1/(N M) all steps begin at
    integers, so their positions are exact.
    """
    n, m = len(p), len(q)
    begins = np.union1d(np.arange(n) * m, np.arange(m) * n)
    widths = np.diff(begins, append=n * m) / (n * m)
    gaps = np.abs(np.sort(p, axis=0)[begins // m] - np.sort(q, axis=0)[begins // n])
    return np.asarray(widths @ gaps)
