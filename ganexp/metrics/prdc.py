r"""Fidelity and diversity apart from each other, from balls around the samples.

A ball :math:`B_k` around a sample reaches to its k-th nearest neighbour of the same set, itself not counted.

    precision  share of fakes within some real sample's ball     Kynkäänniemi et al. 2019, equations 1 and 2
    recall     share of real samples within some fake's ball     the same
    density    1/k of the real balls that a fake lies in         Naeem et al. 2020, section 3.2
    coverage   share of real balls that hold a fake              the same

On a ball's very surface the authors' implementations differ, and so do we: it belongs to the ball for
precision and recall (``<=``), and does not for density and coverage (``<``).
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from ganexp.errors import UserError
from ganexp.metrics import check

_BYTES = 2**26
"""What a block of distances may occupy; all in all, about twice that is in use at a time."""

_COLUMNS = 2048
"""Samples that are turned into float64 at a time."""

_NOISE = 1e-13
"""Below this share of the summed squares, a squared distance is rounding: the two samples are the same."""


class PRDC(NamedTuple):
    """All shares are in [0, 1]; density may exceed 1 where fakes crowd where the real samples are dense."""

    precision: float
    recall: float
    density: float
    coverage: float


def prdc(real: np.ndarray, fake: np.ndarray, k: int = 5, k_density: int | None = None) -> PRDC:
    """All four, from three passes over the distances, in bounded memory.

    Args:
        real: features [N, D]. Values depend on the counts: compare only those from equal N and M.
        fake: features [M, D].
        k: the neighbour for precision and recall; their paper takes 3.
        k_density: the neighbour for density and coverage, whose paper takes 5; ``k`` if not given.

    Raises:
        UserError: no more than k samples on a side, or some that are not finite.
    """
    check(real, fake)
    k_density = k if k_density is None else k_density
    real_radii, density_radii = _radii(real, (k, k_density))
    (fake_radii,) = _radii(fake, (k,))
    precise = np.zeros(len(fake), bool)
    recalled, covered = np.zeros((2, len(real)), bool)
    inside = 0
    for rows, squares in distance_blocks(real, fake):
        precise |= (squares <= real_radii[rows, None]).any(0)
        recalled[rows] = (squares <= fake_radii).any(1)
        within = squares < density_radii[rows, None]
        inside += int(within.sum())
        covered[rows] = within.any(1)
    density = inside / (k_density * len(fake))
    return PRDC(float(precise.mean()), float(recalled.mean()), density, float(covered.mean()))


def _radii(features: np.ndarray, neighbours: tuple[int, ...]) -> np.ndarray:
    """For each k, each sample's squared distance to its k-th nearest neighbour: [len(neighbours), N]."""
    count = len(features)
    if count <= max(neighbours):
        raise UserError(f"neighbour {max(neighbours)} of a sample needs more samples than that, got {count}")
    places = [k - 1 for k in neighbours]
    radii = np.empty((len(places), count), np.float32)
    for rows, squares in distance_blocks(features, features):
        here = np.arange(rows.start, rows.stop)
        squares[here - rows.start, here] = np.inf  # nobody is one's own neighbour
        radii[:, rows] = np.partition(squares, places, 1)[:, places].T
    return radii


def distance_blocks(x: np.ndarray, y: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
    """Rows of the matrix [N, M] of squared distances, block by block, as float32.

    Computed in float64 and rounded to float32, a distance comes out the same in whichever block it was
    computed, so that ``<`` and ``<=`` mean what they say for samples that occur twice.
    """
    centre = x.mean(0, dtype=np.float64)  # an offset that all share would cost digits
    height = max(1, _BYTES // (4 * len(y)))
    for start in range(0, len(x), height):
        rows = slice(start, min(start + height, len(x)))
        left = x[rows] - centre
        block = np.empty((len(left), len(y)), np.float32)
        for column in range(0, len(y), _COLUMNS):
            columns = slice(column, column + _COLUMNS)
            block[:, columns] = squared_distances(left, y[columns] - centre)
        yield rows, block


def squared_distances(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Between rows of x [N, D] and of y [M, D], float64 [N, M]; exactly 0 where that is less than rounding.

    By |x - y|^2 = |x|^2 + |y|^2 - 2 x y.
    """
    norms = np.add.outer(np.einsum("nd,nd->n", x, x), np.einsum("nd,nd->n", y, y))
    squares = norms - 2 * (x @ y.T)
    squares[squares < _NOISE * norms] = 0
    return np.asarray(squares)
