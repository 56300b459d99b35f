"""Whether outputs look like another domain than their sources, by a classifier that is trained on both.

It says how often a translation succeeds, where FID needs thousands of samples and no target is known.
"""

from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from ganexp.errors import UserError
from ganexp.metrics.classifier import predict_labels, train_on
from ganexp.metrics.directions import Direction
from ganexp.metrics.feature_networks import Classifier
from ganexp.metrics.metric import EvalPair, Metric, Need, Scores


class TargetDomain(Metric):
    """The share of outputs that a classifier of sources and real samples takes for real samples, in [0, 1].

    It is trained on the real images of the other scores and on the outputs' sources, once for a run; so sources
    that were not changed score close to 0.
    """

    SCORES: ClassVar[Mapping[str, Direction]] = {"target_domain": "higher"}
    needs: ClassVar[tuple[Need, ...]] = ("source",)

    def __init__(self) -> None:
        self._classifier: Classifier | None = None

    def __call__(self, pair: EvalPair) -> Scores:
        if self._classifier is None:
            self._classifier = _classifier_of_domains(pair)
        found = predict_labels(self._classifier, pair.fake.samples, pair.device)
        return {"target_domain": float((found == 1).mean())}


def _classifier_of_domains(pair: EvalPair) -> Classifier:
    """Class 0: sources, class 1: real samples. Raises UserError where they cannot be told from one another."""
    sources, real = pair.fake.source, pair.real.samples
    assert sources is not None, "the metric's needs have source"
    if sources.shape[1:] != real.shape[1:]:
        raise UserError(
            "metrics=target_domain needs sources of the samples' shape, and these have "
            f"{list(sources.shape[1:])} and {list(real.shape[1:])}"
        )
    images = np.concatenate([sources, real])
    labels = np.repeat(np.array([0, 1], np.int64), [len(sources), len(real)])
    net = Classifier(images.shape[1], 2)
    train_on(net, images, labels, np.arange(len(images)), pair.device)
    return net
