r"""The Fréchet distance between two Gaussians fitted to features (FID: Heusel et al. 2017, equation 6).

.. math:: d^2 = \|m_a - m_b\|^2 + \mathrm{Tr}\,(A + B - 2\,(A B)^{1/2})

With factors :math:`A = F F^T` and :math:`B = G G^T`, the trace of the square root is the sum of the singular
values of :math:`F^T G`, which are the square roots of the eigenvalues of :math:`A B`. So nothing becomes
complex, a singular covariance is no special case, and rounding errors are relative to the singular values.
(With ``sqrtm`` or ``eigvals(A @ B)`` they are relative to the squares: an error of 1e-16 becomes 1e-8.)
"""

from typing import NamedTuple

import numpy as np

from ganexp.errors import UserError
from ganexp.metrics import check_rows

_ROWS = 4096
"""Samples converted to float64 at a time."""


class Moments(NamedTuple):
    """Moments of features in float64: mean [D], unbiased covariance [D, D]; and the number of samples."""

    mean: np.ndarray
    covariance: np.ndarray
    count: int  # type: ignore[assignment]  # hides tuple.count(), which is not used


def moments(features: np.ndarray) -> Moments:
    """The moments of features [N, D], in two passes: the mean is subtracted first, for precision.

    Raises:
        UserError: fewer than two samples, or some that are not finite.
    """
    check_rows(features)
    count, dimensions = features.shape
    if count < 2:
        raise UserError(f"a covariance needs at least 2 samples, there are {count}")
    mean = features.mean(0, dtype=np.float64)
    scatter = np.zeros((dimensions, dimensions))
    for start in range(0, count, _ROWS):
        centred = features[start : start + _ROWS] - mean
        scatter += centred.T @ centred
    return Moments(mean, scatter / (count - 1), count)


def frechet_distance(a: Moments, b: Moments) -> float:
    """The squared distance, at least 0, in squared units of the features. With Inception's features, the FID.

    It is symmetric, and 0 for equal moments up to rounding (1e-14 of the traces). Small samples bias it upwards
    (Binkowski et al. 2018, section 4): compare only values from equal counts.

    Raises:
        ValueError: the moments differ in their number of dimensions.
    """
    if a.mean.shape != b.mean.shape:
        raise ValueError(f"moments of {a.mean.size} and of {b.mean.size} features do not compare")
    shift = a.mean - b.mean
    root = np.linalg.svd(_covariance_factor(a).T @ _covariance_factor(b), compute_uv=False).sum()
    squared = shift @ shift + np.trace(a.covariance) + np.trace(b.covariance) - 2 * root
    return max(0.0, float(squared))


def covariance_warning(count: int, dimensions: int) -> str | None:
    """A warning where ``count`` samples are too few for a covariance of full rank; None if they are enough."""
    if count > dimensions:
        return None
    return (
        f"FID from {count:,} samples is biased: it needs more than {dimensions:,} samples "
        f"for a covariance of full rank in {dimensions:,} dimensions"
    )


def _covariance_factor(fitted: Moments) -> np.ndarray:
    """F [D, rank], where F F^T is the covariance.

    Eigenvalues below the rounding error of the largest one count as 0, as in numpy's ``matrix_rank``. Otherwise
    every direction that the samples do not span would have a root of 1e-8 of the largest one's.
    """
    values, vectors = np.linalg.eigh(fitted.covariance)
    spanned = values > values[-1] * len(values) * np.finfo(np.float64).eps
    return np.asarray(vectors[:, spanned] * np.sqrt(values[spanned]))
