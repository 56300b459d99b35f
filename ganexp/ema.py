"""The averaged generator: an exponential moving average of its weights (Karras et al. 2018, section 5.1)."""

from copy import deepcopy

import torch
from torch import nn

_PER_HALFLIFE = 8


class EMA:
    """A copy of the generator, in evaluation mode, that follows it slowly.

    ``halflife`` counts images, so that runs with other batch sizes average alike: after so many images an
    old weight counts half. At most the share ``rampup`` of the images seen so far, so that the random
    start is forgotten early. A half-life of 0 copies.

    Batch norm's statistics are averaged like the weights they belong to. Every other buffer (a growing
    network's level, noise) is copied at every step.

    It takes in the weights 8 times in a half-life at the most, which cannot be seen in the average: to read
    and write all of them after every small step would cost a small network a tenth of its time.
    """

    def __init__(self, generator: nn.Module, halflife: float, rampup: float) -> None:
        self.module = deepcopy(generator).eval().requires_grad_(False)
        self.halflife = halflife
        self.rampup = rampup
        self._pairs = list(zip(_other_buffers(self.module), _other_buffers(generator), strict=True))
        """Buffers that are no statistics, found once: modules are slow to walk."""

    @torch.no_grad()
    def update(self, generator: nn.Module, images: int, before: int) -> int:
        """Takes in the weights after ``images`` in all, if that is due; the last time was at ``before``.

        Returns when the last time is now.
        """
        for ours, theirs in self._pairs:
            ours.copy_(theirs)
        halflife = min(float(self.halflife), images * self.rampup)
        if (images - before) * _PER_HALFLIFE < halflife:
            return before
        decay = 0.5 ** ((images - before) / halflife) if halflife > 0 else 0.0
        averaged, live = [], []
        for ours, theirs in zip(_averaged(self.module), _averaged(generator), strict=True):
            if ours.is_floating_point():
                averaged.append(ours)
                live.append(theirs)
            else:
                ours.copy_(theirs)
        torch._foreach_lerp_(averaged, live, 1 - decay)
        return images

    def restart(self, generator: nn.Module) -> None:
        """Takes over the generator's weights and buffers as they are."""
        self.module.load_state_dict(generator.state_dict())


class Unaveraged(EMA):
    """What stands for it in a process whose generator nobody looks at."""

    def update(self, generator: nn.Module, images: int, before: int) -> int:
        """Nothing."""
        return before


def _averaged(module: nn.Module) -> list[torch.Tensor]:
    """Weights, and the statistics of batch norms."""
    norms = [layer for layer in module.modules() if isinstance(layer, nn.modules.batchnorm._NormBase)]
    statistics = [buffer for layer in norms for buffer in layer.buffers(recurse=False)]
    return [*module.parameters(), *statistics]


def _other_buffers(module: nn.Module) -> list[torch.Tensor]:
    statistics = {id(tensor) for tensor in _averaged(module)}
    return [buffer for buffer in module.buffers() if id(buffer) not in statistics]
