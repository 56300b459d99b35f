"""Metrics of generated samples: pure functions from features (or points, or probabilities) to scores.

The functions take arrays [N, D] of any real dtype, one row per sample, and return Python floats computed in
float64. They need no network, file or device. A metric that draws random numbers takes a seed and changes no
other RNG state.
"""

from typing import NamedTuple

import numpy as np

from ganexp.errors import UserError


class Estimate(NamedTuple):
    """The mean and the (population) standard deviation of repeated scores."""

    mean: float
    std: float


def check_rows(*sets: np.ndarray) -> None:
    """Checks that all sets are [N, D] with the same D, and finite.

    Most metrics would otherwise hide a NaN: it compares false, and sorts last.

    Raises:
        ValueError: the shapes are wrong.
        UserError: some rows are not finite.
    """
    if any(rows.ndim != 2 for rows in sets) or len({rows.shape[1:] for rows in sets}) > 1:
        raise ValueError(f"expected sets of shape [N, D] with one D, got {[rows.shape for rows in sets]}")
    for rows in sets:
        bad = len(rows) - int(np.isfinite(rows).all(1).sum())
        if bad:
            line = f"{bad:,} of {len(rows):,} samples have features that are no finite numbers"
            raise UserError(f"{line}: the generator has diverged, choose an earlier checkpoint")
