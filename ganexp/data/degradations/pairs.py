"""The data set's own sources: nothing is degraded."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from ganexp.data.degradations.degradation import Degradation, Pair
from ganexp.errors import UserError


@dataclass(eq=False, repr=False, kw_only=True)
class Pairs(Degradation):
    """The source that each sample has in the data set, such as ``data=pairs``."""

    BASELINE: ClassVar[str] = "source"
    USES_SOURCES: ClassVar[bool] = True

    @property
    def about(self) -> str:
        channels, height, width = self.source_shape
        return f"the data set's own sources, {channels} x {height} x {width}"

    def pair(self, x: Tensor, source: Tensor | None, rng: torch.Generator | None = None) -> Pair:
        if source is None:
            raise UserError("degrade=pairs: this data set has no pairs; data=pairs has")
        return Pair(source, x)

    def baseline(self, source: Tensor) -> Tensor:
        """The source itself, in the size and with the channels of the target."""
        channels, *size = self.output_shape
        if list(source.shape[2:]) != size:
            source = interpolate(source, size=size, mode="bicubic", antialias=True).clamp(-1, 1)
        mean = source.mean(1, keepdim=True)
        return source if source.shape[1] == channels else mean.expand(-1, channels, -1, -1)
