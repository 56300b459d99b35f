r"""The Inception Score (Salimans et al. 2016, section 4): :math:`\exp E_x KL(p(y|x) \,\|\, p(y))`.

With the entropy H, the exponent is :math:`H(E_x\, p(y|x)) - E_x\, H(p(y|x))`: it is large if predictions are
certain for each sample and uniform on average. The score uses no real images, and one perfect sample per class
maximises it.
"""

from itertools import pairwise

import numpy as np

from ganexp.errors import UserError
from ganexp.metrics import Estimate, check_rows


def inception_score(probabilities: np.ndarray, splits: int = 10, *, seed: int | None) -> Estimate:
    """The mean and the standard deviation of the score over ``splits`` equally large parts.

    Args:
        probabilities: [N, K], of K classes for each sample, after the softmax.
        seed: for shuffling the samples. None keeps their order, which then has to be random: if they were
            sorted by class, each part would have only few classes.

    Returns:
        Scores from 1 (the same prediction for all samples) to K.

    Raises:
        UserError: fewer samples than splits, or some that are not finite.
        ValueError: the rows are not distributions (for example logits).
    """
    check_rows(probabilities)
    count = len(probabilities)
    if count < splits:
        raise UserError(f"an Inception Score over {splits} parts needs as many samples, there are {count}")
    order = np.arange(count) if seed is None else np.random.default_rng(seed).permutation(count)
    p = probabilities[order].astype(np.float64)
    if p.min() < 0 or not np.allclose(p.sum(1), 1, atol=1e-3):
        raise ValueError("probabilities have to be at least 0, and to sum to 1 in each row")
    bounds = [part * count // splits for part in range(splits + 1)]
    parts = [p[start:end] for start, end in pairwise(bounds)]
    scores = [np.exp(_entropy(part.mean(0)) - _entropy(part).mean()) for part in parts]
    return Estimate(float(np.mean(scores)), float(np.std(scores)))


def _entropy(p: np.ndarray) -> np.ndarray:
    """In nats, along the last axis, with 0 log 0 = 0."""
    logs = np.log(p, out=np.zeros_like(p), where=p > 0)
    return np.asarray(-(p * logs).sum(-1))
