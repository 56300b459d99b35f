r"""The kernel distance between two sets of features (KID: Binkowski et al. 2018, section 4).

With the polynomial kernel :math:`k(x, y) = (x^T y / D + 1)^3`, the squared maximum mean discrepancy
(Gretton et al. 2012, equation 3) of N real and M fake samples is estimated without bias by

.. math::
    \frac{1}{N (N-1)} \sum_{i \ne j} k(x_i, x_j) + \frac{1}{M (M-1)} \sum_{i \ne j} k(y_i, y_j)
    - \frac{2}{N M} \sum_{i, j} k(x_i, y_j)

The estimate may be slightly negative; its mean is 0 for equal distributions.
"""

import numpy as np

from ganexp.errors import UserError
from ganexp.metrics import Estimate, check_rows

_ROWS = 1024
"""Rows of a kernel matrix in memory at a time."""


def kid(real: np.ndarray, fake: np.ndarray, subsets: int = 100, size: int = 1000, *, seed: int) -> Estimate:
    """The mean and the standard deviation of ``mmd2`` over random subsets of ``size`` samples each.

    Subsets are drawn without replacement. If a side has fewer than ``size`` samples, they have the size of the
    smaller side; if they hold all samples of both sides, all subsets are equal and the deviation is 0.

    Args:
        real: features [N, D].
        fake: features [M, D].

    Raises:
        UserError: fewer than two samples, or some that are not finite.
    """
    _check_sets(real, fake)
    size = min(size, len(real), len(fake))
    rng = np.random.default_rng(seed)
    values = []
    for _ in range(subsets):
        x = real[rng.choice(len(real), size, replace=False)]
        y = fake[rng.choice(len(fake), size, replace=False)]
        values.append(_mmd2(x, y))
    return Estimate(float(np.mean(values)), float(np.std(values)))


def mmd2(real: np.ndarray, fake: np.ndarray) -> float:
    """The unbiased estimate from all samples, real [N, D] and fake [M, D].

    Raises:
        UserError: fewer than two samples, or some that are not finite.
    """
    _check_sets(real, fake)
    return _mmd2(real, fake)


def _check_sets(real: np.ndarray, fake: np.ndarray) -> None:
    check_rows(real, fake)
    smaller = min(len(real), len(fake))
    if smaller < 2:
        raise UserError(f"KID needs at least 2 real and 2 generated samples, there are {smaller} of one kind")


def _mmd2(real: np.ndarray, fake: np.ndarray) -> float:
    x, y = real.astype(np.float64), fake.astype(np.float64)
    return _mean_over_pairs(x) + _mean_over_pairs(y) - 2 * _kernel_sum(x, y) / (len(x) * len(y))


def _mean_over_pairs(x: np.ndarray) -> float:
    """The mean of the kernel over all pairs of different rows."""
    diagonal = float(_cube(np.einsum("nd,nd->n", x, x) / x.shape[1] + 1).sum())
    return (_kernel_sum(x, x) - diagonal) / (len(x) * (len(x) - 1))


def _kernel_sum(x: np.ndarray, y: np.ndarray) -> float:
    """The sum of the kernel over all pairs."""
    total = 0.0
    for start in range(0, len(x), _ROWS):
        total += float(_cube(x[start : start + _ROWS] @ y.T / x.shape[1] + 1).sum())
    return total


def _cube(a: np.ndarray) -> np.ndarray:
    return np.asarray(a * a * a)  # ``a**3`` calls pow(), which is slower than the matrix product
