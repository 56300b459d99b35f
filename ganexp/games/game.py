"""What the training loop asks of a game.

A game is a module, so that its networks and the memory of its penalties are saved and moved as one. Its
``players`` say who plays, its ``turns`` when, and ``inputs`` what the generator is fed for looking.
"""

from collections.abc import Callable, Hashable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ganexp.data.batches import Batch


class Turn(NamedTuple):
    """What one player's turn came to: scalars to minimise the sum of, and scalars only to look at."""

    terms: dict[str, Tensor]
    seen: dict[str, Tensor]


class Player(NamedTuple):
    """A network (or a ModuleDict of several) and the function that plays its turn."""

    net: nn.Module
    turn: Callable[[Batch], Turn]


Inputs = tuple[Tensor, ...]
"""What a generator takes: latents, or latents and labels."""


class Game(nn.Module):
    """The base of every game."""

    players: dict[str, Player]
    """In the order of their turns; ``g`` is the generator's."""

    turns: tuple[tuple[str, int], ...]
    """Who moves in a step, in this order, and once in how many steps; a player may move twice."""

    generator: nn.Module
    """The network that is averaged, shown, sampled and scored."""

    @property
    def pace(self) -> int:
        """Once in how many steps the generator moves."""
        return dict(self.turns)["g"]

    def inputs(self, labels: Sequence[int], rng: torch.Generator) -> Inputs:
        """What the generator needs for one sample of each label, on the CPU, drawn from ``rng`` alone.

        A game without labels only counts them.
        """
        raise NotImplementedError

    def preview(self, count: int) -> int:
        """How many samples an overview of about ``count`` needs to be a full grid."""
        return count

    def grid_labels(self, count: int) -> tuple[list[int], int]:
        """The labels of ``count`` samples in a grid, row by row, and how many make a row."""
        raise NotImplementedError

    def check_label(self, label: int) -> None:
        """Raises UserError if the generator cannot be asked for this label."""
        raise NotImplementedError

    def check(self) -> None:
        """Raises UserError where the networks do not fit the game."""

    def constrain(self, player: str) -> None:
        """Called after a player's step: what the algorithm imposes on its weights."""

    def passed(self, player: str) -> None:
        """Called after a step, for each of a player's turns in it: what is counted, and is in no tensor."""

    def phase(self, player: str) -> Hashable:
        """What of a player's turns in the next step depends on such counts.

        Steps in which the same players move, in the same phases, take the same course: they launch the same
        kernels, and nothing else outlives them but tensors.
        """
        return None

    def differentiated_twice(self, player: str) -> bool:
        """Whether a term of a player holds a gradient of its own network, as gradient penalties do."""
        return False
