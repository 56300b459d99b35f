"""The averaged generator: an exponential moving average of its weights (Karras et al. 2018, section 5.1)."""

from copy import deepcopy

import torch
from torch import nn

_PER_HALFLIFE = 8


class EMA:
    """A copy of the generator, in evaluation mode, that follows it slowly.

    ``halflife`` counts images, so that runs with other batch sizes average alike: after so many images an
    old weight counts half. At most the share ``rampup`` of the images seen so far, so that the random
    start is forgotten early. Buffers (batch norm's statistics) are averaged like the weights they belong
    to. A half-life of 0 copies.

    It takes in the weights 8 times in a half-life at the most, which cannot be seen in the average: to read
    and write all of them after every small step would cost a small network a tenth of its time.
    """

    def __init__(self, generator: nn.Module, halflife: int, rampup: float) -> None:
        self.module = deepcopy(generator).eval().requires_grad_(False)
        self.halflife = halflife
        self.rampup = rampup

    @torch.no_grad()
    def update(self, generator: nn.Module, images: int, before: int) -> int:
        """Takes in the weights after ``images`` in all, if that is due; the last time was at ``before``.

        Returns when the last time is now.
        """
        halflife = min(float(self.halflife), images * self.rampup)
        if (images - before) * _PER_HALFLIFE < halflife:
            return before
        decay = 0.5 ** ((images - before) / halflife) if halflife > 0 else 0.0
        averaged, live = [], []
        for ours, theirs in zip(_tensors(self.module), _tensors(generator), strict=True):
            if ours.is_floating_point():
                averaged.append(ours)
                live.append(theirs)
            else:
                ours.copy_(theirs)
        torch._foreach_lerp_(averaged, live, 1 - decay)
        return images


class Unaveraged(EMA):
    """What stands for it in a process whose generator nobody looks at."""

    def update(self, generator: nn.Module, images: int, before: int) -> int:
        """Nothing."""
        return before


def _tensors(module: nn.Module) -> list[torch.Tensor]:
    return [*module.parameters(), *module.buffers()]
