"""The averaged generator: an exponential moving average of its weights (Karras et al. 2018, section 5.1)."""

from copy import deepcopy

import torch
from torch import nn

_PER_HALFLIFE = 8


class EMA:
    """A copy of the generator, in evaluation mode, with averaged weights.

    ``halflife`` is in images, so that it does not depend on the batch size: after that many images an old
    weight counts half. It is limited to the share ``rampup`` of the images seen so far, so that the random
    initial weights are forgotten early. A half-life of 0 copies the weights.

    Batch norm's statistics are averaged as well. Every other buffer (a growing network's level, noise) is
    copied at every step.

    Weights are averaged at most 8 times per half-life, which makes no visible difference. Reading and writing
    them all in every step would cost a small network a tenth of its time.
    """

    def __init__(self, generator: nn.Module, halflife: float, rampup: float) -> None:
        self.module = deepcopy(generator).eval().requires_grad_(False)
        self.halflife = halflife
        self.rampup = rampup
        self._pairs = list(zip(_other_buffers(self.module), _other_buffers(generator), strict=True))
        """Buffers other than batch norm's statistics, found once: walking a module tree is slow."""

    @torch.no_grad()
    def update(self, generator: nn.Module, images: int, before: int) -> int:
        """Averages in the weights if an update is due at ``images``; the last one was at ``before`` images.

        Returns the images at the last update, including this one.
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
        """Copies the generator's weights and buffers."""
        self.module.load_state_dict(generator.state_dict())


class Unaveraged(EMA):
    """The EMA of a worker, which averages nothing: only rank 0 evaluates and saves."""

    def update(self, generator: nn.Module, images: int, before: int) -> int:
        """Nothing."""
        return before


def _averaged(module: nn.Module) -> list[torch.Tensor]:
    """The weights, and batch norm's statistics."""
    norms = [layer for layer in module.modules() if isinstance(layer, nn.modules.batchnorm._NormBase)]
    statistics = [buffer for layer in norms for buffer in layer.buffers(recurse=False)]
    return [*module.parameters(), *statistics]


def _other_buffers(module: nn.Module) -> list[torch.Tensor]:
    statistics = {id(tensor) for tensor in _averaged(module)}
    return [buffer for buffer in module.buffers() if id(buffer) not in statistics]
