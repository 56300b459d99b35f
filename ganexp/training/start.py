"""Initial weights from another run's networks (``start_from``).

They are read once, before the first step, and stored in the new run's first checkpoint. After that the other
run folder may be deleted.
"""

from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig
from torch import nn

from ganexp.config.stored import read_run
from ganexp.errors import UserError, first_line
from ganexp.runs.stored_checkpoints import resolve_checkpoint
from ganexp.system.rng import fork_rng
from ganexp.training.build import build_game
from ganexp.training.memory import within_memory
from ganexp.training.state import State, load_game


def load_start(state: State, cfg: DictConfig) -> str:
    """Loads the other run's last weights into the networks that both runs have; returns a log line.

    Its generator's weights are the averaged ones, unless ``start_weights=live``; all other networks have live
    weights only. Raises UserError where they do not fit.
    """
    found = resolve_checkpoint(Path(cfg.start_from) / "checkpoints", "last")
    found.check_whole()
    theirs = _networks(cfg, found.content)
    names = [name for name in state.game.parts.nets if name in theirs]
    for name in names:
        try:
            state.game.parts.nets[name].load_state_dict(theirs[name].state_dict())
        except RuntimeError as error:
            raise UserError(
                f"start_from={cfg.start_from}: its {name} does not fit: {first_line(error)}"
            ) from None
    state.ema.copy_from(state.game.generator)
    images = found.content["progress"]["images"]
    return f"{', '.join(names)} from {found.file}, {images:,} images"


def _networks(cfg: DictConfig, content: dict[str, Any]) -> dict[str, nn.Module]:
    """The other run's networks by their names in ``arch``, on the CPU. Raises UserError.

    Its game is built, because only the game knows which networks the averaged generator consists of.
    """
    stored, cpu = read_run(cfg.start_from, trust=cfg.trust), torch.device("cpu")
    try:
        with fork_rng(cpu):
            game = within_memory(lambda: build_game(stored), stored, cpu, training=False)
        load_game(game, content)
        if cfg.start_weights == "averaged":
            game.generator.load_state_dict(content["ema"])
    except (RuntimeError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"start_from={cfg.start_from}: does not fit its own run: {first_line(error)}") from None
    return game.parts.nets
