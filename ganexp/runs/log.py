"""The log of a run: ``train.log`` and the terminal, progress, ``metrics.jsonl``."""

import json
import logging
import math
import shutil
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from tqdm import tqdm

from ganexp.errors import readable_lines
from ganexp.runs.progress import ProgressLines
from ganexp.system.atomic import check_regular, replacing, unshare


class RunLog:
    """The log, progress bar and metrics of one run."""

    def __init__(self, folder: Path) -> None:
        self.metrics = folder / "metrics.jsonl"
        self._log = _logger(folder / "train.log")
        self._bar: tqdm[Any] | None = None
        self._progress: ProgressLines | None = None

    def info(self, line: str | Sequence[str]) -> None:
        """Logs a line, or each of several, to the terminal and train.log."""
        for one in [line] if isinstance(line, str) else line:
            self._log.info(readable_lines(one))

    def debug(self, line: str) -> None:
        """Logs a line to train.log, and to the terminal where it shows no progress bar."""
        self._log.log(logging.DEBUG if sys.stderr.isatty() else logging.INFO, readable_lines(line))

    def log_error(self, status: str, error: BaseException, *, whole: bool) -> None:
        """Logs the error that ended the run to train.log only, with its traceback if ``whole``."""
        self._log.debug("%s: %s", status, readable_lines(str(error)), exc_info=error if whole else None)

    def bar(self, epoch: int, total: int, done: int) -> None:
        """Creates or sets the progress bar, in images; where stderr is no terminal, lines take its place."""
        if self._bar is None or self._progress is None:
            self._progress = ProgressLines(total, done)
            self._bar = tqdm(
                total=total, initial=done, unit=" images", unit_scale=True, disable=None, leave=False
            )
        self._progress.begin_epoch(epoch, done)
        self._bar.set_description(f"epoch {epoch}")
        if self._bar.n != done:
            self._bar.n = done
            self._bar.refresh()

    def advance(self, images: int) -> None:
        """Advances the progress bar, and logs how far the run is where the last such line is old."""
        if self._bar is not None and self._progress is not None:
            self._bar.update(images)
            line = self._progress.advance(images)
            if line is not None:
                self.debug(line)

    def record(self, row: dict[str, Any]) -> None:
        """Appends a line to metrics.jsonl; non-finite numbers, which JSON lacks, are null. Raises OSError."""
        check_regular(self.metrics)
        with self.metrics.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(finite(row), allow_nan=False) + "\n")

    def truncate(self, images: int) -> None:
        """Drops the lines of metrics.jsonl after the checkpoint at ``images``: the run writes them again."""
        if self.metrics.is_file():
            lines = self.metrics.read_text(encoding="utf-8", errors="replace").splitlines()
            image_counts = [_images_of(line) for line in lines]
            damaged_lines = sum(
                count <= 0 for count in image_counts[:-1]
            )  # a killed process may leave half a last line
            if damaged_lines:
                copy = self.metrics.with_name("metrics.damaged.jsonl")
                shutil.copyfile(self.metrics, copy)
                self.info(
                    f"warning: {damaged_lines} lines of {self.metrics} cannot be read; {copy.name} has them"
                )
            kept_lines = "".join(
                f"{line}\n" for line, count in zip(lines, image_counts, strict=True) if 0 < count <= images
            )
            with replacing(self.metrics, self.metrics.parent) as beside:
                beside.write_text(kept_lines, encoding="utf-8")

    def close(self) -> None:
        """Closes the progress bar and the log."""
        if self._bar is not None:
            self._bar.close()
        for handler in list(self._log.handlers):
            self._log.removeHandler(handler)
            with suppress(OSError):
                handler.close()


def finite(numbers: Mapping[str, float]) -> dict[str, float | None]:
    """Numbers for JSON: non-finite ones, such as the reverse KL where no mode is hit, become None."""
    return {name: value if math.isfinite(value) else None for name, value in numbers.items()}


def _images_of(line: str) -> int:
    """The image count of a line of metrics.jsonl; 0 if the line is damaged."""
    try:
        return int(json.loads(line)["images"])
    except (ValueError, KeyError, TypeError, OverflowError):
        return 0


class _Terminal(logging.Handler):
    """Prints lines above the progress bar."""

    def emit(self, record: logging.LogRecord) -> None:
        with suppress(BrokenPipeError):  # training goes on after the reader of stdout has exited
            tqdm.write(self.format(record), file=sys.stdout)
            sys.stdout.flush()


class _File(logging.FileHandler):
    """Writes train.log; ignores errors such as a full disk, as the terminal shows the lines too."""

    def handleError(self, record: logging.LogRecord) -> None:
        pass


def _logger(file: Path) -> logging.Logger:
    log = logging.getLogger(f"ganexp.runs.log.{file.parent}")
    log.setLevel(logging.DEBUG)
    log.propagate = False
    unshare(file)
    terminal, file_handler = _Terminal(logging.INFO), _File(file, encoding="utf-8")
    file_handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%Y-%m-%d %H:%M:%S"))
    log.addHandler(terminal)
    log.addHandler(file_handler)
    return log
