"""Writes the checkpoints of a run in a thread; ``stored_checkpoints.py`` reads them and lists their names.

A new checkpoint is written to a temporary file and synced; then the old ``last.pt`` is renamed to its step, and
the temporary file to ``last.pt``. Whenever the process dies, at least one complete checkpoint exists.
"""

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ganexp.runs.best_checkpoint import BestCheckpoint
from ganexp.runs.stored_checkpoints import (
    LoadedCheckpoint,
    is_from_epoch_end,
    latest,
    older_checkpoints,
    step_name,
    step_of,
)
from ganexp.system.atomic import replacing
from ganexp.system.tensor_file import save_tensors


class CheckpointManager:
    """The checkpoints of a run. ``keep``: how many are kept, None for all; ``warn``: logs a warning."""

    def __init__(self, folder: Path, keep: int | None, warn: Callable[[str], None]) -> None:
        self.folder = folder
        self.last = folder / "last.pt"
        self.best = BestCheckpoint(folder / "best.pt")
        self.saved = 0
        """The image count of the newest checkpoint on the disk."""
        self.write_began = time.monotonic()
        """The monotonic time at which writing the newest checkpoint began, in seconds."""
        self._keep = keep
        self._warn = warn
        self._thread: threading.Thread | None = None
        self._progress: dict[str, Any] = {}  # of the checkpoint in the current write
        self._writes_best = False
        self._error: Exception | None = None
        self._name: str | None = None  # the step name of last.pt; None until it is read or written

    def save(self, content: dict[str, Any], epoch: int | None, *, best: bool = False) -> None:
        """Starts to write a snapshot from the end of a healthy ``epoch``, or from elsewhere (None).

        ``best``: also as ``best.pt``. First waits for the previous write, so that at most one snapshot is in
        memory.
        """
        self.wait()
        self.write_began = time.monotonic()
        self._writes_best = best
        self._progress = progress = content["progress"] | {"best": self.best.value}
        content = {"name": step_name(progress["step"], epoch), **content, "progress": progress}
        self._thread = threading.Thread(target=self._write, args=(content, best), daemon=True)
        self._thread.start()

    def wait(self) -> None:
        """Waits for the current write.

        Logs a warning where it failed with an OSError, which leaves the older checkpoints; raises any other
        error.
        """
        if self._thread is None:
            return
        self._thread.join()
        progress, error = self._progress, self._error
        self._thread, self._error = None, None
        if error is None:
            self.saved = progress["images"]
            return
        if not isinstance(error, OSError):
            raise error
        if self._writes_best:
            self.best.write_failed(progress["best"])
        older = f"the one at {self.saved:,} stays" if self.saved else "there is none yet"
        reason = error.strerror or error
        self._warn(f"warning: no checkpoint at {progress['images']:,} images: {reason}; {older}")

    def latest(self) -> LoadedCheckpoint | None:
        """The newest usable checkpoint; None if there is none. Raises UserError if all are damaged."""
        found = latest(self.folder)
        if found is not None:
            self._continue_from(found, found.content["name"] if found.file == self.last else None)
        return found

    def rollback(self) -> LoadedCheckpoint | None:
        """Makes the newest checkpoint from an epoch's end ``last.pt``, removes later ones, and returns it."""
        found = latest(self.folder, whole_epoch=True)
        if found is None:
            return None
        step = found.content["progress"]["step"]
        for file in older_checkpoints(self.folder):
            if step_of(file) > step:
                file.unlink()
        if found.file != self.last:
            found.file.replace(self.last)
        self.best.discard_after(step)
        self._continue_from(found, found.content["name"])
        return found

    def _continue_from(self, found: LoadedCheckpoint, name: str | None) -> None:
        progress = found.content["progress"]
        self.saved, self._name = progress["images"], name
        self.best.restore(progress)

    def clean(self) -> None:
        """Removes the temporary files of a killed process."""
        for temporary in self.folder.glob("*.tmp"):
            temporary.unlink(missing_ok=True)

    def _write(self, content: dict[str, Any], best: bool) -> None:
        name = content["name"]
        try:
            with replacing(self.last, self.folder.parent) as temporary:
                save_tensors(content, temporary)
                if best:  # before last.pt, which has the best score: best.pt must exist by then
                    self.best.write(temporary)
                if self._name is not None and self._name != name and self.last.is_file():
                    self.last.replace(self.folder / f"{self._name}.pt")
            self._name = name
            self._prune()
        except Exception as error:  # wait() handles it, in the thread that trains
            self._error = error

    def _prune(self) -> None:
        if self._keep is None:
            return
        older = older_checkpoints(self.folder)
        kept = set(older[: self._keep - 1])
        if not is_from_epoch_end(str(self._name)):  # a rollback needs a checkpoint from an epoch's end
            kept |= set([file for file in older if is_from_epoch_end(file.name)][:1])
        for file in older:
            if file not in kept:
                file.unlink(missing_ok=True)
