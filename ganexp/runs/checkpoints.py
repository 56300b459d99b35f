"""``checkpoints/``: the newest checkpoint, some older ones, and a thread that writes them.

    last.pt                             the newest
    best.pt                             the one with the best score, where the run is evaluated
    step_00000812_epoch_0014.pt         an older one, from an epoch's end
    step_00000850.pt                    an older one, from within an epoch

A new checkpoint is written to a temporary file and synced; then the old ``last.pt`` is renamed to its step, and
the temporary file to ``last.pt``. Whenever the process dies, at least one complete checkpoint exists.
"""

import re
import shutil
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from ganexp.errors import UserError, print_to_stderr
from ganexp.system.atomic import replacing
from ganexp.system.tensor_file import Damaged, read, save_tensors

_STEP_NAME = re.compile(r"step_(\d{8,})(_epoch_\d{4,})?\.pt")


class LoadedCheckpoint(NamedTuple):
    """A checkpoint, and a line for each newer one that was skipped because it is damaged."""

    content: dict[str, Any]
    file: Path
    skipped: list[str]


class CheckpointManager:
    """The checkpoints of a run. ``keep``: how many are kept, None for all; ``warn``: logs a warning."""

    def __init__(self, folder: Path, keep: int | None, warn: Callable[[str], None]) -> None:
        self.folder = folder
        self.last = folder / "last.pt"
        self.saved = 0
        """The image count of the newest checkpoint on the disk."""
        self.write_began = time.monotonic()
        """The monotonic time at which writing the newest checkpoint began, in seconds."""
        self._keep = keep
        self._warn = warn
        self._thread: threading.Thread | None = None
        self._images_in_write = 0  # images
        self._error: Exception | None = None
        self._writes_best = False
        self.lost_best = False
        """Whether the checkpoint with the best score so far is missing on the disk."""
        self._name: str | None = None  # the step name of last.pt; None until it is read or written

    def save(self, content: dict[str, Any], epoch: int | None, *, best: bool = False) -> None:
        """Starts to write a snapshot from the end of a healthy ``epoch``, or from elsewhere (None).

        ``best``: also as ``best.pt``. First waits for the previous write, so that at most one snapshot is in
        memory.
        """
        self.wait()
        self._images_in_write, self.write_began = content["progress"]["images"], time.monotonic()
        self._writes_best = best
        self.lost_best = self.lost_best and not best
        name = f"step_{content['progress']['step']:08d}" + ("" if epoch is None else f"_epoch_{epoch:04d}")
        self._thread = threading.Thread(target=self._write, args=({"name": name, **content}, best), daemon=True)
        self._thread.start()

    def wait(self) -> None:
        """Waits for the current write.

        Logs a warning where it failed with an OSError, which leaves the older checkpoints; raises any other
        error.
        """
        if self._thread is None:
            return
        self._thread.join()
        self._thread = None
        error, self._error = self._error, None
        if error is None:
            self.saved = self._images_in_write
        elif not isinstance(error, OSError):
            raise error
        else:
            self.lost_best = self.lost_best or self._writes_best
            stays = f"the one at {self.saved:,} stays" if self.saved else "there is none yet"
            reason, images = error.strerror or error, self._images_in_write
            self._warn(f"warning: no checkpoint at {images:,} images: {reason}; {stays}")

    def latest(self) -> LoadedCheckpoint | None:
        """The newest usable checkpoint; None if there is none. Raises UserError if all are damaged."""
        found = latest(self.folder)
        if found is not None:
            self.saved = found.content["progress"]["images"]
            self._name = found.content["name"] if found.file == self.last else None
        return found

    def rollback(self) -> LoadedCheckpoint | None:
        """Makes the newest checkpoint from an epoch's end ``last.pt``, removes later ones, and returns it."""
        found = latest(self.folder, whole_epoch=True)
        if found is None:
            return None
        step = found.content["progress"]["step"]
        for file in older_checkpoints(self.folder):
            if _step(file) > step:
                file.unlink()
        if found.file != self.last:
            found.file.replace(self.last)
        self._forget_best(step)
        self.saved, self._name = found.content["progress"]["images"], found.content["name"]
        return found

    def _forget_best(self, step: int) -> None:
        """Removes ``best.pt`` if it is damaged or from after ``step``, which a rollback has discarded."""
        best = self.folder / "best.pt"
        with suppress(Damaged):
            if best.is_file() and _read_valid(best)["progress"]["step"] <= step:
                return
        best.unlink(missing_ok=True)
        self.lost_best = True

    def clean(self) -> None:
        """Removes the temporary files of a killed process."""
        for temporary in self.folder.glob("*.tmp"):
            temporary.unlink(missing_ok=True)

    def _write(self, content: dict[str, Any], best: bool) -> None:
        try:
            with replacing(self.last, self.folder.parent) as temporary:
                save_tensors(content, temporary)
                if best:  # before last.pt, which has the best score: best.pt must exist by then
                    with replacing(self.folder / "best.pt", self.folder.parent) as copy:
                        shutil.copyfile(temporary, copy)
                if self._name is not None and self._name != content["name"] and self.last.is_file():
                    self.last.replace(self.folder / f"{self._name}.pt")
            self._name = content["name"]
            self._prune()
        except Exception as error:  # wait() handles it, in the thread that trains
            self._error = error

    def _prune(self) -> None:
        if self._keep is None:
            return
        older = older_checkpoints(self.folder)
        kept = set(older[: self._keep - 1])
        if "_epoch_" not in str(self._name):  # a rollback needs a checkpoint from an epoch's end
            kept |= set([file for file in older if "_epoch_" in file.name][:1])
        for file in older:
            if file not in kept:
                file.unlink(missing_ok=True)


