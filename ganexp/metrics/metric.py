"""What a metric is given and what it says: the base of everything in ``conf/metrics``."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Literal, NamedTuple

import torch

from ganexp.data.source import Source
from ganexp.metrics.directions import Direction
from ganexp.metrics.features import SampleFeatures
from ganexp.metrics.prdc import PRDC, prdc
from ganexp.metrics.reference import Reference

Scores = dict[str, float]

Need = Literal["labels", "target"]


@dataclass
class EvalPair:
    """Real and generated samples, and which features they are compared by."""

    source: Source
    real: SampleFeatures
    fake: SampleFeatures
    suffix: str
    device: torch.device
    reference: Reference
    _found: dict[int, PRDC] = field(default_factory=dict)

    def prdc(self, neighbours: int) -> PRDC:
        """Precision, recall, density and coverage at once; worked out once."""
        if neighbours not in self._found:
            self._found[neighbours] = prdc(self.real.features, self.fake.features, neighbours)
        return self._found[neighbours]


class Basis(NamedTuple):
    """What scores rest on: samples, dimensions of the features, the data's classes, whose features."""

    count: int  # type: ignore[assignment]  # a tuple's own count() is no loss
    dimensions: int
    classes: int
    suffix: str
    reference: Reference


class Metric:
    """Scores by name. Called, it raises UserError where it cannot be taken of such samples."""

    SCORES: ClassVar[Mapping[str, Direction]]
    """Its scores, without what says whose features they are of, and which way each is better. A literal: it is
    read before anything is imported."""

    needs: ClassVar[tuple[Need, ...]] = ()
    """What generated samples have to come with: the labels that they were asked for, or a target each."""

    def __call__(self, pair: EvalPair) -> Scores:
        raise NotImplementedError

    def floor(self, pair: EvalPair) -> Scores:
        """What real samples score, given as ``pair.fake``; nothing where they lack what the metric needs."""
        return {} if "target" in self.needs else self(pair)

    def warning(self, basis: Basis) -> str | None:
        """One line if a score that rests on this is wrong, and not only noisy, or is not what it seems."""
        return None
