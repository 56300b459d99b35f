"""TensorBoard: scalars and grids over the number of real images seen, and one HParams row per run."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from omegaconf import DictConfig, OmegaConf
from PIL import Image
from torch.utils.tensorboard import SummaryWriter
from torch.utils.tensorboard.summary import hparams


class Board:
    """The event file of one run. ``images`` is the position of a resumed run: what lies behind it is void."""

    def __init__(self, folder: Path, images: int) -> None:
        self._writer = SummaryWriter(str(folder), purge_step=images + 1 if images else None)

    def begin(self, cfg: DictConfig, choices: Mapping[str, str]) -> None:
        """The run's row in the HParams tab.

        Without the experiment's summary that ``add_hparams`` writes beside it, TensorBoard shows every
        scalar as a metric, and runs with other keys keep their columns.
        """
        self._add(hparams(_hyperparameters(cfg, choices), {})[1])
        self._writer.flush()

    def write(self, scalars: dict[str, float], grid: Image.Image, images: int) -> None:
        """An epoch's numbers and its grid."""
        for name, value in scalars.items():
            self._writer.add_scalar(name, value, images)
        pixels = np.asarray(grid)
        self._writer.add_image("samples", pixels, images, dataformats="HW" if pixels.ndim == 2 else "HWC")
        self._writer.flush()

    def finish(self) -> None:
        """Marks the row as complete."""
        self._add(hparams({}, {})[2])

    def _add(self, summary: Any) -> None:
        assert self._writer.file_writer is not None, "the board is closed"
        self._writer.file_writer.add_summary(summary)

    def close(self) -> None:
        """Writes what is left."""
        self._writer.close()


def _hyperparameters(cfg: DictConfig, choices: Mapping[str, str]) -> dict[str, Any]:
    """The groups' choices and the settings that experiments turn: few enough to read as columns."""
    values: dict[str, Any] = {
        group: choice for group, choice in choices.items() if choice != "None" and "." not in group
    }
    for key in ("seed", "batch_size", "game.n_critic", "optim.lr", "ema.halflife"):
        value = OmegaConf.select(cfg, key)
        values[key] = str(value) if isinstance(value, bool) or value is None else value
    for name, node in cfg.penalties.items():
        values[f"penalties.{name}"] = node.weight
    return values
