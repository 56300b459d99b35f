r"""Does a generator copy what it was trained on? Distances to training samples and to held-out ones.

For a sample with the distance a to the nearest training sample and b to the nearest held-out one,

.. math:: \mathrm{memorisation} = E\, \frac{2a}{a + b}

A new sample is as likely to be near the one as the other: 1 on average where both sets are equally large, and
somewhat less where, as is usual, training samples are more. Copies have a = 0. So a generator that copies in a
share of its samples loses that share. How good its samples are has little part in it: both distances grow
alike. (Meehan et al. 2020, A Non-Parametric Test to Detect Data-Copying in Generative Models, compare the
distances of samples to training samples with those of held-out samples, so that poor samples hide copies.)
Copies that were changed by more than the features overlook, as by noise, are no longer near: other features may
notice those.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ganexp.config.ranges import Count
from ganexp.metrics.directions import Direction
from ganexp.metrics.metric import Basis, EvalPair, Metric, Scores
from ganexp.metrics.neighbours import nearest_distances

_SEED = 0


def memorisation(samples: np.ndarray, training: np.ndarray, held_out: np.ndarray) -> float:
    """The mean of 2a / (a + b), from 0 (copies of training samples) over 1 to 2 (copies of held-out ones).

    Args:
        samples: features [N, D].
        training: features [M, D].
        held_out: features [K, D].

    Raises:
        UserError: some features are not finite.
    """
    a, b = nearest_distances(samples, training), nearest_distances(samples, held_out)
    both = np.where(a + b > 0, a + b, 1)
    return float(np.where(a + b > 0, 2 * a / both, 1).mean())


@dataclass(frozen=True, kw_only=True)
class Memorisation(Metric):
    """About 1 for a generator of new samples, near 0 for one that copies training samples; see the module.

    What stands beside it as real is the score of a quarter of the held-out samples, among which nothing is
    searched. Without a held-out split there is no score, and a line says so.
    """

    SCORES: ClassVar[Mapping[str, Direction]] = {"memorisation": "higher"}

    samples: Count
    among: Count

    def __call__(self, pair: EvalPair) -> Scores:
        return self._scored(pair, pair.fake.features)

    def floor(self, pair: EvalPair) -> Scores:
        return self._scored(pair, None)

    def _scored(self, pair: EvalPair, samples: np.ndarray | None) -> Scores:
        """Of some samples' features, or of held-out samples."""
        reference = pair.reference
        if reference.held_out is None:
            return {}
        unseen = reference.features_of(reference.held_out.data, self.among)
        probes, rest = np.split(unseen, [len(unseen) // 4])
        samples = probes if samples is None else samples
        drawn = np.random.default_rng(_SEED).permutation(len(samples))[: self.samples]
        training = reference.features_of(reference.data, self.among)
        return {f"memorisation{pair.suffix}": memorisation(samples[drawn], training, rest)}

    def warning(self, basis: Basis) -> str | None:
        reference = basis.reference
        if reference.held_out is None:
            return (
                f"memorisation is not scored, so that copies of training samples would not be noticed: "
                f"{reference.why_not}"
            )
        count = len(reference.data.samples)
        if count <= self.among:
            return None
        return (
            f"memorisation searches {self.among:,} of {count:,} training samples, and misses copies of the "
            "others: raise its setting among"
        )
