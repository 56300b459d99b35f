"""Images in two colours, to be made what they were: the luma, drawn from a dark colour to a light one.

Where one channel goes from 0 to 255, each grey value has a colour of its own. So of grey images both directions
have exact targets, by which a game that is trained without pairs can be scored.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ganexp.config.ranges import Colour
from ganexp.data.degradations.degradation import Degradation
from ganexp.data.degradations.filters import gray, in_8_bits
from ganexp.errors import UserError


@dataclass(eq=False, repr=False, kw_only=True)
class Tint(Degradation):
    """[N, 3 or 1, H, W] to [N, 3, H, W]: from ``dark`` where the luma is -1 to ``light`` where it is 1.

    Colours are three 8-bit numbers for red, green and blue. Raises UserError for equal ones.
    """

    BASELINE: ClassVar[str] = "luma"

    dark: Colour
    light: Colour

    def __post_init__(self) -> None:
        super().__post_init__()
        if list(self.dark) == list(self.light):
            raise UserError(f"degrade.dark and degrade.light are both {list(self.dark)}: choose two colours")

    @property
    def about(self) -> str:
        return f"images drawn from the colour {list(self.dark)} to {list(self.light)}"

    def forward(self, x: Tensor, rng: torch.Generator | None = None) -> Tensor:
        share = (gray(x).float() + 1) / 2
        # numbers and not a tensor of them, whose copy to the device would be waited for in each step
        channels = [dark + (light - dark) * share for dark, light in zip(self.dark, self.light, strict=True)]
        return in_8_bits(torch.cat(channels, 1) / 127.5 - 1)

    def baseline(self, source: Tensor) -> Tensor:
        """The luma of the source: right up to a scale, or the negative where ``dark`` is the lighter colour."""
        return gray(source).expand(-1, self.output_shape[0], -1, -1)
