"""The base of degradations whose strength differs from image to image, such as noise and blur."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ganexp.config.ranges import NonNegative
from ganexp.data.degradations.degradation import Degradation, uniform
from ganexp.errors import UserError


@dataclass(eq=False, repr=False, kw_only=True)
class RandomStrength(Degradation):
    """Each image has a strength that is drawn uniformly between ``low`` and ``high``.

    Raises UserError where ``low`` is more than ``high``.
    """

    BASELINE: ClassVar[str] = "source"

    low: NonNegative
    high: NonNegative

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.low > self.high:
            raise UserError(f"degrade.low={self.low:g} is more than degrade.high={self.high:g}: exchange them")

    def strength(self, x: Tensor, rng: torch.Generator | None, *shape: int) -> Tensor:
        """Strengths [*shape] on the device of ``x``; see ``uniform``."""
        return self.low + (self.high - self.low) * uniform(x, rng, *shape)

    def baseline(self, source: Tensor) -> Tensor:
        """The degraded image itself."""
        return source
