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
from ganexp.system.terminal import plural

POLL_INTERVAL = 0.5  # seconds between polls of the processes
_LOCK_TIMEOUT = 60.0  # seconds to wait for a run folder that an earlier process still has locked


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
    popen: "subprocess.Popen[bytes]"

    def stop(self, number: int = signal.SIGTERM) -> None:
        """Sends a signal, on which the run saves and ends."""
        if self.popen.poll() is None:
            self.popen.send_signal(number)

    def failure_reason(self) -> str:
        """Why it failed: the last line of its log."""
        lines = self.job.log.read_text(encoding="utf-8", errors="replace").splitlines()
        return lines[-1].removeprefix("ganexp: ") if lines else f"exit status {self.popen.returncode}"


class Slots:
    """At most ``count`` processes at a time."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.running: dict[int, Process] = {}

    @property
    def free(self) -> bool:
        """Whether a slot is free, so that another job can be started."""
        return len(self.running) < self.count

    def start(self, job: Job) -> Process:
        """Starts a job in the first free slot."""
        slot = min(set(range(self.count)) - set(self.running))
        self.running[slot] = process = Process(job, slot, _start(job, slot_environment(slot, self.count)))
        return process

    def pop_ended(self) -> list[Process]:
        """Removes and returns the processes that have ended since the last call; their slots are free again."""
        ended = [process for process in self.running.values() if process.popen.poll() is not None]
        for process in ended:
            assert process.popen.stdin is not None
            process.popen.stdin.close()
            del self.running[process.slot]
        return ended

    def stop(self, number: int = signal.SIGTERM) -> None:
        """Sends a signal to all processes."""
        for process in self.running.values():
            process.stop(number)


def run_jobs(jobs: Sequence[Job], count: int) -> None:
    """Runs every job, ``count`` at a time, and returns when all have ended, successfully or not.

    Raises Stopped on a signal, after the active runs have saved.
    """
    waiting, slots = deque(jobs), Slots(count)
    with SignalHandler() as signals, tqdm(total=len(jobs), unit=" runs", disable=None, leave=False) as bar:
        forwarded = False
        try:
            while waiting or slots.running:
                while waiting and slots.free and signals.pending is None:
                    process = slots.start(waiting.popleft())
                    line = f"{process.job.folder.name}: started in slot {process.slot + 1} of {count}"
                    tqdm.write(readable(f"{line}; output in {process.job.log}"))
                time.sleep(POLL_INTERVAL)
                for process in slots.pop_ended():
                    _print_end(process)
                if signals.pending is not None:
                    waiting.clear()
                    if not forwarded:
                        slots.stop(signals.pending)
                    forwarded = True
                update_bar(bar, len(jobs) - len(waiting) - len(slots.running), slots)
        except BaseException:
            slots.stop()  # a second signal: stop without waiting
            raise
        signals.raise_if_pending()


def config_flags() -> list[str]:
    """This command's flags for Hydra's search path, which every run that it starts gets too."""
    flags, arguments = [], sys.argv[1:]
    for flag, value in zip(arguments, [*arguments, ""][1:], strict=True):
        if flag in ("--config-dir", "-cd"):
            flags += [flag, value]
        elif flag.startswith(("--config-dir=", "hydra.searchpath=")):
            flags.append(flag)
    return flags


def _start(job: Job, environment: dict[str, str]) -> "subprocess.Popen[bytes]":
    deadline = time.monotonic() + _LOCK_TIMEOUT
    while is_held(job.folder) and time.monotonic() < deadline:
        time.sleep(POLL_INTERVAL)
    job.log.parent.mkdir(parents=True, exist_ok=True)
    check_regular(job.log)
    with job.log.open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "ganexp", "train", *job.arguments],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=torchrun.environment_without_torchrun()
            | environment
            | {EXIT_WITH_PARENT: "1", "PYTHONUNBUFFERED": "1"},
            start_new_session=True,  # Ctrl-C reaches it only through this process, so once
        )


def slot_environment(slot: int, slots: int) -> dict[str, str]:
    """The environment that limits a slot to its GPUs and cores; a user's OMP_NUM_THREADS stays."""
    gpus = _gpus()
    devices = gpus[slot::slots] or gpus[slot % len(gpus) :][:1] if gpus else []
    visible = {"CUDA_VISIBLE_DEVICES": ",".join(devices)} if devices else {}
    threads = {} if "OMP_NUM_THREADS" in os.environ else {"OMP_NUM_THREADS": str(max(1, cpu_count() // slots))}
    return visible | threads


def _gpus() -> list[str]:
    """The NVIDIA GPUs in CUDA_VISIBLE_DEVICES, or all that the driver lists; found without torch."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return [name.strip() for name in visible.split(",") if name.strip() not in ("", "-1")]
    cards = Path("/proc/driver/nvidia/gpus")
    return [str(number) for number, _ in enumerate(cards.iterdir())] if cards.is_dir() else []


def _print_end(process: Process) -> None:
    record = SavedRun(process.job.folder)
    if process.popen.returncode == 0:
        tqdm.write(readable(f"{process.job.folder.name}: {record.status}, {plural(record.images, 'image')}"))
        return
    with tqdm.external_write_mode():
        print_to_stderr(f"{process.job.folder.name} did not finish: {process.failure_reason()}")


def update_bar(bar: "tqdm[Any]", ended: int, slots: Slots) -> None:
    """Updates one progress bar: ended runs plus the fractions of the active ones."""
    if bar.disable:
        return
    fractions = [_progress(process.job.folder) for process in slots.running.values()]
    bar.n = round(ended + sum(fractions), 2)
    bar.set_postfix_str(", ".join(f"{fraction:.0%}" for fraction in fractions))


def _progress(folder: Path) -> float:
    """The fraction of a run that is done, in [0, 1], up to its last recorded epoch."""
    record = SavedRun(folder)
    steps = record.manifest.get("steps")
    if not record.last_rows or not isinstance(steps, int) or not steps:
        return 0.0
    return min(1.0, float(record.last_rows[-1].get("step", 0)) / steps)
