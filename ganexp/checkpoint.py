"""Checkpoints: everything that a run needs to go on as if it had never stopped.

Written beside the old one, synced, then renamed: a full disk or a killed process leaves the old one whole.
Read with ``weights_only=True``: a checkpoint from a stranger runs nothing.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import nn

from ganexp.ema import EMA
from ganexp.errors import UserError
from ganexp.files import replacing
from ganexp.games.game import Game

_FORMAT = 1


@dataclass
class Progress:
    """Where a run stands. ``images`` counts real images seen; it is also the position in the data."""

    step: int = 0
    images: int = 0
    seconds: float = 0.0


class State(NamedTuple):
    """What training changes. Networks and the penalties' memory are in the game."""

    game: Game
    ema: EMA
    optimisers: dict[str, torch.optim.Optimizer]
    progress: Progress
    device: torch.device

    def save(self, file: Path) -> None:
        """Replaces ``file``; raises OSError and leaves it as it was where there is no room."""
        content = {
            "format": _FORMAT,
            "game": self.game.state_dict(),
            "ema": self.ema.module.state_dict(),
            "optimisers": {name: optimiser.state_dict() for name, optimiser in self.optimisers.items()},
            "progress": vars(self.progress),
            "random": _random_state(self.device),
        }
        with replacing(file) as beside, beside.open("wb") as stream:
            torch.save(content, stream)
            stream.flush()
            os.fsync(stream.fileno())

    def restore(self, file: Path) -> None:
        """Goes back to a saved state. Raises UserError where the file is damaged or of another run."""
        content = read(file)
        try:
            self.game.load_state_dict(content["game"])
            self.ema.module.load_state_dict(content["ema"])
            for name, optimiser in self.optimisers.items():
                optimiser.load_state_dict(content["optimisers"][name])
        except (RuntimeError, ValueError, KeyError) as error:
            raise UserError(f"{file} does not fit this run: {_first_line(error)}") from None
        for key, value in content["progress"].items():
            setattr(self.progress, key, value)
        _set_random_state(content["random"], self.device)


def read(file: Path) -> dict[str, Any]:
    """The content of a checkpoint, on the CPU. Raises UserError where it is missing or damaged."""
    if not file.is_file():
        raise UserError(f"{file} is not there: the run was stopped before its first checkpoint")
    try:
        content = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever a reader of broken bytes can stumble over
        raise UserError(f"{file} is damaged: {_first_line(error)}") from None
    if not isinstance(content, dict) or content.get("format") != _FORMAT:
        raise UserError(f"{file} is no checkpoint of this version of ganexp")
    return content


def load_averaged(generator: nn.Module, file: Path) -> None:
    """Gives a generator the averaged weights of a checkpoint. Raises UserError where they do not fit."""
    try:
        generator.load_state_dict(read(file)["ema"])
    except (RuntimeError, KeyError) as error:
        raise UserError(f"{file} does not fit this run: {_first_line(error)}") from None


def _random_state(device: torch.device) -> dict[str, torch.Tensor]:
    """The generators that training draws from: the CPU's and the device's."""
    state = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        state["cuda"] = torch.cuda.get_rng_state(device)
    elif device.type == "mps":
        state["mps"] = torch.mps.get_rng_state()
    return state


def _set_random_state(state: dict[str, torch.Tensor], device: torch.device) -> None:
    torch.set_rng_state(state["cpu"])
    if device.type == "cuda" and "cuda" in state:
        torch.cuda.set_rng_state(state["cuda"], device)
    elif device.type == "mps" and "mps" in state:
        torch.mps.set_rng_state(state["mps"])


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n")[0] or type(error).__name__
