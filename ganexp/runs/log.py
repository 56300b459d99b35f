"""What a run says and counts: ``train.log`` and the terminal, the progress bar, ``metrics.jsonl``."""

import json
import logging
import math
import shutil
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from tqdm import tqdm

from ganexp.errors import readable_lines
from ganexp.system.atomic import check_regular, replacing, unshare


class RunLog:
    """The lines of one run."""

    def __init__(self, folder: Path) -> None:
        self.metrics = folder / "metrics.jsonl"
        self._log = _logger(folder / "train.log")
        self._bar: tqdm[Any] | None = None

    def info(self, line: str) -> None:
        """To the terminal and to train.log."""
        self._log.info(readable_lines(line))

    def debug(self, line: str) -> None:
        """To train.log, and to the terminal unless a progress bar is there instead."""
        self._log.log(logging.DEBUG if sys.stderr.isatty() else logging.INFO, readable_lines(line))

    def trace(self, status: str, error: BaseException, *, whole: bool) -> None:
        """To train.log alone: what ended the run, with its traceback if ``whole``."""
        self._log.debug("%s: %s", status, readable_lines(str(error)), exc_info=error if whole else None)

    def bar(self, epoch: int, total: int, done: int) -> None:
        """Shows a progress bar in images, where somebody looks at a terminal; or sets it."""
        if self._bar is None:
            self._bar = tqdm(
                total=total, initial=done, unit=" images", unit_scale=True, disable=None, leave=False
            )
        self._bar.set_description(f"epoch {epoch}")
        if self._bar.n != done:
            self._bar.n = done
            self._bar.refresh()

    def advance(self, images: int) -> None:
        """Moves the progress bar on."""
        if self._bar is not None:
            self._bar.update(images)

    def record(self, row: dict[str, Any]) -> None:
        """A line of metrics; what is not finite is null, which is all that JSON has for it. Raises OSError."""
        check_regular(self.metrics)
        with self.metrics.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(finite(row), allow_nan=False) + "\n")

    def truncate(self, images: int) -> None:
        """Drops the lines of metrics that the checkpoint at ``images`` does not know: they come again."""
        if self.metrics.is_file():
            lines = self.metrics.read_text(encoding="utf-8", errors="replace").splitlines()
            seen = [_images_of(line) for line in lines]
            damaged = sum(count <= 0 for count in seen[:-1])  # the last may be half a line
            if damaged:
                copy = self.metrics.with_name("metrics.damaged.jsonl")
                shutil.copyfile(self.metrics, copy)
                self.info(f"warning: {damaged} lines of {self.metrics} cannot be read; {copy.name} has them")
            kept = "".join(f"{line}\n" for line, count in zip(lines, seen, strict=True) if 0 < count <= images)
            with replacing(self.metrics, self.metrics.parent) as beside:
                beside.write_text(kept, encoding="utf-8")

    def close(self) -> None:
        """Takes the bar away and closes the log."""
        if self._bar is not None:
            self._bar.close()
        for handler in list(self._log.handlers):
            self._log.removeHandler(handler)
            with suppress(OSError):
                handler.close()


def finite(numbers: Mapping[str, float]) -> dict[str, float | None]:
    """PrecisionName as JSON can hold them: what is infinite, as the reverse KL where no mode is met, is
    None.
    """
    return {name: value if math.isfinite(value) else None for name, value in numbers.items()}


def _images_of(line: str) -> int:
    """The images of a line of metrics; 0 if a process was killed while it wrote it."""
    try:
        return int(json.loads(line)["images"])
    except (ValueError, KeyError, TypeError, OverflowError):
        return 0


class _Terminal(logging.Handler):
    """Lines above a progress bar."""

    def emit(self, record: logging.LogRecord) -> None:
        with suppress(BrokenPipeError):  # whoever read our lines has gone; training goes on
            tqdm.write(self.format(record), file=sys.stdout)
            sys.stdout.flush()


class _File(logging.FileHandler):
    """Lines kept; where the disk is full, they are only seen."""

    def handleError(self, record: logging.LogRecord) -> None:
        pass


def _logger(file: Path) -> logging.Logger:
    log = logging.getLogger(f"ganexp.runs.run_folder.{file.parent}")
    log.setLevel(logging.DEBUG)
    log.propagate = False
    unshare(file)
    terminal, kept = _Terminal(logging.INFO), _File(file, encoding="utf-8")
    kept.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%Y-%m-%d %H:%M:%S"))
    log.addHandler(terminal)
    log.addHandler(kept)
    return log
