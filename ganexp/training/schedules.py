"""Numbers that change during a run: each is its initial value times a schedule.

``schedule`` drives the learning rates of all players. ``schedules`` drives any other number by its path:

    schedules:
      penalties: {r1: {weight: {_target_: ganexp.optim.Cosine, final: 0.1}}}
      ema: {halflife: {_target_: ganexp.optim.Ramp, initial: 0, final: 1, until: 0.1}}
      optim: {beta2: {_target_: ...}, g: {lr: {_target_: ...}}}

``optim.lr``, ``optim.beta1`` and ``optim.beta2`` apply to every player, ``optim.<player>.lr`` to one. Any other
path starts with an object (``penalties``, ``augment``, ``ema``, ``game``); the rest is its attribute: a buffer,
whose changes a CUDA graph reads, or a number.
"""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from ganexp.ema import EMA
from ganexp.errors import UserError, suggest
from ganexp.games.game import Game
from ganexp.optim import Schedule
from ganexp.system.nested import leaves

Setter = Callable[[float], None]
"""Sets a number to its initial value times the given factor."""

_BETAS = {"beta1": 0, "beta2": 1}


class Schedules:
    """All scheduled numbers of a run.

    ``driven``: nested dicts with schedules as leaves. Raises UserError for a path that names no number of the
    run.
    """

    def __init__(
        self,
        game: Game,
        ema: EMA,
        optimisers: Mapping[str, torch.optim.Optimizer],
        rate: Schedule,
        driven: Mapping[str, Any],
    ) -> None:
        self._optimisers = optimisers
        self._initial = {name: float(o.param_groups[0]["lr"]) for name, o in optimisers.items()}
        self._rates = dict.fromkeys(optimisers, rate)
        self._now = dict(self._initial)
        self._owners = {"penalties": game.parts.penalties, "augment": game.augment, "ema": ema, "game": game}
        self._others: list[tuple[Schedule, Setter]] = []
        self.graphable = True
        """Whether a captured step sees every number change; Adam's momenta are Python numbers, fixed in a
        graph.
        """
        for path, schedule in leaves(driven, lists=False):
            self._add(tuple(map(str, path)), schedule)

    def set(self, done: float, scale: float = 1.0) -> None:
        """Sets all numbers for the next step. ``done``: share of the run in [0, 1]; ``scale``: on all rates."""
        for name, optimiser in self._optimisers.items():
            self._now[name] = self._initial[name] * (self._rates[name](done) * scale)
            for group in optimiser.param_groups:
                if isinstance(group["lr"], Tensor):  # in place, for a CUDA graph reads this tensor
                    group["lr"].fill_(self._now[name])
                else:
                    group["lr"] = self._now[name]
        for schedule, setter in self._others:
            setter(schedule(done))

    def now(self) -> dict[str, float]:
        """Each player's current learning rate, as scalars to log."""
        return {f"{name}/lr": rate for name, rate in self._now.items()}

    def _add(self, path: tuple[str, ...], schedule: Schedule) -> None:
        name = "schedules." + ".".join(path)
        if path[0] != "optim":
            self._others.append((schedule, self._attribute(path, name)))
            return
        player, setting = (None, path[-1]) if len(path) == 2 else (path[1], path[-1])
        if player is not None and player not in self._optimisers:
            raise UserError(f"{name}: this game has no player {player}; {suggest(player, self._optimisers)}")
        players = list(self._optimisers) if player is None else [player]
        if setting == "lr":
            self._rates |= dict.fromkeys(players, schedule)
        elif setting in _BETAS:
            self.graphable = False
            for one in players:
                setter = _beta(self._optimisers[one], _BETAS[setting], name)
                setter(schedule(1.0))  # a value that is not allowed is refused before the run starts
                setter(schedule(0.0))
                self._others.append((schedule, setter))
        else:
            raise UserError(f"{name}: {suggest(setting, ['lr', *_BETAS])}")

    def _attribute(self, path: tuple[str, ...], name: str) -> Setter:
        if path[0] not in self._owners:
            raise UserError(f"{name}: {suggest(path[0], ['optim', *self._owners])}")
        owner: Any = self._owners[path[0]]
        for part in path[1:-1]:
            owner = owner.get(part) if isinstance(owner, Mapping) else getattr(owner, part, None)
        attribute = "factor" if path[0] == "penalties" and path[-1] == "weight" else path[-1]
        value = getattr(owner, attribute, None)
        if isinstance(value, Tensor) and value.numel() == 1:
            return _buffer(value)
        if isinstance(value, int | float) and not isinstance(value, bool):
            return _number(owner, attribute, float(value))
        raise UserError(f"{name}: this run has no such number")


def _beta(optimiser: torch.optim.Optimizer, place: int, name: str) -> Setter:
    """Sets one of Adam's two betas. The setter raises UserError for values outside of [0, 1)."""
    if "betas" not in optimiser.param_groups[0]:
        raise UserError(f"{name}: this optimiser has no momenta of that kind; optim=adam has")
    initial = optimiser.param_groups[0]["betas"][place]

    def setter(factor: float) -> None:
        value = initial * factor
        if not 0 <= value < 1:
            raise UserError(
                f"{name}: {factor:g} times {initial:g} is {value:g}, and a beta is from 0 to less than 1; "
                f"choose factors below {1 / initial:g}"
            )
        for group in optimiser.param_groups:
            betas = list(group["betas"])
            betas[place] = value
            group["betas"] = tuple(betas)

    return setter


def _buffer(buffer: Tensor) -> Setter:
    initial = float(buffer)

    def setter(factor: float) -> None:
        buffer.fill_(initial * factor)

    return setter


def _number(owner: Any, attribute: str, initial: float) -> Setter:
    def setter(factor: float) -> None:
        setattr(owner, attribute, initial * factor)

    return setter
