"""Metrics of generated samples: pure functions from features (or points, or probabilities) to scores.

Nothing here knows a network, a file or a device: whoever calls brings arrays [N, D], one row per sample,
of any real dtype, and gets Python floats that were computed in float64. A metric that draws at random
takes a seed and leaves every other generator alone.
"""

from typing import NamedTuple

import numpy as np

from ganexp.errors import UserError


class Estimate(NamedTuple):
    """A score that was taken several times: the mean, and the standard deviation (of the population)."""

    mean: float
    std: float


def check(*sets: np.ndarray) -> None:
    """Refuses what has no score: each set has to be [N, D] with one and the same D, and finite.

    Most metrics would otherwise hide a NaN: it compares false, and sorts behind every number.

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
