"""The run folder: what a run leaves behind, and the only place that writes there.

config.yaml             the composed configuration, resolved: the truth for resume and sample
run.json                the receipt: status, versions, data, device, times
train.log               what the terminal said
metrics.jsonl           one line per epoch, everything TensorBoard has as numbers
events.out.tfevents.*   TensorBoard
samples/epoch_0001.png  the same latents every time
checkpoints/last.pt
"""

import json
import logging
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

from filelock import FileLock, Timeout
from omegaconf import DictConfig, OmegaConf
from PIL import Image
from tqdm import tqdm

from ganexp.board import Board
from ganexp.checkpoint import State
from ganexp.config.resolvers import RESUMABLE
from ganexp.data.picture import save_png
from ganexp.errors import Diverged, UserError
from ganexp.files import replacing
from ganexp.receipt import Receipt, Status


class Run:
    """An open run folder. As a context manager it notes how the run ended, whatever ends it."""

    def __init__(self, folder: Path, cfg: DictConfig, choices: Mapping[str, str]) -> None:
        self.folder = folder
        self.last = folder / "checkpoints" / "last.pt"
        folder.mkdir(parents=True, exist_ok=True)
        self._lock = FileLock(folder / ".lock")
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            raise UserError(f"{folder} is being worked on by another process") from None
        self.receipt = Receipt(folder / "run.json")
        self.choices: Mapping[str, str] = self.receipt.content.get("choices", choices)
        self._cfg = cfg
        self._claim()
        self._log = _logger(folder / "train.log")
        self._board: Board | None = None
        self._state: State

    def restore(self, state: State) -> None:
        """Takes the last checkpoint, if there is one."""
        if self.last.is_file():
            state.restore(self.last)

    def begin(self, state: State, facts: dict[str, Any]) -> None:
        """Opens what is written to, cut back to where ``state`` stands; ``facts`` go into the receipt.

        Raises UserError if the data are no longer those that the run began with.
        """
        before = self.receipt.content.get("data", facts["data"])
        if state.progress.images and before["fingerprint"] != facts["data"]["fingerprint"]:
            raise UserError(f"{self.folder}: the data have changed since this run began; begin another one")
        self._state = state
        self._write_config()  # a resumed run may be longer now
        self._keep_metrics(state.progress.images)
        self._board = Board(self.folder, state.progress.images)
        if state.progress.images == 0:
            self._board.begin(self._cfg, self.choices)
        self.receipt.begin({**facts, "choices": dict(self.choices)})

    def bar(self, total: int, done: int) -> "tqdm[Any]":
        """A progress bar in images; none where nobody looks at a terminal."""
        return tqdm(total=total, initial=done, unit=" images", unit_scale=True, disable=None, leave=False)

    def say(self, line: str) -> None:
        """To the terminal and to train.log."""
        self._log.info(line)

    def note(self, line: str) -> None:
        """To train.log, and to the terminal unless a progress bar is there instead."""
        self._log.log(logging.DEBUG if sys.stderr.isatty() else logging.INFO, line)

    def epoch(self, number: int, scalars: dict[str, float], grid: Image.Image, state: State) -> None:
        """An epoch's end: its numbers, its grid and the checkpoint."""
        assert self._board is not None, "begin() comes first"
        progress = state.progress
        record = {"epoch": number, "step": progress.step, "images": progress.images, **scalars}
        with (self.folder / "metrics.jsonl").open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(record) + "\n")
        save_png(grid, self.folder / "samples" / f"epoch_{number:04d}.png")
        self._board.write(scalars, grid, progress.images)
        state.save(self.last)

    def __enter__(self) -> "Run":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        status = _status(kind)
        if self._board is not None:  # what ends before begin() leaves the receipt as it was
            self.receipt.end(status, self._state.progress)
            if status == "finished":
                self._board.finish()
            self._board.close()
        if status == "interrupted":
            kept = self.last.is_file()
            self.say(
                f"interrupted{f': resume={self.folder} goes on' if kept else ' before its first checkpoint'}"
            )
        elif error is not None:
            self._log.debug("%s: %s", status, error, exc_info=not isinstance(error, UserError))
        for handler in list(self._log.handlers):
            self._log.removeHandler(handler)
            handler.close()
        self._lock.release()

    def _claim(self) -> None:
        """Makes sure that the folder is new or the same run's. Raises UserError."""
        file = self.folder / "config.yaml"
        if not file.is_file():
            if self._cfg.resume is not None:
                raise UserError(f"{self.folder} is not a run: it has no config.yaml")
            self._write_config()
        stored = OmegaConf.load(file)
        for key in sorted({*self._cfg, *stored} - set(RESUMABLE)):
            if OmegaConf.select(stored, key) != OmegaConf.select(self._cfg, key):
                raise UserError(f"{self.folder} holds another run ({key} differs): choose another name=...")

    def _write_config(self) -> None:
        kept = OmegaConf.merge(self._cfg, {"resume": None, "trust": False})
        with replacing(self.folder / "config.yaml") as beside:
            beside.write_text(OmegaConf.to_yaml(kept), encoding="utf-8")

    def _keep_metrics(self, images: int) -> None:
        """Drops the lines of epochs that the checkpoint does not know: they are about to come again."""
        file = self.folder / "metrics.jsonl"
        if file.is_file():
            lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
            kept = "".join(f"{line}\n" for line in lines if 0 < _images_of(line) <= images)
            with replacing(file) as beside:
                beside.write_text(kept, encoding="utf-8")


def _images_of(line: str) -> int:
    """The images of a line of metrics; 0 if a process was killed while it wrote it."""
    try:
        return int(json.loads(line)["images"])
    except (ValueError, KeyError, TypeError):
        return 0


def _status(kind: type[BaseException] | None) -> Status:
    if kind is None:
        return "finished"
    if issubclass(kind, KeyboardInterrupt):
        return "interrupted"
    return "diverged" if issubclass(kind, Diverged) else "failed"


class _Terminal(logging.Handler):
    """Lines above a progress bar."""

    def emit(self, record: logging.LogRecord) -> None:
        with suppress(BrokenPipeError):  # whoever read our lines has gone; training goes on
            tqdm.write(self.format(record), file=sys.stdout)
            sys.stdout.flush()


def _logger(file: Path) -> logging.Logger:
    log = logging.getLogger(f"ganexp.run.{file.parent}")
    log.setLevel(logging.DEBUG)
    log.propagate = False
    terminal, kept = _Terminal(logging.INFO), logging.FileHandler(file, encoding="utf-8")
    kept.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%Y-%m-%d %H:%M:%S"))
    log.addHandler(terminal)
    log.addHandler(kept)
    return log
