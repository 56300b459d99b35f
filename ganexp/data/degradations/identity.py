"""Images as they are, for games that change something in them which no degradation can undo or know."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ganexp.data.degradations.degradation import Degradation


@dataclass(eq=False, repr=False, kw_only=True)
class Identity(Degradation):
    """[N, C, H, W] to the same: the source is the image itself, and what it should become is not known."""

    BASELINE: ClassVar[str] = "source"
    PAIRED: ClassVar[bool] = False
    IS_IDENTITY: ClassVar[bool] = True

    @property
    def about(self) -> str:
        channels, height, width = self.source_shape
        return f"the images themselves, {channels} x {height} x {width}, that have no targets"

    def forward(self, x: Tensor, rng: torch.Generator | None = None) -> Tensor:
        return x

    def baseline(self, source: Tensor) -> Tensor:
        """The source itself."""
        return source
