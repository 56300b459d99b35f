"""Opens a run and loads its generator, for every verb that reads a run."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from omegaconf import DictConfig
from torch import nn

from ganexp.config.stored import read_run
from ganexp.data.arrays import Arrays
from ganexp.data.download import load
from ganexp.data.held_out import evaluated
from ganexp.data.source import Source
from ganexp.errors import UserError, first_line
from ganexp.games.game import Game
from ganexp.games.sampling import recompute_batch_norm
from ganexp.runs.stored_checkpoints import LoadedCheckpoint, resolve_checkpoint
from ganexp.training.blend import blended
from ganexp.training.build import build_as, build_game, build_source
from ganexp.training.device import Hardware
from ganexp.training.memory import within_memory
from ganexp.training.state import load_averaged, load_game


@dataclass(frozen=True)
class LoadedGenerator:
    """A run's averaged generator and the checkpoint that it was loaded from."""

    game: Game
    net: nn.Module
    """On the device, with batch norm statistics computed for the averaged weights."""
    checkpoint: LoadedCheckpoint


@dataclass(frozen=True)
class OpenedRun:
    """A run opened for reading: its configuration and its data source."""

    folder: Path
    config: DictConfig
    trust: bool
    device: torch.device
    source: Source

    def data(self) -> Arrays:
        """The run's data set; downloaded only if the run is trusted. Raises UserError."""
        return self._data

    @cached_property
    def _data(self) -> Arrays:
        return load(self.source, own=self.trust)

    def evaluated(self) -> Arrays:
        """The samples that the run is scored on: its data set, or a held-out split. Raises UserError."""
        return evaluated(self.source, self.data(), self.config.evaluate.split)

    def generator(self, checkpoint: str, blend: DictConfig | None = None) -> LoadedGenerator:
        """``checkpoint``: best, last, or a file; ``blend``: see ``ganexp/training/blend.py``.

        Raises UserError where it cannot be loaded.
        """
        game = within_memory(lambda: build_game(self.config), self.config, self.device, training=False)
        found = resolve_checkpoint(self.folder / "checkpoints", checkpoint)
        load_averaged(game.generator, found.content if blend is None else blended(found.content, blend))
        net = recompute_batch_norm(game, game.generator.to(self.device), self.device)
        return LoadedGenerator(game, net, found)

    def game(self, checkpoint: str) -> tuple[Game, str]:
        """The whole game with the weights of a checkpoint, the generator's averaged, and the checkpoint's name.

        On the device. For games whose other networks are used too. Raises UserError where it cannot be loaded.
        """
        game = within_memory(lambda: build_game(self.config), self.config, self.device, training=False)
        found = resolve_checkpoint(self.folder / "checkpoints", checkpoint)
        found.check_whole()
        try:
            load_game(game, found.content)
        except (RuntimeError, KeyError, TypeError, AttributeError) as error:
            raise UserError(f"a checkpoint does not fit this run: {first_line(error)}") from None
        load_averaged(game.generator, found.content)
        return game.to(self.device), found.file.name


def open_run(cfg: DictConfig) -> OpenedRun:
    """Opens the run that ``cfg.run`` names, on ``cfg.device``. Raises UserError where it is not a run."""
    config = read_run(cfg.run, trust=cfg.trust)
    hardware = build_as(Hardware, cfg.device, "device")
    source = build_source(config)
    return OpenedRun(Path(cfg.run).expanduser(), config, cfg.trust, hardware.device, source)
