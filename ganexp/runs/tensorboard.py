"""TensorBoard: scalars and grids over the number of real images seen, and one HParams row per run.

The caller's thread writes events to one file per process, without a queue: events are written when ``flush``
returns, and a full disk raises OSError here instead of printing a traceback in another thread.
"""

import os
import socket
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from PIL import Image
from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter
from torch.utils.tensorboard import summary

from ganexp.metrics.directions import metric_directions


class EventWriter:
    """The event file of one process of a run. Every method raises OSError.

    ``images`` is the position of a resumed run: TensorBoard drops the events after it from older files.
    """

    def __init__(self, folder: Path, images: int) -> None:
        # TensorBoard reads a folder's files in the order of their names.
        name = f"events.out.tfevents.{time.time():017.6f}.{socket.gethostname()}.{os.getpid()}"
        self.file = folder / name
        self._stream = self.file.open("xb")
        self._records = RecordWriter(self._stream)
        self._add(Event(file_version="brain.Event:2"))
        if images:
            self._add(Event(step=images + 1, session_log=SessionLog(status=SessionLog.START)))
        self.flush()

    def begin(self, cfg: DictConfig, choices: Mapping[str, str]) -> None:
        """Writes the run's row in the HParams tab, and the layout of its custom scalars.

        It omits the experiment summary that ``add_hparams`` also writes: without it TensorBoard shows every
        scalar as a metric, and runs with other keys keep their columns.
        """
        self._add(Event(summary=summary.hparams(_hyperparameters(cfg, choices), {})[1]))
        self._add(Event(summary=summary.custom_scalars(_layout(cfg))))
        self.flush()

    def scalars(self, scalars: dict[str, float], images: int) -> None:
        """Writes scalars only."""
        for name, value in scalars.items():
            self._add(Event(step=images, summary=summary.scalar(name, value)))
        self.flush()

    def write(
        self,
        scalars: dict[str, float],
        pictures: Mapping[str, Image.Image],
        encoded: Mapping[str, bytes],
        images: int,
    ) -> None:
        """Writes an epoch's scalars and its pictures by name; ``encoded`` holds them as PNG."""
        self.scalars(scalars, images)
        for name, shown in pictures.items():
            picture = Summary.Image(
                height=shown.height,
                width=shown.width,
                colorspace=len(shown.getbands()),  # TensorBoard's code is the number of channels
                encoded_image_string=encoded[name],
            )
            self._add(Event(step=images, summary=Summary(value=[Summary.Value(tag=name, image=picture)])))
        self.flush()

    def text(self, name: str, line: str, images: int) -> None:
        """Writes a line for the TEXT tab."""
        self._add(Event(step=images, summary=summary.text(name, line)))
        self.flush()

    def finish(self) -> None:
        """Marks the HParams row as complete."""
        self._add(Event(summary=summary.hparams({}, {})[2]))
        self.flush()

    def flush(self) -> None:
        """Passes buffered events to the operating system."""
        self._stream.flush()

    def close(self) -> None:
        """Closes the file."""
        self._stream.close()

    def _add(self, event: Any) -> None:
        event.wall_time = time.time()
        self._records.write(event.SerializeToString())


def _hyperparameters(cfg: DictConfig, choices: Mapping[str, str]) -> dict[str, Any]:
    """The groups' choices and commonly varied settings: few enough to read as columns."""
    values: dict[str, Any] = {
        group: choice for group, choice in choices.items() if choice != "None" and "." not in group
    }
    for key in ("seed", "batch_size", "game.n_critic", "optim.lr", "ema.halflife"):
        value = OmegaConf.select(cfg, key)
        values[key] = str(value) if isinstance(value, bool) or value is None else value
    weights = {name: node["weight"] for name, node in cfg.penalties.items() if "weight" in node}
    values |= {f"penalties.{name}": weight for name, weight in weights.items()}
    return values


def _layout(cfg: DictConfig) -> dict[str, dict[str, list[Any]]]:
    """The layout of TensorBoard's CUSTOM SCALARS: charts of players, penalties, scores and health.

    TensorBoard merges the layouts of all runs that it shows, so every run uses the same chart names.
    """
    stems = {
        str(name): metric_directions([str(node["_target_"])]) or [str(name)]
        for name, node in cfg.metrics.items()
    }
    scores = {name: [rf"(score|evaluate)/({'|'.join(found)}).*$"] for name, found in stems.items()}
    layout = {
        "players": {
            "losses": [r"\w+/adversarial(_back)?$"],
            "D(x) and D(G(z))": [r"\w+/D_x(_back)?$", r"\w+/D_G_z(_back)?$"],
            "gradient norms": [r"\w+/gradient_norm$"],
        },
        "penalties": {"penalties": [_PENALTIES]},
        "scores": scores,
        "health": {
            "diversity": ["sentinel/diversity$"],
            "weight norms": [r"\w+/weight_norm$"],
            "learning rates": [r"\w+/lr$"],
            "images per second": ["speed/images_per_second$"],
        },
    }
    return {
        title: {name: ["Multiline", tags] for name, tags in charts.items()} for title, charts in layout.items()
    }


_PENALTIES = (
    r"(?!score|evaluate|speed|sentinel|precision|reconstructions|cycle/)\w+/"
    r"(?!((adversarial|D_x|D_G_z)(_back)?|gradient_norm|weight_norm|lr)$)\w+$"
)
"""Matches a player's losses besides the adversarial one; the same in all runs, as charts are merged."""