def _read_valid(file: Path) -> dict[str, Any]:
    """The content of a checkpoint, with valid name and progress. Raises Damaged."""
    content = read(file)
    name, progress = content.get("name"), content.get("progress")
    counts = (
        [progress.get(key) for key in ("step", "images", "rollbacks")] if isinstance(progress, dict) else [-1]
    )
    if not isinstance(name, str) or not _STEP_NAME.fullmatch(f"{name}.pt"):
        raise Damaged(f"{file} is damaged: it does not know its own name")
    if not all(type(count) is int and count >= 0 for count in counts):
        raise Damaged(f"{file} is damaged: it does not say how far it is")
    return content


def older_checkpoints(folder: Path) -> list[Path]:
    """The checkpoints older than ``last.pt``, newest first."""
    return sorted(
        (file for file in folder.glob("*.pt") if _STEP_NAME.fullmatch(file.name)), key=_step, reverse=True
    )


def _step(file: Path) -> int:
    match = _STEP_NAME.fullmatch(file.name)
    return int(match[1]) if match else -1


def latest(folder: Path, *, whole_epoch: bool = False) -> LoadedCheckpoint | None:
    """See ``CheckpointManager.latest``; with ``whole_epoch`` only those from an epoch's end count."""
    damaged: list[str] = []
    for file in [folder / "last.pt", *older_checkpoints(folder)]:
        if not file.is_file():
            continue
        try:
            content = _read_valid(file)
        except Damaged as error:
            damaged.append(str(error))
            continue
        if not whole_epoch or "_epoch_" in content["name"]:
            return LoadedCheckpoint(content, file, damaged)
    if damaged:
        raise UserError("; ".join(damaged) + "; no older one can be used")
    return None


def resolve_checkpoint(folder: Path, checkpoint: str) -> LoadedCheckpoint:
    """The checkpoint that ``best``, ``last`` or a file names, in ``folder`` (``checkpoints/`` of a run).

    ``best`` falls back to ``last`` in a run without ``best.pt``. Prints a line for each newer, damaged
    checkpoint. Raises UserError where there is none.
    """
    if checkpoint == "best" and (folder / "best.pt").is_file():
        return LoadedCheckpoint(_read_valid(folder / "best.pt"), folder / "best.pt", [])
    if checkpoint in ("best", "last"):
        found = latest(folder)
        if found is None:
            raise UserError(f"{folder.parent} has no checkpoint yet: the run was stopped before its first one")
        for line in found.skipped:
            print_to_stderr(f"{line}; taking {found.file.name}")
        return found
    named = [file for file in (Path(checkpoint).expanduser(), folder / checkpoint) if file.is_file()]
    if not named:
        raise UserError(f"checkpoint={checkpoint}: should be best, last or a file of {folder}")
    return LoadedCheckpoint(_read_valid(named[0]), named[0], [])
