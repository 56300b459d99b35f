"""Optimisers and schedules: what ``conf/optim`` and ``conf/schedule`` choose from.

An optimiser class holds settings; calling it with a player's parameters returns a torch optimiser. A schedule
is a function of the share of the run that is done, so it has no state to save; ``training/schedules.py``
applies it.
"""

import inspect
import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.nn import Parameter

from ganexp.config.ranges import Betas, Fraction, NonNegative, Positive, PositiveShare, Share


class Optim(Protocol):
    """Makes the optimiser of one player; ``ttur`` scales the rate of the discriminator, player ``d``."""

    def __call__(self, parameters: Iterable[Parameter], player: str) -> torch.optim.Optimizer: ...


class Schedule(Protocol):
    """A factor, such as on the learning rate, as a function of the share ``done`` in [0, 1] of the run."""

    def __call__(self, done: float) -> float: ...


class _UnwrappedOptimizer(torch.optim.Optimizer):
    """Torch's optimisers without their torch.compile wrappers: the compiler's import takes as long as torch's.

    Torch wraps each of these methods to exclude it from compilation, and a wrapper's first call imports the
    compiler. Only networks are compiled here.
    """

    add_param_group = inspect.unwrap(torch.optim.Optimizer.add_param_group)
    zero_grad = inspect.unwrap(torch.optim.Optimizer.zero_grad)
    state_dict = inspect.unwrap(torch.optim.Optimizer.state_dict)
    load_state_dict = inspect.unwrap(torch.optim.Optimizer.load_state_dict)


class _Adam(_UnwrappedOptimizer, torch.optim.Adam):
    step = torch.no_grad()(inspect.unwrap(torch.optim.Adam.step))


class _RMSprop(_UnwrappedOptimizer, torch.optim.RMSprop):
    step = torch.no_grad()(inspect.unwrap(torch.optim.RMSprop.step))


class _SGD(_UnwrappedOptimizer, torch.optim.SGD):
    step = torch.no_grad()(inspect.unwrap(torch.optim.SGD.step))


@dataclass(frozen=True, kw_only=True)
class Adam:
    """Kingma & Ba 2015."""

    lr: Positive
    betas: Betas
    eps: Positive
    weight_decay: NonNegative
    ttur: Positive

    def __call__(self, parameters: Iterable[Parameter], player: str) -> torch.optim.Optimizer:
        return _Adam(
            parameters,
            lr=_learning_rate(self.lr, self.ttur, player),
            betas=(float(self.betas[0]), float(self.betas[1])),  # torch refuses the integer of betas=[0,0.99]
            eps=self.eps,
            weight_decay=self.weight_decay,
            fused=True,
        )


@dataclass(frozen=True, kw_only=True)
class RMSprop:
    """Tieleman & Hinton 2012."""

    lr: Positive
    alpha: Fraction
    eps: Positive
    momentum: Fraction
    weight_decay: NonNegative
    ttur: Positive

    def __call__(self, parameters: Iterable[Parameter], player: str) -> torch.optim.Optimizer:
        return _RMSprop(
            parameters,
            lr=_learning_rate(self.lr, self.ttur, player),
            alpha=self.alpha,
            eps=self.eps,
            momentum=self.momentum,
            weight_decay=self.weight_decay,
        )


@dataclass(frozen=True, kw_only=True)
class SGD:
    """Stochastic gradient descent with momentum."""

    lr: Positive
    momentum: Fraction
    weight_decay: NonNegative
    ttur: Positive

    def __call__(self, parameters: Iterable[Parameter], player: str) -> torch.optim.Optimizer:
        return _SGD(
            parameters,
            lr=_learning_rate(self.lr, self.ttur, player),
            momentum=self.momentum,
            weight_decay=self.weight_decay,
            fused=True,
        )


def load_state(optimiser: torch.optim.Optimizer, content: dict[str, Any]) -> None:
    """Loads an optimiser's state. Raises ValueError where a state tensor's shape is not its parameter's.

    torch does not check this, and its fused steps would write beyond a tensor that is too small. Optimisers
    from outside this module are not checked, as their state may have any shape.
    """
    optimiser.load_state_dict(content)
    if not isinstance(optimiser, _UnwrappedOptimizer):
        return
    keys = {frozenset(state) for state in optimiser.state.values()}
    if len(keys) > 1:
        raise ValueError("an optimiser's state is not of the same kind for every parameter")
    for parameter, state in optimiser.state.items():
        for key, value in state.items():
            shape = torch.Size() if key == "step" else parameter.shape
            fits = isinstance(value, Tensor) and value.layout == torch.strided and value.shape == shape
            if value is not None and not fits:
                raise ValueError(f"an optimiser's {key} is not of the shape {list(shape)}")


def reset_state(optimiser: torch.optim.Optimizer) -> None:
    """Clears an optimiser's moments and step counters, as a new level of a growing network requires.

    It loads an empty state, because that runs the load hooks by which CUDA graphs notice replaced tensors.
    """
    optimiser.load_state_dict(optimiser.state_dict() | {"state": {}})


def player_weights(optimiser: torch.optim.Optimizer) -> list[Parameter]:
    """The weights of the player that an optimiser of this module updates."""
    weights: list[Parameter] = optimiser.param_groups[0]["params"]
    return weights


def _learning_rate(lr: float, ttur: float, player: str) -> float:
    return lr * ttur if player == "d" else lr


@dataclass(frozen=True)
class Constant:
    """1 throughout."""

    def __call__(self, done: float) -> float:
        return 1.0


@dataclass(frozen=True, kw_only=True)
class Linear:
    """1 up to the share ``start`` of the run, then linear to ``final``."""

    start: Fraction
    final: Share

    def __call__(self, done: float) -> float:
        share = max(0.0, (done - self.start) / (1 - self.start))
        return 1 + (self.final - 1) * share


@dataclass(frozen=True, kw_only=True)
class Cosine:
    """Half a cosine from 1 to ``final`` (Loshchilov & Hutter 2017, equation 5, without restarts)."""

    final: Share

    def __call__(self, done: float) -> float:
        return self.final + (1 - self.final) * 0.5 * (1 + math.cos(math.pi * done))


@dataclass(frozen=True, kw_only=True)
class Ramp:
    """Half a cosine from ``initial`` to ``final`` over the share ``until`` of the run, then ``final``.

    The factors may rise, from 0 too, and exceed 1: beta2 from 0.9 to 0.99 is a ramp from 1 to 1.1.
    """

    initial: NonNegative
    final: NonNegative
    until: PositiveShare

    def __call__(self, done: float) -> float:
        left = 0.5 * (1 + math.cos(math.pi * min(done / self.until, 1.0)))
        return self.final + (self.initial - self.final) * left
