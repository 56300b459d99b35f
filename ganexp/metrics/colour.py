"""How colourful images are: a colourisation that only averages is near to its targets, and nearly grey."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ganexp.data.source import Source
from ganexp.errors import UserError
from ganexp.metrics.directions import Direction
from ganexp.metrics.metric import EvalPair, Metric, Scores

_BATCH = 256


def colourfulness(images: np.ndarray) -> np.ndarray:
    r"""Hasler and Suesstrunk 2003, section 4: uint8 [N, 3, H, W] to [N] float64, 0 for grey images.

    .. math:: M = \sqrt{\sigma_{rg}^2 + \sigma_{yb}^2} + 0.3 \sqrt{\mu_{rg}^2 + \mu_{yb}^2},
              \quad rg = R - G, \quad yb = (R + G) / 2 - B
    """
    red, green, blue = np.moveaxis(images.astype(np.float64), 1, 0)
    opponents = np.stack([red - green, (red + green) / 2 - blue]).reshape(2, len(images), -1)
    spread, offset = (np.sqrt(np.square(part).sum(0)) for part in (opponents.std(2), opponents.mean(2)))
    return np.asarray(spread + 0.3 * offset)


@dataclass(frozen=True)
class Colourfulness(Metric):
    """The mean of ``colourfulness`` over images: the nearer to real images' the better."""

    SCORES: ClassVar[Mapping[str, Direction]] = {"colourfulness": "unknown"}

    def check(self, source: Source) -> None:
        if not source.is_image or source.shape[0] != 3:
            raise UserError(
                "metrics=colourfulness needs images in colour, and this data set has none: leave it out"
            )

    def __call__(self, pair: EvalPair) -> Scores:
        images = pair.fake.samples
        found = [colourfulness(images[start : start + _BATCH]) for start in range(0, len(images), _BATCH)]
        return {"colourfulness": float(np.concatenate(found).mean())}
