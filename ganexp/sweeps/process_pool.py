"""Runs several jobs in parallel on one machine, each in a process and a slot of its own.

Each slot has its own GPUs where there are any, else an equal share of the cores. Signals are forwarded to every
process, which saves and stops; a run whose parent was killed does the same (``parent.py``).
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

from ganexp.distributed import torchrun
from ganexp.errors import print_to_stderr, readable
from ganexp.runs.lock import is_held
from ganexp.runs.saved_run import SavedRun
from ganexp.system.atomic import check_regular
from ganexp.system.cpus import cpu_count
from ganexp.system.parent import EXIT_WITH_PARENT
from ganexp.system.signals import SignalHandler

GLANCE = 0.5  # seconds between polls of the processes
_PATIENCE = 60.0  # seconds to wait for a run folder that an earlier process still has locked


@dataclass(frozen=True)
class Job:
    """A run to start: the arguments of ``ganexp train``, and its run folder."""

    arguments: Sequence[str]
    folder: Path

    @property
    def log(self) -> Path:
        """The file with the stdout and stderr of its process."""
        return self.folder.with_name(f"{self.folder.name}.log")


@dataclass
class Process:
    """A job that is running in a slot."""

    job: Job
    slot: int
    process: "subprocess.Popen[bytes]"

    def stop(self, number: int = signal.SIGTERM) -> None:
        """Sends a signal, on which the run saves and ends."""
        if self.process.poll() is None:
            self.process.send_signal(number)

    def reason(self) -> str:
        """Why it failed: the last line of its log."""
        lines = self.job.log.read_text(encoding="utf-8", errors="replace").splitlines()
        return lines[-1].removeprefix("ganexp: ") if lines else f"exit status {self.process.returncode}"


class Slots:
    """At most ``count`` processes at a time."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.working: dict[int, Process] = {}

    @property
    def free(self) -> bool:
        """Whether another job can be started."""
        return len(self.working) < self.count

    def start(self, job: Job) -> Process:
        """Starts a job in the first free slot."""
        slot = min(set(range(self.count)) - set(self.working))
        self.working[slot] = work = Process(job, slot, _start(job, share(slot, self.count)))
        return work

    def ended(self) -> list[Process]:
        """Removes and returns the processes that have ended since the last call; their slots are free again."""
        over = [work for work in self.working.values() if work.process.poll() is not None]
        for work in over:
            assert work.process.stdin is not None
            work.process.stdin.close()
            del self.working[work.slot]
        return over

    def stop(self, number: int = signal.SIGTERM) -> None:
        """Sends a signal to all processes."""
        for work in self.working.values():
            work.stop(number)


def run_all(jobs: Sequence[Job], count: int) -> None:
    """Runs every job, ``count`` at a time, and returns when all have ended, successfully or not.

    Raises Stopped on a signal, after the active runs have saved.
    """
    waiting, slots = deque(jobs), Slots(count)
    with SignalHandler() as requests, tqdm(total=len(jobs), unit=" runs", disable=None, leave=False) as bar:
        told = False
        try:
            while waiting or slots.working:
                while waiting and slots.free and requests.pending is None:
                    work = slots.start(waiting.popleft())
                    where = f"slot {work.slot + 1} of {count}, it prints to {work.job.log}"
                    tqdm.write(readable(f"{work.job.folder.name}: started in {where}"))
                time.sleep(GLANCE)
                for work in slots.ended():
                    _tell_end(work)
                if requests.pending is not None:
                    waiting.clear()
                    if not told:
                        slots.stop(requests.pending)
                    told = True
                show(bar, len(jobs) - len(waiting) - len(slots.working), slots)
        except BaseException:
            slots.stop()  # a second signal: stop without waiting
            raise
        requests.raise_if_pending()


def config_flags() -> list[str]:
    """The arguments of this command that say where configurations are found, for every run that it starts."""
    kept, arguments = [], sys.argv[1:]
    for flag, value in zip(arguments, [*arguments, ""][1:], strict=True):
        if flag in ("--config-dir", "-cd"):
            kept += [flag, value]
        elif flag.startswith(("--config-dir=", "hydra.searchpath=")):
            kept.append(flag)
    return kept


def _start(job: Job, part: dict[str, str]) -> "subprocess.Popen[bytes]":
    deadline = time.monotonic() + _PATIENCE
    while is_held(job.folder) and time.monotonic() < deadline:
        time.sleep(GLANCE)
    job.log.parent.mkdir(parents=True, exist_ok=True)
    check_regular(job.log)
    with job.log.open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "ganexp", "train", *job.arguments],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=torchrun.environment_without_torchrun()
            | part
            | {EXIT_WITH_PARENT: "1", "PYTHONUNBUFFERED": "1"},
            start_new_session=True,  # Ctrl-C reaches it only through this process, so once
        )


def share(slot: int, slots: int) -> dict[str, str]:
    """The environment that limits a slot to its GPUs and cores; a user's OMP_NUM_THREADS stays."""
    gpus = _gpus()
    part = gpus[slot::slots] or gpus[slot % len(gpus) :][:1] if gpus else []
    own = {"CUDA_VISIBLE_DEVICES": ",".join(part)} if part else {}
    threads = {} if "OMP_NUM_THREADS" in os.environ else {"OMP_NUM_THREADS": str(max(1, cpu_count() // slots))}
    return own | threads


def _gpus() -> list[str]:
    """The NVIDIA GPUs in CUDA_VISIBLE_DEVICES, or all that the driver lists; found without torch."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return [name.strip() for name in visible.split(",") if name.strip() not in ("", "-1")]
    cards = Path("/proc/driver/nvidia/gpus")
    return [str(number) for number, _ in enumerate(cards.iterdir())] if cards.is_dir() else []


def _tell_end(work: Process) -> None:
    record = SavedRun(work.job.folder)
    if work.process.returncode == 0:
        tqdm.write(readable(f"{work.job.folder.name}: {record.status}, {record.images:,} images"))
        return
    with tqdm.external_write_mode():
        print_to_stderr(f"{work.job.folder.name} ended: {work.reason()}")


def show(bar: "tqdm[Any]", ended: int, slots: Slots) -> None:
    """Updates one progress bar: ended runs plus the fractions of the active ones."""
    if bar.disable:
        return
    parts = [_part(work.job.folder) for work in slots.working.values()]
    bar.n = round(ended + sum(parts), 2)
    bar.set_postfix_str(", ".join(f"{part:.0%}" for part in parts))


def _part(folder: Path) -> float:
    """The fraction of a run that is done, in [0, 1], up to its last recorded epoch."""
    record = SavedRun(folder)
    steps = record.manifest.get("steps")
    if not record.last_rows or not isinstance(steps, int) or not steps:
        return 0.0
    return min(1.0, float(record.last_rows[-1].get("step", 0)) / steps)
