"""The interface between the training loop and a game, and the types that it uses.

A game is a module, so that its networks, penalties and buffers are saved and moved together; and a dataclass,
whose fields are its settings, so that a subclass adds only its own. ``players`` holds the trained networks and
the functions that compute their losses, ``begin_step`` decides which players move, and ``inputs`` gives the
generator's inputs for sampling and evaluation.
"""

import math
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from functools import cached_property
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from ganexp.config.nets import check_nets
from ganexp.data.batches import Batch
from ganexp.data.degradations.degradation import Degradation
from ganexp.data.source import LabelKind
from ganexp.games.prior import Prior
from ganexp.games.request import Baseline, Grid, Inputs, Request
from ganexp.losses import Loss
from ganexp.nets.growth import Growth, growths
from ganexp.penalties import Penalty


class Turn(NamedTuple):
    """One player's turn. ``turn | other`` has the entries of both.

    ``losses``: scalars with a graph; the player minimises their sum. ``logs``: detached scalars, only logged.
    """

    losses: dict[str, Tensor]
    logs: dict[str, Tensor]

    def __or__(self, other: "Turn") -> "Turn":
        return Turn(self.losses | other.losses, self.logs | other.logs)


class Player(NamedTuple):
    """A network (or a ModuleDict of several), the function that computes its losses, and how often it moves."""

    net: nn.Module
    turn: Callable[[Batch], Turn]
    every: int = 1
    """It moves in every ``every``-th step."""
    times: int = 1
    """In such a step it moves ``times`` times in a row."""
    graph_through: tuple[nn.Module, ...] = ()
    """Other networks that are not frozen in this turn, because a later turn reuses their autograd graph."""


class View(NamedTuple):
    """A network from samples [N, ...] to images that are drawn beside them."""

    net: nn.Module
    reconstructs: bool
    """Whether its outputs should equal the samples, so that their PSNR is logged."""


class StepProgress(NamedTuple):
    """The progress of a run at the beginning of a step."""

    step: int
    """Steps taken so far."""
    images: int
    """Real samples seen so far."""
    done: float
    """Share of the run that is done, in [0, 1]."""


class StepPlan(NamedTuple):
    """The players that move in one step."""

    key: Hashable
    """Steps with equal keys launch the same kernels, so that they can share a CUDA graph."""
    players: tuple[str, ...]
    """The players that move, in this order; a player may move several times."""
    reset: tuple[str, ...] = ()
    """Players whose optimiser state is cleared before this step (a new level of a growing network)."""


@dataclass(frozen=True)
class Parts:
    """The objects that a game is built from, besides its own settings.

    ``nets``: the nodes of ``arch``. ``loss``: None for games without an adversarial objective (``loss=none``).
    ``augment``: applied to samples before the critic. ``label_kind``: what the data's labels are. ``degrade``:
    what image-to-image generators are given; None for generators from noise.
    """

    nets: dict[str, nn.Module]
    loss: Loss | None
    penalties: dict[str, Penalty]
    augment: nn.Module
    label_kind: LabelKind = "classes"
    degrade: Degradation | None = None


