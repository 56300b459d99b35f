"""What the training loop asks of a game, and what goes in and comes out of it.

A game is a module, so that its networks, penalties and buffers are saved and moved as one; and a dataclass,
whose fields are its settings, so that a game that extends another states only what is new. Its ``players`` say
who is trained and on what, ``begin_step`` who moves when, and ``inputs`` what the generator is given when
somebody looks at its samples.
"""

import math
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from typing import ClassVar, NamedTuple, Protocol

import torch
from torch import Tensor, nn

from ganexp.config.nets import check_nets
from ganexp.data.batches import Batch
from ganexp.losses import Loss
from ganexp.penalties import Penalty


class Turn(NamedTuple):
    """One player's turn. ``turn | other`` has the entries of both.

    ``losses``: scalars with a graph; the player minimises their sum. ``logs``: detached scalars, only to look
    at.
    """

    losses: dict[str, Tensor]
    logs: dict[str, Tensor]

    def __or__(self, other: "Turn") -> "Turn":
        return Turn(self.losses | other.losses, self.logs | other.logs)


class Player(NamedTuple):
    """A network (or a ModuleDict of several), the function that plays its turn, and how often it moves."""

    net: nn.Module
    turn: Callable[[Batch], Turn]
    every: int = 1
    """It moves once in so many steps."""
    times: int = 1
    """And then so many times in a row."""
    graph_through: tuple[nn.Module, ...] = ()
    """Other networks that are not frozen in this turn, because a later turn takes up their graph."""


class StepProgress(NamedTuple):
    """Where a run stands when a step begins."""

    step: int
    """Steps taken so far."""
    images: int
    """Real samples seen so far."""
    done: float
    """Share of the run that is done, in [0, 1]."""


class StepPlan(NamedTuple):
    """What one step consists of."""

    key: Hashable
    """What decides which kernels run: steps with one key can share a captured graph."""
    players: tuple[str, ...]
    """Who moves, in this order; a player may move twice."""
    reset: tuple[str, ...] = ()
    """Players whose optimiser starts anew before this step (a new level of a growing network)."""


@dataclass(frozen=True)
class Request:
    """What somebody asks a generator for.

    ``label``: int64 classes [count], or attributes or embeddings [count, K]; None leaves them to the game.
    ``codes``: values of InfoGAN's codes by their number. ``truncation``: of the latents, None for none.
    """

    count: int
    label: Tensor | None = None
    codes: Mapping[int, float] = field(default_factory=dict)
    truncation: float | None = None


class Inputs(NamedTuple):
    """Calls of a generator, ``generator(*args)``, row by row on the CPU.

    ``labels`` [N] or [N, K]: what was asked for, None where the generator takes no labels. ``source`` [N, ...]
    is shown before each output in a grid, ``target`` [N, ...] behind it; PSNR and SSIM compare with the target.
    """

    args: tuple[Tensor, ...]
    labels: Tensor | None = None
    source: Tensor | None = None
    target: Tensor | None = None


class Grid(NamedTuple):
    """An overview: the samples to ask for, row by row, and how many make a row."""

    request: Request
    columns: int


class Prior(Protocol):
    """A latent distribution: called with a count it draws z [count, size]."""

    @property
    def size(self) -> int:
        """How many numbers a latent has."""
        ...

    def __call__(
        self, count: int, *, generator: torch.Generator | None = None, device: torch.device | None = None
    ) -> Tensor: ...


@dataclass(frozen=True)
class Parts:
    """What a game is made from: everything that the configuration names besides the game's own settings.

    ``nets``: the nodes of ``arch``. ``loss``: None for games without an adversarial objective (``loss=none``).
    ``augment``: stands between samples and critic.
    """

    nets: dict[str, nn.Module]
    loss: Loss | None
    penalties: dict[str, Penalty]
    augment: nn.Module


@dataclass(eq=False, repr=False, kw_only=True)
class Game(nn.Module):
    """The base of every game: takes the parts in, decides who moves in a step.

    A subclass is decorated like this one, has its settings as fields, and sets ``players`` (and ``generator``,
    if it is no node of ``arch``) in ``__post_init__`` after the base's. Raises UserError if ``parts.nets`` are
    not ``NETS``.
    """

    NETS: ClassVar[tuple[str, ...]] = ()
    """The nodes of ``arch`` that the game is played with. A literal: it is read before anything is imported."""

    BATCH_UNIT: ClassVar[str | None] = None
    """The setting of which each process's part of a batch has to be a multiple. A literal, like ``NETS``."""

    needs_reference: ClassVar[bool] = False
    """Whether ``inputs`` needs real samples, as those of a translator do."""

    parts: Parts

    players: dict[str, Player] = field(init=False)
    """In the order of their turns."""

    generator: nn.Module = field(init=False)
    """The network that is averaged, shown, sampled and scored."""

    prior: "Prior | None" = field(init=False, default=None)
    """The latent and its distribution; None if the generator takes no noise."""

    def __post_init__(self) -> None:
        super().__init__()
        parts = self.parts
        check_nets(type(self).__name__, type(self).NETS, parts.nets)
        for name, net in parts.nets.items():
            self.add_module(name, net)
        self.penalties = nn.ModuleDict(parts.penalties)
        self.augment = parts.augment

    def inputs(self, request: Request, rng: torch.Generator, reference: Batch | None = None) -> Inputs:
        """What the generator is given for a request, on the CPU, drawn from ``rng`` alone.

        ``reference``: as many real samples, on the CPU, whose labels or sources stand in for what the request
        leaves open. Raises UserError if the generator cannot be asked for that.
        """
        raise NotImplementedError

    def preview_count(self, count: int) -> int:
        """How many samples an overview of about ``count`` has, so that its rows are full."""
        return count

    def grid(self, request: Request) -> Grid:
        """The request with what it leaves open filled in, so that it makes a good overview."""
        return Grid(request, math.ceil(math.sqrt(request.count)))

    def begin_step(self, progress: StepProgress) -> StepPlan:
        """Sets whatever depends on the progress (phases, lazy penalties) and says who moves in this step."""
        moving = {name for name, player in self.players.items() if (progress.step + 1) % player.every == 0}
        for penalty in self.parts.penalties.values():
            if penalty.player in moving:
                penalty.begin_turn((progress.step + 1) // self.players[penalty.player].every - 1)
        players = tuple(
            name for name, player in self.players.items() if name in moving for _ in range(player.times)
        )
        return StepPlan((players, tuple(penalty.active for penalty in self.parts.penalties.values())), players)

    def after_step(self, player: str) -> None:
        """Called after each move of a player: what the algorithm imposes on its weights."""

    def penalties_of(self, player: str) -> dict[str, Penalty]:
        """The regularisers of one player by name."""
        return {name: penalty for name, penalty in self.parts.penalties.items() if penalty.player == player}

    def freeze_the_rest(self) -> None:
        """Puts networks of no player into evaluation mode and freezes them. Called once the players are
        known.
        """
        trained = {id(weight) for player in self.players.values() for weight in player.net.parameters()}
        nets = self.parts.nets.values()
        self._frozen = [net for net in nets if not any(id(weight) in trained for weight in net.parameters())]
        for net in self._frozen:
            net.requires_grad_(False).eval()

    def train(self, mode: bool = True) -> "Game":
        """Networks of no player stay in evaluation mode."""
        super().train(mode)
        for net in getattr(self, "_frozen", []):
            net.eval()
        return self

    def differentiated_twice(self, player: str) -> bool:
        """Whether a loss of a player holds a gradient of its own network, as gradient penalties do."""
        return any(penalty.double_backward for penalty in self.penalties_of(player).values())
