"""Starts one worker process per further device of this machine, and connects to them.

They share a file store in a private folder, so nothing listens on any network but loopback. Workers exit with
rank 0 (``system/parent.py``), and rank 0 does not wait for one that died.
"""

import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import torch
from omegaconf import DictConfig
from torch.distributed import FileStore  # type: ignore[attr-defined]

from ganexp.distributed.collectives import COLLECTIVE_TIMEOUT, ProcessInfo, WorkerLost, process_group
from ganexp.distributed.training_store import TrainingStore
from ganexp.errors import print_to_stderr
from ganexp.system.parent import EXIT_WITH_PARENT

_POLL_SECONDS = 0.05
_EXIT_SECONDS = 5.0
"""How long a process whose collective failed waits for the worker that caused it to exit."""
_ABORT_SECONDS = 20.0
"""How long after a worker's death a collective of the broken group should have failed."""


@contextmanager
def local_group(cfg: DictConfig, world_size: int) -> Iterator[None]:
    """Rank 0: starts workers on this machine, is in a process group with them, and stops them."""
    threads = torch.get_num_threads()
    torch.set_num_threads(max(1, threads // world_size))
    with tempfile.TemporaryDirectory(prefix="ganexp-", ignore_cleanup_errors=True) as folder:
        store = FileStore(f"{folder}/store", world_size)
        store.set_timeout(COLLECTIVE_TIMEOUT)
        training = TrainingStore(store, 0)
        training.send(cfg)
        workers = LocalWorkers(Path(folder), world_size)
        try:
            workers.wait_until_ready(training)
            info = ProcessInfo(0, world_size, 0, world_size, workers.explain_failure)
            with process_group(info, training.group):
                yield
        finally:
            workers.stop()
            torch.set_num_threads(threads)


class LocalWorkers:
    """The workers that this process has started."""

    def __init__(self, folder: Path, world_size: int) -> None:
        self._folder = folder
        self._world_size = world_size
        self._stopping = threading.Event()
        self._processes = {rank: self._start(rank) for rank in range(1, world_size)}
        threading.Thread(target=self._exit_after_worker_death, name="workers", daemon=True).start()

    def wait_until_ready(self, training: TrainingStore) -> None:
        """Waits until all workers are ready. Raises WorkerLost if one dies before."""
        while not training.are_ready(self._processes):
            if (line := self._describe_dead_worker()) is not None:
                raise WorkerLost(line)
            time.sleep(_POLL_SECONDS)

    def explain_failure(self, error: str) -> str:
        """A line on the worker that died, with the last line of its output; waits a moment for its exit."""
        deadline = time.monotonic() + _EXIT_SECONDS
        while time.monotonic() < deadline:
            if (line := self._describe_dead_worker()) is not None:
                return line
            time.sleep(_POLL_SECONDS)
        return f"a process of this run does not answer ({error})"

    def stop(self) -> None:
        """Ends the workers by closing their stdin (``system/parent.py``); kills those that run on."""
        self._stopping.set()
        for process in self._processes.values():
            assert process.stdin is not None
            with suppress(OSError):
                process.stdin.close()
        for process in self._processes.values():
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def _start(self, rank: int) -> "subprocess.Popen[bytes]":
        with self._log_file(rank).open("wb") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "ganexp.worker", str(self._folder), str(rank), str(self._world_size)],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=os.environ | {EXIT_WITH_PARENT: "1", "OMP_NUM_THREADS": str(torch.get_num_threads())},
                start_new_session=True,  # Ctrl-C must reach rank 0 only, which then saves
            )

    def _log_file(self, rank: int) -> Path:
        return self._folder / f"{rank}.log"

    def _describe_dead_worker(self) -> str | None:
        """A line on a worker that exited with an error; None if there is none."""
        for rank, process in self._processes.items():
            status = process.poll()
            if status:
                lines = self._log_file(rank).read_text(encoding="utf-8", errors="replace").split("\n")
                last = next((line.strip() for line in reversed(lines) if line.strip()), "")
                end = f"was killed by signal {-status}" if status < 0 else f"ended with status {status}"
                message = last.removeprefix("ganexp: ")
                return f"process {rank} of {self._world_size} {end}" + (f": {message}" if message else "")
        return None

    def _exit_after_worker_death(self) -> None:
        """Exits this process after a worker died: a GPU that waits for the dead worker raises no error."""
        while not self._stopping.wait(1.0):
            if self._describe_dead_worker() is not None and not self._stopping.wait(_ABORT_SECONDS):
                print_to_stderr(self._describe_dead_worker())
                os._exit(WorkerLost.status)
