"""The base class of metrics (``conf/metrics``), and their inputs."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import ClassVar, Literal, NamedTuple

import numpy as np
import torch

from ganexp.data.source import Source
from ganexp.metrics.directions import Direction
from ganexp.metrics.features import Features, SampleFeatures
from ganexp.metrics.prdc import PRDC, prdc
from ganexp.metrics.reference_sets import ReferenceSets

Scores = dict[str, float]

Need = Literal["labels", "target", "categories", "continuous", "source", "source_labels"]

ONLY_GENERATED: frozenset[Need] = frozenset({"target", "categories", "continuous", "source", "source_labels"})
"""What real samples do not have."""


@dataclass
class EvalPair:
    """Real and generated samples with their features; ``suffix`` is that of the features."""

    source: Source
    real: SampleFeatures
    fake: SampleFeatures
    suffix: str
    device: torch.device
    reference: ReferenceSets
    compute_features: Features
    _prdc_by_k: dict[int, PRDC] = field(default_factory=dict)

    def prdc(self, neighbours: int) -> PRDC:
        """Precision, recall, density and coverage; computed once for all metrics."""
        if neighbours not in self._prdc_by_k:
            self._prdc_by_k[neighbours] = prdc(self.real.features, self.fake.features, neighbours)
        return self._prdc_by_k[neighbours]

    @cached_property
    def target_features(self) -> np.ndarray:
        """The features [N, D] of the targets of ``fake``; computed when a metric first needs them."""
        assert self.fake.target is not None, "the metric's needs have target"
        return self.compute_features(self.fake.target).features

    @cached_property
    def source_probabilities(self) -> np.ndarray | None:
        """Of the sources of ``fake``, as ``SampleFeatures.probabilities``; computed when first needed."""
        assert self.fake.source is not None, "the metric's needs have source"
        return self.compute_features(self.fake.source).probabilities


class EvalContext(NamedTuple):
    """What a metric's warning depends on: numbers of samples, feature dimensions and classes; the features."""

    count: int  # type: ignore[assignment]  # hides tuple.count(), which is not used
    dimensions: int
    classes: int
    suffix: str
    reference: ReferenceSets


class Metric:
    """Computes scores, by name. A call raises UserError where the samples do not allow it."""

    SCORES: ClassVar[Mapping[str, Direction]]
    """The scores' names, without the features' suffix, and their directions.

    It has to be a literal: it is read from the source code, without an import.
    """

    needs: ClassVar[tuple[Need, ...]] = ()
    """What the metric needs beside generated samples: their labels, targets, sources with labels, or codes."""

    def __call__(self, pair: EvalPair) -> Scores:
        raise NotImplementedError

    def check(self, source: Source) -> None:
        """Raises UserError, before training, where the metric does not fit the data set's samples."""

    def floor(self, pair: EvalPair) -> Scores:
        """The scores of real samples, given as ``pair.fake``; empty where they lack what the metric needs."""
        return {} if ONLY_GENERATED.intersection(self.needs) else self(pair)

    def warning(self, context: EvalContext) -> str | None:
        """One line if the scores would be wrong or misleading, not only noisy; otherwise None."""
        return None