@dataclass(eq=False, repr=False, kw_only=True)
class Game(nn.Module):
    """The base class of every game: registers the parts and decides which players move in a step.

    A subclass has the same decorator, declares its settings as fields, and sets ``players`` (and ``generator``,
    if it is not a node of ``arch``) in ``__post_init__`` after calling the base's. Raises UserError if the
    names of ``parts.nets`` are not ``NETS``.
    """

    NETS: ClassVar[tuple[str, ...]] = ()
    """The nodes of ``arch`` that the game needs. A literal: it is read from the source without an import."""

    BATCH_UNIT: ClassVar[str | None] = None
    """The setting of which each rank's share of a batch must be a multiple. A literal, like ``NETS``."""

    SMALLEST_BATCH: ClassVar[int] = 2
    """The smallest batch, over all ranks. A literal, like ``NETS``."""

    USES_DEGRADE: ClassVar[bool] = False
    """Whether the generator is given what ``degrade`` makes of images. A literal, like ``NETS``."""

    UNPAIRED: ClassVar[bool] = False
    """Whether sources and samples are drawn independently in training. A literal, like ``NETS``."""

    NEEDS_TARGET: ClassVar[bool] = True
    """Whether an image-to-image game learns from targets or a second domain. A literal, like ``NETS``.

    False where it changes something in images and no degradation makes pairs: it needs ``degrade=identity``.
    """

    NEEDS_START: ClassVar[bool] = False
    """Whether it needs networks that another run has trained (``start_from``). A literal, like ``NETS``."""

    needs_reference: ClassVar[bool] = False
    """Whether ``inputs`` needs real samples, as for image translation."""

    parts: Parts

    players: dict[str, Player] = field(init=False)
    """In the order of their turns."""

    generator: nn.Module = field(init=False)
    """The network that is averaged (EMA), sampled and scored."""

    prior: Prior | None = field(init=False, default=None)
    """The latent and its distribution; None if the generator takes no noise."""

    code_kinds: tuple[int, ...] = field(init=False, default=())
    """The kind of each code that a request may have: its number of categories, or 0 if it is continuous."""

    directions: tuple[str, ...] = field(init=False, default=())
    """The names of the directions in which the game makes images from images; empty if there is one or none."""

    def __post_init__(self) -> None:
        super().__init__()
        parts = self.parts
        check_nets(type(self).__name__, type(self).NETS, parts.nets)
        for name, net in parts.nets.items():
            self.add_module(name, net)
        self.penalties = nn.ModuleDict(parts.penalties)
        self.augment = parts.augment

    def prepare_training(self) -> None:
        """Called once before training, on the CPU, and not where a run is only read.

        For networks that only losses need, such as one with weights to download.
        """

    def begin_run(self) -> None:
        """Called once where a run begins, and not where it is resumed; on its device, by rank 0 only.

        For buffers that are computed once and then kept in checkpoints. The other ranks are sent them.
        """

    def inputs(self, request: Request, rng: torch.Generator, reference: Batch | None = None) -> Inputs:
        """The generator's inputs for a request, on the CPU, drawn from ``rng`` only.

        ``reference``: ``request.count`` real samples, on the CPU; their labels or sources are used where the
        request has none. Raises UserError if the generator does not support the request.
        """
        raise NotImplementedError

    def views(self, generator: nn.Module) -> dict[str, View]:
        """Networks from samples to what is drawn beside these, by the pictures' names.

        They are made of ``generator``, the live or the averaged one: an autoencoder's reconstructions, or the
        other direction of a game that has two.
        """
        return {}

    def judge(self, samples: Tensor) -> Tensor | None:
        """The discriminator's logits [N] of samples [N, ...] on its device, to be looked at.

        None where there is no discriminator, or where it does not judge a sample alone.
        """
        return None

    def about(self) -> list[str]:
        """Lines that a run prints before it begins, on what its numbers mean."""
        return []

    def baseline(self, inputs: Inputs) -> Baseline | None:
        """What a trivial method makes of the sources of ``inputs``; None where there is none."""
        return None

    def preview_count(self, count: int) -> int:
        """The number of samples of a grid of about ``count``, so that its rows are full."""
        return count

    def grid(self, request: Request) -> Grid:
        """The request with its missing fields filled in for a grid, and the number of columns."""
        return Grid(request, request.columns or math.ceil(math.sqrt(request.count)))

    def condition_pairs(
        self, count: int, rng: torch.Generator, reference: Batch | None = None
    ) -> dict[str, Inputs]:
        """For each condition by name, such as ``label``: the inputs of ``count`` pairs of samples.

        The samples 2i and 2i + 1 have independent values of that condition, and are equal in everything else.
        They show whether the generator ignores it. ``reference``: ``count`` real samples, for a game with
        ``needs_reference``; the others are given none.
        """
        return {}

    def begin_step(self, progress: StepProgress) -> StepPlan:
        """Sets what depends on the progress (levels, phases, lazy penalties); returns this step's players."""
        moving_players = {
            name for name, player in self.players.items() if (progress.step + 1) % player.every == 0
        }
        for penalty in self.parts.penalties.values():
            if penalty.player in moving_players:
                penalty.begin_turn((progress.step + 1) // self.players[penalty.player].every - 1)
        players = tuple(
            name for name, player in self.players.items() if name in moving_players for _ in range(player.times)
        )
        grown = tuple(
            name
            for name, growing in self._growing.items()
            if any([growth.grow(progress.images) for growth in growing])  # a list: each of them has to grow
        )
        stages = tuple(growth.stage for growing in self._growing.values() for growth in growing)
        active = tuple(penalty.active for penalty in self.parts.penalties.values())
        return StepPlan((players, active, stages), players, grown if progress.step else ())

    @cached_property
    def _growing(self) -> dict[str, list[Growth]]:
        """The levels of each player's growing networks. Networks that no player trains do not grow."""
        return {name: found for name, player in self.players.items() if (found := growths(player.net))}

    @cached_property
    def _generator_growth(self) -> Growth | None:
        return next(iter(growths(self.generator)), None)

    def fade_details(self, samples: Tensor) -> Tensor:
        """Real samples with as much of a new level's details as a growing generator's fakes have.

        Without it, the discriminator would know fakes by their weaker details while a level is faded in (Karras
        et al. 2018, figure 2).
        """
        growth = self._generator_growth
        return samples if growth is None else growth.fade_details(samples)

    def after_step(self, player: str) -> None:
        """Called after each optimiser step of a player, e.g. to clip its weights."""

    def penalties_of(self, player: str) -> dict[str, Penalty]:
        """The penalties of one player by name."""
        return {name: penalty for name, penalty in self.parts.penalties.items() if penalty.player == player}

    def freeze_untrained(self) -> None:
        """Freezes networks that no player trains, in evaluation mode. Called when ``players`` is set."""
        trained = {id(weight) for player in self.players.values() for weight in player.net.parameters()}
        nets = self.parts.nets.values()
        self._frozen = [net for net in nets if not any(id(weight) in trained for weight in net.parameters())]
        for net in self._frozen:
            net.requires_grad_(False).eval()

    def train(self, mode: bool = True) -> "Game":
        """As in ``nn.Module``, but frozen networks stay in evaluation mode."""
        super().train(mode)
        for net in getattr(self, "_frozen", []):
            net.eval()
        return self

    def needs_double_backward(self, player: str) -> bool:
        """Whether a player's loss contains a gradient of its own network, as gradient penalties do."""
        return any(penalty.double_backward for penalty in self.penalties_of(player).values())
