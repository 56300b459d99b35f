"""Scores of generators that change the labels of images, such as StarGAN's: what changed, and what did not."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ganexp.errors import UserError
from ganexp.metrics.directions import Direction
from ganexp.metrics.metric import EvalPair, Metric, Need, Scores


@dataclass(frozen=True)
class LabelChange(Metric):
    """``changed`` and ``kept``, in [0, 1], by the data set's classifier; higher is better.

    ``changed``: of the attributes that should change, the share that the classifier finds changed. ``kept``: of
    those that should stay, the share that it finds as they were; 1 - kept is the unwanted change. Of classes:
    of the samples whose class should change or stay. Only such attributes and samples are counted that the
    classifier finds in the source as the data say. Sources that are not changed have 0 and 1. A score that
    there is no sample for is left out.
    """

    SCORES: ClassVar[Mapping[str, Direction]] = {"changed": "higher", "kept": "higher"}
    needs: ClassVar[tuple[Need, ...]] = ("labels", "source", "source_labels")

    def __call__(self, pair: EvalPair) -> Scores:
        made, before = pair.fake.probabilities, pair.source_probabilities
        if made is None or before is None or made.shape[1] != pair.source.classes:
            raise UserError("metrics=label_change needs the data's own labels: take features=classifier")
        several = pair.source.label_kind == "attributes"
        found, original = (part > 0.5 if several else part.argmax(1) for part in (made, before))
        asked, own = pair.fake.labels, pair.fake.source_labels
        assert asked is not None and own is not None
        known = original == own
        sets = {"changed": known & (asked != own), "kept": known & (asked == own)}
        return {
            f"{name}{pair.suffix}": float((found == asked)[chosen].mean())
            for name, chosen in sets.items()
            if np.any(chosen)
        }
