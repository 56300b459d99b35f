"""Several runs at a time on one machine: a process each, and a slot each with its share of it.

A slot has a GPU of its own where there are any, and an equal share of the cores otherwise. Signals are passed
on to every process, which saves and stops; a run whose parent was killed does the same (``lifeline.py``).
"""

import os
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from ganexp.archive import Record
from ganexp.claim import is_held
from ganexp.errors import tell
from ganexp.lifeline import VARIABLE
from ganexp.signals import Requests

_GLANCE = 0.5  # seconds between looks at the processes
_PATIENCE = 60.0  # seconds for a run that an earlier, dying process still holds


@dataclass(frozen=True)
class Job:
    """A run to start: the arguments of ``ganexp train``, and where it will lie."""

    arguments: Sequence[str]
    folder: Path

    @property
    def log(self) -> Path:
        """Everything that its process prints."""
        return self.folder.with_name(f"{self.folder.name}.log")


@dataclass
class _Work:
    """A job under way in a slot."""

    job: Job
    process: "subprocess.Popen[bytes]"


def run_all(jobs: Sequence[Job], slots: int) -> None:
    """Runs every job, ``slots`` at a time, and returns when all have ended, however they did.

    Raises Stopped, after the runs under way have saved, if a signal came.
    """
    waiting, working = deque(jobs), dict[int, _Work]()
    with Requests() as requests, tqdm(total=len(jobs), unit=" runs", disable=None, leave=False) as bar:
        told = False
        try:
            while waiting or working:
                for slot in range(slots):
                    if slot not in working and waiting and requests.pending is None:
                        working[slot] = _start(waiting.popleft(), slot, slots)
                time.sleep(_GLANCE)
                for slot in [slot for slot, work in working.items() if work.process.poll() is not None]:
                    _ended(working.pop(slot))
                if requests.pending is not None:
                    waiting.clear()
                    if not told:
                        _pass_on(working, requests.pending)
                    told = True
                _show(bar, len(jobs) - len(waiting) - len(working), working)
        except BaseException:
            _pass_on(working, signal.SIGTERM)  # a second signal: nothing is waited for
            raise
        requests.obey()


def _start(job: Job, slot: int, slots: int) -> _Work:
    deadline = time.monotonic() + _PATIENCE
    while is_held(job.folder) and time.monotonic() < deadline:
        time.sleep(_GLANCE)
    job.log.parent.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "ganexp", "train", *job.arguments]
    environment = os.environ | share(slot, slots) | {VARIABLE: "1", "PYTHONUNBUFFERED": "1"}
    with job.log.open("ab") as log:
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=environment,
            start_new_session=True,  # Ctrl-C reaches it once, through us
        )
    tqdm.write(f"{job.folder.name}: started in slot {slot + 1} of {slots}, it prints to {job.log}")
    return _Work(job, process)


def share(slot: int, slots: int) -> dict[str, str]:
    """The environment that gives a slot its part of the machine; what the user has set stays."""
    gpus = _gpus()
    if gpus:
        return {"CUDA_VISIBLE_DEVICES": gpus[slot % len(gpus)]}
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return {} if "OMP_NUM_THREADS" in os.environ else {"OMP_NUM_THREADS": str(max(1, cores // slots))}


def _gpus() -> list[str]:
    """NVIDIA's GPUs, found without loading torch: those that are visible, or all that the driver lists."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return [name.strip() for name in visible.split(",") if name.strip() not in ("", "-1")]
    cards = Path("/proc/driver/nvidia/gpus")
    return [str(number) for number, _ in enumerate(cards.iterdir())] if cards.is_dir() else []


def _pass_on(working: dict[int, _Work], number: int) -> None:
    for work in working.values():
        if work.process.poll() is None:
            work.process.send_signal(number)


def _ended(work: _Work) -> None:
    """Tells how a process ended; the last line that it printed says why, where it failed."""
    assert work.process.stdin is not None
    work.process.stdin.close()
    record = Record(work.job.folder)
    if work.process.returncode == 0:
        tqdm.write(f"{work.job.folder.name}: {record.status}, {record.images:,} images")
        return
    lines = work.job.log.read_text(encoding="utf-8", errors="replace").splitlines()
    last = lines[-1].removeprefix("ganexp: ") if lines else f"exit status {work.process.returncode}"
    with tqdm.external_write_mode():
        tell(f"{work.job.folder.name} ended: {last}")


def _show(bar: "tqdm[Any]", ended: int, working: dict[int, _Work]) -> None:
    """One display for all: whole runs and the parts of those under way."""
    if bar.disable:
        return
    parts = [_part(work.job.folder) for work in working.values()]
    bar.n = round(ended + sum(parts), 2)
    bar.set_postfix_str(", ".join(f"{part:.0%}" for part in parts))


def _part(folder: Path) -> float:
    """How much of a run is done, as far as its epochs' records tell."""
    record = Record(folder)
    steps = record.receipt.get("steps")
    if not record.rows or not isinstance(steps, int) or not steps:
        return 0.0
    return min(1.0, float(record.rows[-1].get("step", 0)) / steps)
