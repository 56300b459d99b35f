r"""Fidelity and diversity as separate scores, from balls around the samples.

A ball :math:`B_k` around a sample extends to its k-th nearest neighbour in the same set, excluding itself.

    precision  share of fakes within some real sample's ball     Kynkäänniemi et al. 2019, equations 1 and 2
    recall     share of real samples within some fake's ball     the same
    density    mean number of real balls around a fake, over k   Naeem et al. 2020, section 3.2
    coverage   share of real balls that contain a fake           the same

As in the authors' implementations, a ball includes its surface for precision and recall (``<=``), but not for
density and coverage (``<``).
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from ganexp.errors import UserError
from ganexp.metrics import check_rows

_MAX_BYTES = 2**26
"""Bytes of a block of distances; the peak in memory is about twice that."""

_COLUMNS = 2048
"""Samples converted to float64 at a time."""

_ROUNDING_SHARE = 1e-13
"""A squared distance below this share of the summed squared norms is a rounding error, and set to 0."""


class PRDC(NamedTuple):
    """All are in [0, 1], but density may exceed 1 if fakes concentrate where real samples are dense."""

    precision: float
    recall: float
    density: float
    coverage: float


def prdc(real: np.ndarray, fake: np.ndarray, k: int = 5, k_density: int | None = None) -> PRDC:
    """All four scores, from three passes over the distances, in bounded memory.

    Args:
        real: features [N, D]. Scores depend on N and M: compare only those from equal counts.
        fake: features [M, D].
        k: the neighbour for precision and recall; their paper takes 3.
        k_density: the neighbour for density and coverage, whose paper takes 5; ``k`` if not given.

    Raises:
        UserError: no more than k samples on a side, or some that are not finite.
    """
    check_rows(real, fake)
    k_density = k if k_density is None else k_density
    real_radii, density_radii = _radii(real, (k, k_density))
    (fake_radii,) = _radii(fake, (k,))
    in_a_real_ball = np.zeros(len(fake), bool)
    in_a_fake_ball, covered = np.zeros((2, len(real)), bool)
    inside = 0
    for rows, squares in distance_blocks(real, fake):
        in_a_real_ball |= (squares <= real_radii[rows, None]).any(0)
        in_a_fake_ball[rows] = (squares <= fake_radii).any(1)
        within = squares < density_radii[rows, None]
        inside += int(within.sum())
        covered[rows] = within.any(1)
    density = inside / (k_density * len(fake))
    return PRDC(float(in_a_real_ball.mean()), float(in_a_fake_ball.mean()), density, float(covered.mean()))


def _radii(features: np.ndarray, neighbours: tuple[int, ...]) -> np.ndarray:
    """For each k, each sample's squared distance to its k-th nearest neighbour: [len(neighbours), N]."""
    count = len(features)
    if count <= max(neighbours):
        raise UserError(f"neighbour {max(neighbours)} of a sample needs more samples than that, got {count}")
    indices = [k - 1 for k in neighbours]
    radii = np.empty((len(indices), count), np.float32)
    for rows, squares in distance_blocks(features, features):
        here = np.arange(rows.start, rows.stop)
        squares[here - rows.start, here] = np.inf  # a sample is not its own neighbour
        radii[:, rows] = np.partition(squares, indices, 1)[:, indices].T
    return radii


def distance_blocks(x: np.ndarray, y: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
    """Rows of the matrix [N, M] of squared distances, block by block, as float32.

    They are computed in float64 and rounded to float32, so a distance does not depend on the block, and ``<``
    and ``<=`` are exact for duplicate samples.
    """
    centre = x.mean(0, dtype=np.float64)  # a common offset would cost precision
    height = max(1, _MAX_BYTES // (4 * len(y)))
    for start in range(0, len(x), height):
        rows = slice(start, min(start + height, len(x)))
        left = x[rows] - centre
        block = np.empty((len(left), len(y)), np.float32)
        for column in range(0, len(y), _COLUMNS):
            columns = slice(column, column + _COLUMNS)
            block[:, columns] = squared_distances(left, y[columns] - centre)
        yield rows, block


def squared_distances(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Squared distances [N, M] float64 between rows of x [N, D] and y [M, D]; rounding errors are set to 0.

    By |x - y|^2 = |x|^2 + |y|^2 - 2 x y.
    """
    norms = np.add.outer(np.einsum("nd,nd->n", x, x), np.einsum("nd,nd->n", y, y))
    squares = norms - 2 * (x @ y.T)
    squares[squares < _ROUNDING_SHARE * norms] = 0
    return np.asarray(squares)
