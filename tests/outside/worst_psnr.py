"""A metric that compares each output with what it should be; the score is the worst one."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ganexp.metrics.directions import Direction
from ganexp.metrics.metric import EvalPair, Metric, Need, Scores


@dataclass(frozen=True)
class WorstPSNR(Metric):
    """10 log10(255^2 / squared error) in decibels, of the image that has the least."""

    SCORES: ClassVar[Mapping[str, Direction]] = {"worst_psnr": "higher"}
    needs: ClassVar[tuple[Need, ...]] = ("target",)

    def __call__(self, pair: EvalPair) -> Scores:
        assert pair.fake.target is not None
        apart = pair.fake.samples.astype(np.float64) - pair.fake.target
        squares = np.square(apart).reshape(len(apart), -1).mean(1)
        return {"worst_psnr": float((10 * np.log10(255**2 / np.maximum(squares, 1e-10))).min())}
