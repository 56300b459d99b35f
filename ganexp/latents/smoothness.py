"""How evenly samples change along a way, and how much longer the way is than a straight line."""

from typing import NamedTuple

import numpy as np


class Smoothness(NamedTuple):
    """Of walks whose samples are vectors, such as pixels or features.

    ``step``, ``largest_step``: the mean and the largest distance of consecutive samples, as root mean squares
    of their numbers. ``random_pair``: the mean distance of unrelated samples. ``detour``: the length of a way
    over the distance of its ends, at least 1; the mean over ways. It is 1 if samples change in one direction.
    """

    step: float
    largest_step: float
    random_pair: float
    detour: float


def smoothness(samples: np.ndarray, ways: np.ndarray, random: np.ndarray) -> Smoothness:
    """``samples`` [W, T, D] of walks; ``ways`` [R, S] as in ``Walk``; ``random`` [N, D], N >= 2: unrelated."""
    on_ways = samples[:, ways]
    steps = _distance(on_ways[:, :, 1:], on_ways[:, :, :-1])
    ends = _distance(on_ways[:, :, -1], on_ways[:, :, 0])
    lengths = steps.sum(2)
    detours = lengths[ends > 0] / ends[ends > 0]
    half = len(random) // 2
    pairs = _distance(random[:half], random[half : 2 * half])
    return Smoothness(
        float(steps.mean()),
        float(steps.max()),
        float(pairs.mean()),
        float(detours.mean()) if len(detours) else 1.0,
    )


def _distance(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Root mean square differences of vectors [..., D]: [...]."""
    difference = one.astype(np.float64) - other
    distance: np.ndarray = np.sqrt((difference**2).mean(-1))
    return distance
