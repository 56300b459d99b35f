"""A run's records: ``metrics.jsonl``, ``samples/`` and TensorBoard's events, written together."""

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import DictConfig
from PIL import Image

from ganexp.data.picture import save_png
from ganexp.runs.log import RunLog
from ganexp.runs.tensorboard import EventWriter
from ganexp.system.atomic import sync

if TYPE_CHECKING:
    from ganexp.training.state import Progress


def grids(folder: Path) -> list[Path]:
    """A run's grids of samples, one per epoch, in the order of the epochs."""
    return _numbered(folder, "epoch_*.png")


def early_grids(folder: Path) -> list[Path]:
    """A run's grids of samples made within its first epochs, in the order of the images in their names."""
    return _numbered(folder, "images_*.png")


def _numbered(folder: Path, pattern: str) -> list[Path]:
    files = [file for file in _samples(folder).glob(pattern) if file.is_file()]
    return sorted(files, key=lambda file: (len(file.name), file.name))


def _samples(folder: Path) -> Path:
    return folder / "samples"


class RunRecords:
    """The records of one run. Methods raise OSError where they cannot be written."""

    def __init__(self, folder: Path, log: RunLog) -> None:
        self.folder = folder
        self._log = log
        self._events: EventWriter | None = None

    def open(self, images: int, cfg: DictConfig, choices: Mapping[str, str]) -> None:
        """Opens the records, truncated to ``images``; a new run (0) removes all older metrics and events."""
        self._log.truncate(images)
        if self._events is not None:
            self._events.close()
        if images == 0:
            for old in self.folder.glob("events.out.tfevents.*"):
                old.unlink()
        self._events = EventWriter(self.folder, images)
        if images == 0:
            self._events.begin(cfg, choices)

    def write(
        self,
        epoch: int | None,
        scalars: dict[str, float],
        pictures: Mapping[str, Image.Image],
        progress: "Progress",
    ) -> None:
        """Writes an epoch's numbers and pictures, or those within one (None); they are on the disk on return.

        Of the pictures by name, ``samples`` is the grid ``epoch_0001.png``; the others are beside it, with
        their name before that.
        """
        assert self._events is not None, "open() comes first"
        numbers = {"step": progress.step, "images": progress.images, **scalars}
        self._log.record(numbers if epoch is None else {"epoch": epoch, **numbers})
        name = f"images_{progress.images:08d}.png" if epoch is None else f"epoch_{epoch:04d}.png"
        encoded = {}
        for shown, picture in pictures.items():
            file = name if shown == "samples" else f"{shown}_{name}"
            encoded[shown] = save_png(picture, _samples(self.folder) / file, self.folder)
        self._events.write(scalars, pictures, encoded, progress.images)
        for written in (self._log.metrics, self._events.file):
            sync(written)

    def text(self, name: str, line: str, images: int) -> None:
        """Writes a line for TensorBoard's TEXT tab; ignores OSError."""
        if self._events is not None:
            with suppress(OSError):
                self._events.text(name, line, images)

    def close(self, *, finished: bool) -> None:
        """Closes the event file; ``finished`` also completes the HParams row."""
        if self._events is not None:
            if finished:
                self._events.finish()
            self._events.close()
