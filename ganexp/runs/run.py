"""Rank 0's run: what it decides in the collective calls of a run, and what it writes then."""

import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig

from ganexp.config.exported_files import GENERATOR
from ganexp.errors import Diverged, UserError
from ganexp.runs.collective_run import CollectiveRun, SaveDecision
from ganexp.runs.run_folder import RunFolder

if TYPE_CHECKING:  # runs must not import training: it would import the games
    from ganexp.training.state import State


class Run(RunFolder, CollectiveRun):
    """The run of rank 0, in a folder that is open while the run is used as a context manager."""

    def __init__(self, folder: Path, cfg: DictConfig, choices: Mapping[str, str]) -> None:
        CollectiveRun.__init__(self)
        RunFolder.__init__(self, folder, cfg, choices)
        minutes = cfg.checkpoint.every.minutes
        self._save_seconds = math.inf if minutes is None else 60 * minutes
        self._skipped: list[str] = []  # lines on damaged checkpoints, not logged yet

    def _newest_content(self, load_start: Callable[[], str]) -> dict[str, Any] | None:
        found = self._checkpoints.latest()
        if found is not None:
            self._skipped = [f"{line}; taking {found.file.name}" for line in found.skipped]
            return found.content
        if (self.folder / GENERATOR).is_file():
            raise UserError(f"{self.folder} has the generator alone: training cannot go on from it")
        saved = self.manifest.content.get("saved", 0)
        if saved:
            raise UserError(
                f"{self.folder} has no checkpoint, but run.json records one at {saved:,} images: put it "
                "back, or remove the folder to begin anew"
            )
        if self._cfg.start_from is not None:
            self.log.info(load_start())
        return None

    def _restore_content(self, state: "State", content: dict[str, Any] | None) -> None:
        if content is None:
            return
        state.restore(content)
        for line in self._skipped:
            self.log.info(f"{line}, {state.progress.images:,} images")
        self._skipped = []

    def _wants_to_save(self) -> bool:
        """Whether a signal came, or ``checkpoint.every.minutes`` are over."""
        signalled = self.signals.pending is not None
        return signalled or time.monotonic() - self._checkpoints.write_began >= self._save_seconds

    def _decide_save(self, state: "State", epoch: int | None, *, last: bool, best: bool) -> SaveDecision:
        self._check_folder()
        self._checkpoints.wait()
        every, signalled = self._cfg.checkpoint.every.epochs, self.signals.pending is not None
        writes = epoch is None or last or best or signalled or (every is not None and epoch % every == 0)
        return SaveDecision(writes, stops=signalled and not last)

    def _write(self, state: "State", others: list[dict[str, Any]], epoch: int | None, *, best: bool) -> None:
        self._others = others
        self._checkpoints.save(state.snapshot(others), epoch if state.sentinel.healthy else None, best=best)

    def _stop(self) -> None:
        self._checkpoints.wait()
        self.signals.raise_if_pending()

    def _rollback_content(self, done: int) -> dict[str, Any] | None:
        self._checkpoints.wait()
        limits = self._cfg.sentinel
        wanted = limits.action == "rollback" and done < limits.rollbacks
        found = self._checkpoints.rollback() if wanted else None
        return None if found is None else found.content

    def _no_rollback_left(self, diverged: Diverged, done: int) -> Diverged:
        wanted = self._cfg.sentinel.action == "rollback"
        return Diverged(f"{diverged} (after {done} rollbacks)") if wanted else diverged

    def _after_rollback(self, state: "State", diverged: Diverged) -> None:
        done, images, limits = state.progress.rollbacks, state.progress.images, self._cfg.sentinel
        self._records.open(images, self._cfg, self.choices)
        line = (
            f"rollback {done} of {limits.rollbacks}: back to {images:,} images, with every learning rate "
            f"times {limits.rate**done:.3g}"
        )
        self.log.info(f"{diverged}; {line}")
        self._records.text("sentinel", f"{diverged}; {line}", images + 1)
