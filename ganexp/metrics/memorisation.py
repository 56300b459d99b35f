r"""Does a generator copy training samples? A score from distances to training and to held-out samples.

For a sample at distance a from the nearest training sample and b from the nearest held-out sample,

.. math:: \mathrm{memorisation} = E\, \frac{2a}{a + b}

New samples are as near to the one set as to the other: their mean is 1 if both sets are equally large, and
somewhat less if, as usual, there are more training samples. Copies have a = 0, so a share of copies lowers the
score by that share. The samples' quality has little influence, because it changes both distances alike.
(Meehan et al. 2020, A Non-Parametric Test to Detect Data-Copying in Generative Models, compare the distances
of samples to training samples with those of held-out samples, so poor samples hide copies.) Copies with changes
that the features react to, such as noise, are not detected; other features may detect them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ganexp.config.ranges import Count
from ganexp.metrics.directions import Direction
from ganexp.metrics.metric import EvalContext, EvalPair, Metric, Scores
from ganexp.metrics.neighbours import nearest_distances

_SEED = 0


def memorisation(samples: np.ndarray, training: np.ndarray, held_out: np.ndarray) -> float:
    """The mean of 2a / (a + b): 0 for copies of training samples, about 1 for new ones, 2 for held-out ones.

    Args:
        samples: features [N, D].
        training: features [M, D].
        held_out: features [K, D].

    Raises:
        UserError: some features are not finite.
    """
    a, b = nearest_distances(samples, training), nearest_distances(samples, held_out)
    distances = np.where(a + b > 0, a + b, 1)
    return float(np.where(a + b > 0, 2 * a / distances, 1).mean())


@dataclass(frozen=True, kw_only=True)
class Memorisation(Metric):
    """About 1 for new samples, near 0 for copies of training samples; see the module's docstring.

    The score of real samples is that of a quarter of the held-out samples, which the search leaves out. Without
    a held-out split there is no score, and a warning says so.
    """

    SCORES: ClassVar[Mapping[str, Direction]] = {"memorisation": "higher"}

    samples: Count
    among: Count

    def __call__(self, pair: EvalPair) -> Scores:
        return self._score(pair, pair.fake.features)

    def floor(self, pair: EvalPair) -> Scores:
        return self._score(pair, None)

    def _score(self, pair: EvalPair, samples: np.ndarray | None) -> Scores:
        """The score of samples' features [N, D], or of held-out samples for None."""
        reference = pair.reference
        if reference.held_out is None:
            return {}
        held_out = reference.features_of(reference.held_out.data, self.among)
        query_features, rest = np.split(held_out, [len(held_out) // 4])
        samples = query_features if samples is None else samples
        chosen = np.random.default_rng(_SEED).permutation(len(samples))[: self.samples]
        training = reference.features_of(reference.data, self.among)
        return {f"memorisation{pair.suffix}": memorisation(samples[chosen], training, rest)}

    def warning(self, context: EvalContext) -> str | None:
        reference = context.reference
        if reference.held_out is None:
            return (
                f"memorisation is not scored, so that copies of training samples would not be noticed: "
                f"{reference.missing_reason}"
            )
        count = len(reference.data.samples)
        if count <= self.among:
            return None
        return (
            f"memorisation searches {self.among:,} of {count:,} training samples, and misses copies of the "
            "others: raise its setting among"
        )
