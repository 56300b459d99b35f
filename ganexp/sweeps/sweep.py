"""A sweep: which runs belong to it, which of them are done, and how each ended. Needs no torch.

Running the same command again finishes a sweep: finished runs are skipped, interrupted runs resume, missing
runs start. A file lock prevents two sweeps in one folder.
"""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from ganexp.config.resolvers import RESUMABLE
from ganexp.config.stored import load_config
from ganexp.errors import UserError
from ganexp.runs.lock import acquire_lock
from ganexp.runs.manifest import status_of
from ganexp.runs.saved_run import SavedRun
from ganexp.system.terminal import align_columns, plural

_LENGTH_KEYS = ("epochs", "max_steps")


class Sweep:
    """The runs of one sweep. Raises UserError where another process is sweeping in the same folder."""

    def __init__(self, folder: Path, runs: Sequence[tuple[Path, DictConfig]]) -> None:
        self.folder = folder
        self.runs = [run for run, _ in runs]
        self._done = sum(is_done(run, cfg) for run, cfg in runs)
        folder.mkdir(parents=True, exist_ok=True)
        busy = f"another process runs a sweep in {folder}: wait for its end, or choose another name=..."
        self._lock = acquire_lock(folder / ".sweep.lock", busy)

    def start_message(self) -> str:
        """One line: how many runs there are, how many are done, how to continue after an interruption."""
        done = f", {self._done} of them done already" if self._done else ""
        return (
            f"sweep {self.folder}: {plural(len(self.runs), 'run')}{done}; to continue after an interruption, "
            f"run the same command with name={self.folder.name}"
        )

    def add(self, run: Path) -> None:
        """Adds a run that was not known at the start, because another sweeper chose it later."""
        if run.absolute() not in [known.absolute() for known in self.runs]:
            self.runs.append(run)

    def close(self) -> int:
        """Releases the lock and prints a table of the runs; returns how many of them are not finished."""
        self._lock.release()
        records = [SavedRun(run) for run in self.runs]
        print(table(records))
        counts = Counter(_status(record) for record in records)
        counted = ", ".join(f"{count} {status}" for status, count in counts.most_common())
        print(f"{plural(len(records), 'run')}: {counted}")
        return len(records) - counts["finished"]


ACTIVE_SWEEPS: list[Sweep] = []
"""The sweep that this process runs; empty in a single run, never longer than one."""


def is_done(run: Path, cfg: DictConfig) -> bool:
    """Whether a run folder holds the result of exactly this configuration.

    A diverged run counts as done too: without a change it would diverge again.
    """
    status = status_of(run)
    if status not in ("finished", "diverged") or not (run / "checkpoints" / "last.pt").is_file():
        return False
    try:
        stored = load_config(run / "config.yaml")
    except UserError:
        return False  # the run reports the error when it starts
    ignored = (
        set(RESUMABLE) - set(_LENGTH_KEYS) if status == "finished" else {"name", "resume", "trust", "device"}
    )
    return all(
        OmegaConf.select(stored, str(key)) == OmegaConf.select(cfg, str(key))
        for key in {*stored, *cfg} - ignored
    )


def table(records: Sequence[SavedRun]) -> str:
    """One row per run: status, images seen, seconds, last score."""
    rows = [("run", "status", "images", "seconds", "score")]
    for record in records:
        seconds = record.manifest.get("seconds")
        rows.append(
            (
                record.folder.name,
                _status(record),
                f"{record.images:,}",
                f"{seconds:,.0f}" if isinstance(seconds, int | float) else "-",
                record.score or "-",
            )
        )
    return align_columns(rows, right=(2, 3))


def _status(record: SavedRun) -> str:
    return record.status if record.folder.is_dir() else "missing"
