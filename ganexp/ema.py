"""The averaged generator: an exponential moving average of its weights (Karras et al. 2018, section 5.1)."""

from copy import deepcopy

import torch
from torch import nn

_UPDATES_PER_HALFLIFE = 8


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
        self._copied_buffers = list(zip(_other_buffers(self.module), _other_buffers(generator), strict=True))
        """Buffers other than batch norm's statistics, found once: walking a module tree is slow."""

    @torch.no_grad()
    def update(self, generator: nn.Module, images: int, previous: int) -> int:
        """Averages in the weights if an update is due at ``images``; the last one was at ``previous`` images.

        Returns the images at the last update, including this one.
        """
        for averaged, live in self._copied_buffers:
            averaged.copy_(live)
        halflife = min(float(self.halflife), images * self.rampup)
        if (images - previous) * _UPDATES_PER_HALFLIFE < halflife:
            return previous
        decay = 0.5 ** ((images - previous) / halflife) if halflife > 0 else 0.0
        averages, live_tensors = [], []
        for averaged, live in zip(_averaged_tensors(self.module), _averaged_tensors(generator), strict=True):
            if averaged.is_floating_point():
                averages.append(averaged)
                live_tensors.append(live)
            else:
                averaged.copy_(live)
        torch._foreach_lerp_(averages, live_tensors, 1 - decay)
        return images

    def copy_from(self, generator: nn.Module) -> None:
        """Copies the generator's weights and buffers."""
        self.module.load_state_dict(generator.state_dict())


class NullEMA(EMA):
    """The EMA of a worker, which averages nothing: only rank 0 evaluates and saves."""

    def update(self, generator: nn.Module, images: int, previous: int) -> int:
        """Nothing."""
        return previous


def _averaged_tensors(module: nn.Module) -> list[torch.Tensor]:
    """The weights, and batch norm's statistics."""
    norms = [layer for layer in module.modules() if isinstance(layer, nn.modules.batchnorm._NormBase)]
    statistics = [buffer for layer in norms for buffer in layer.buffers(recurse=False)]
    return [*module.parameters(), *statistics]


def _other_buffers(module: nn.Module) -> list[torch.Tensor]:
    statistics = {id(tensor) for tensor in _averaged_tensors(module)}
    return [buffer for buffer in module.buffers() if id(buffer) not in statistics]
