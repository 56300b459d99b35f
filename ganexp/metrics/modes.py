r"""How many modes a generator found, and how evenly (VEEGAN, Srivastava et al. 2017; PacGAN, Lin et al. 2018).

A sample in the plane is of high quality if it lies within three standard deviations of its nearest mode; a
mode counts as found with one such sample. The reverse KL divergence
:math:`KL(p \| u) = \sum_m p_m \log (M p_m)` compares the modes' shares p_m of the samples with the uniform u.
Only samples of high quality count, each for its nearest mode, as in PacGAN's published code
(``pacgan/extensions.py``: ``MetricLogger``). For Stacked MNIST, the mode is a classifier's label, and all
samples count.
"""

import math
from typing import NamedTuple

import numpy as np

from ganexp.metrics import check_rows

_MAX_DEVIATIONS = 3.0
"""Standard deviations."""


class Modes(NamedTuple):
    """Found modes, the share in [0, 1] of samples of high quality, and KL(generated || uniform) in nats.

    The divergence is from 0 to log M (all samples in one mode); inf if no sample is of high quality.
    """

    modes: int
    high_quality: float
    reverse_kl: float


class Classes(NamedTuple):
    """Found classes, and KL(generated || uniform) in nats, from 0 to log K; inf without samples."""

    modes: int
    kl: float


def coverage_of_gaussians(points: np.ndarray, centres: np.ndarray, sigma: float) -> Modes:
    """The coverage of equally likely isotropic Gaussians.

    Args:
        points: samples [N, 2].
        centres: the modes' means [M, 2].
        sigma: the standard deviation of each along each axis.

    Raises:
        UserError: some points are not finite.
    """
    check_rows(points, centres)
    squares = ((points[:, None, :].astype(np.float64) - centres) ** 2).sum(2)
    good = squares.min(1) < (_MAX_DEVIATIONS * sigma) ** 2
    counts = np.bincount(squares.argmin(1)[good], minlength=len(centres))
    return Modes(int((counts > 0).sum()), float(good.sum() / max(1, len(points))), _kl_to_uniform(counts))


def coverage_of_classes(labels: np.ndarray, classes: int) -> Classes:
    """The coverage of equally likely classes by predicted labels [N], integers from 0 to classes - 1.

    Raises:
        ValueError: a label is not below ``classes``.
    """
    counts = np.bincount(labels, minlength=classes)
    if len(counts) > classes:
        raise ValueError(f"there are {classes} classes, and a label {labels.max()}")
    return Classes(int((counts > 0).sum()), _kl_to_uniform(counts))


def _kl_to_uniform(counts: np.ndarray) -> float:
    if not counts.sum():
        return math.inf
    p = counts[counts > 0] / counts.sum()
    return max(0.0, float((p * np.log(len(counts) * p)).sum()))
