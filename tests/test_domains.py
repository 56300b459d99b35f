"""Whether outputs are taken for the domain that they should belong to."""

from typing import Any, cast

import numpy as np
import pytest
import torch

from ganexp.errors import UserError
from ganexp.metrics.domains import TargetDomain
from ganexp.metrics.features import SampleFeatures
from ganexp.metrics.metric import EvalPair


def noisy(level: int, count: int, seed: int, channels: int = 1) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (level + rng.integers(0, 60, (count, channels, 8, 8))).astype(np.uint8)


def pair(samples: np.ndarray, source: np.ndarray) -> EvalPair:
    nothing = np.zeros((0, 1), np.float32)
    real = SampleFeatures(noisy(150, 80, 1), nothing, None)
    fake = SampleFeatures(samples, nothing, None, source=source)
    return EvalPair(cast(Any, None), real, fake, "", torch.device("cpu"), cast(Any, None), cast(Any, None))


def test_the_share_of_outputs_in_the_target_domain() -> None:
    sources, metric = noisy(40, 80, 0), TargetDomain()
    assert metric(pair(sources, sources)) == {"target_domain": 0.0}, "unchanged sources are none"
    assert metric(pair(noisy(150, 80, 2), sources)) == {"target_domain": 1.0}
    half = np.concatenate([noisy(40, 30, 3), noisy(150, 50, 4)])
    assert metric(pair(half, sources))["target_domain"] == pytest.approx(50 / 80)


def test_sources_of_another_shape_are_refused() -> None:
    with pytest.raises(UserError, match=r"sources of the samples' shape, and these have \[3, 8, 8\] and \[1"):
        TargetDomain()(pair(noisy(150, 4, 0), noisy(40, 4, 0, channels=3)))
