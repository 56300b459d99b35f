"""Everything that training changes: the content of a checkpoint.

What is missing here is lost when a process dies, and a resumed run would not end in the same weights.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from ganexp.data.batches import BatchLoader
from ganexp.distributed import collectives
from ganexp.ema import EMA
from ganexp.errors import UserError, first_line
from ganexp.games.game import Game
from ganexp.optim import load_state
from ganexp.sentinel import Sentinel
from ganexp.system.rng import random_state, set_random_state
from ganexp.system.tensor_file import digest
from ganexp.training.meter import Meter, merged
from ganexp.training.precision import Precision


@dataclass
class Progress:
    """Counters of a run. ``images``: real samples seen. The loader keeps the position in the data."""

    step: int = 0
    images: int = 0
    seconds: float = 0.0
    """Time spent in steps, without the work at an epoch's end."""
    averaged: int = 0
    """``images`` at the last update of the EMA."""
    rollbacks: int = 0
    """How often the run has gone back to an earlier checkpoint after an alarm of the sentinel."""


class State(NamedTuple):
    """What training changes. The game holds the networks and the buffers of penalties and augmentation."""

    game: Game
    ema: EMA
    optimisers: dict[str, torch.optim.Optimizer]
    precision: Precision
    progress: Progress
    meter: Meter
    sentinel: Sentinel
    loader: BatchLoader
    device: torch.device

    def add_time(self, seconds: float) -> None:
        """Adds time spent in steps."""
        self.progress.seconds += seconds
        self.meter.seconds += seconds

    def scalars(self) -> dict[str, float]:
        """The meter's means, the norm of each player's weights, and fp16's scale. Synchronises."""
        norms = {
            f"{name}/weight_norm": torch.nn.utils.get_total_norm(list(player.net.parameters()))
            for name, player in self.game.players.items()
        }
        values = torch.stack(list(norms.values())).tolist()
        return self.meter.means() | dict(zip(norms, values, strict=True)) | self.precision.scalars()

    def weights_hash(self) -> str:
        """SHA-256 of all weights and buffers, the EMA's too, and of all optimiser state."""
        optimisers = {name: optimiser.state_dict()["state"] for name, optimiser in self.optimisers.items()}
        return digest([self.game.state_dict(), self.ema.module.state_dict(), optimisers])

    def rank_state(self) -> dict[str, Any]:
        """What differs between ranks, the meter and the RNG state: a copy on the CPU."""
        return _copied({"meter": self.meter.state_dict(), "random": random_state(self.device)}, self.device)

    def snapshot(self, others: Sequence[dict[str, Any]] = ()) -> dict[str, Any]:
        """A copy of the whole state on the CPU. ``others``: ``rank_state`` of the ranks from 1 on."""
        content = _copied(
            {
                "game": self.game.state_dict(),
                "ema": self.ema.module.state_dict(),
                "optimisers": {name: optimiser.state_dict() for name, optimiser in self.optimisers.items()},
                "precision": self.precision.state_dict(),
            },
            self.device,
        )
        content |= self.rank_state()
        if others:
            content["others"] = list(others)
        return content | {
            "progress": dict(vars(self.progress)),
            "sentinel": self.sentinel.state_dict(),
            "loader": self.loader.state_dict(),
        }

    def restore(self, content: dict[str, Any]) -> int:
        """Restores a snapshot; returns the world size it was taken with.

        A rank that did not exist when the snapshot was taken keeps its current RNG state. Raises UserError
        where the snapshot does not fit this run.
        """
        try:
            _check_finite(content["game"] | content["ema"])
            load_game(self.game, content)
            self.ema.module.load_state_dict(content["ema"])
            for name, optimiser in self.optimisers.items():
                load_state(optimiser, content["optimisers"][name])
            self.precision.load_state_dict(content["precision"])
            each = [content, *content.get("others", [])]
            meters = [one["meter"] for one in each]
            meter = meters[collectives.rank()] if len(each) == collectives.world_size() else merged(meters)
            self.meter.load_state_dict(meter, self.device)
            self.sentinel.load_state_dict(content["sentinel"])
            for key, value in content["progress"].items():
                if key != "best":  # that is restored by runs/best_checkpoint.py
                    setattr(self.progress, key, value)
            self.loader.load_state_dict(content.get("loader", {"position": self.progress.images}))
            if collectives.rank() < len(each):
                set_random_state(each[collectives.rank()]["random"], self.device)
        except (RuntimeError, ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
            raise UserError(f"a checkpoint does not fit this run: {first_line(error)}") from None
        return len(each)


def load_game(game: Game, content: dict[str, Any]) -> None:
    """Loads a snapshot's weights and buffers into a game. Raises RuntimeError and others where they do not fit.

    Skips the turn counters that lazy penalties had in earlier versions; these now follow from the step.
    """
    state, known = content["game"], game.state_dict()
    former = [key for key in state if key.startswith("penalties.") and key.endswith("._extra_state")]
    game.load_state_dict({key: value for key, value in state.items() if key in known or key not in former})


def load_averaged(generator: nn.Module, content: dict[str, Any]) -> None:
    """Loads a snapshot's averaged weights into a generator. Raises UserError where they do not fit."""
    try:
        _check_finite(content["ema"])
        generator.load_state_dict(content["ema"])
    except (RuntimeError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"a checkpoint does not fit this run: {first_line(error)}") from None


def _check_finite(weights: dict[str, Any]) -> None:
    """Raises UserError where a weight is not finite: a checkpoint of a healthy run has only finite ones."""
    for name, weight in weights.items():
        if isinstance(weight, Tensor) and not torch.isfinite(weight).all():
            raise UserError(f"the checkpoint is unusable: {name} has values that are not finite")


def _copied(content: dict[str, Any], device: torch.device) -> dict[str, Any]:
    copies: dict[str, Any] = _each_copied(content)
    if device.type == "cuda":
        torch.cuda.current_stream(device).synchronize()  # once, for all asynchronous copies
    return copies


def _each_copied(node: Any) -> Any:
    if isinstance(node, dict):
        return {key: _each_copied(value) for key, value in node.items()}
    if isinstance(node, list | tuple):
        return [_each_copied(value) for value in node]
    return _to_cpu(node.detach()) if isinstance(node, Tensor) else node


def _to_cpu(tensor: Tensor) -> Tensor:
    """A copy on the CPU; from a GPU it is asynchronous, and the caller has to synchronise."""
    if tensor.device.type != "cuda":
        return tensor.to("cpu", copy=True)
    return torch.empty_like(tensor, device="cpu", pin_memory=True).copy_(tensor, non_blocking=True)
