"""Starts and connects the processes of a run: those that ``device.count`` asks for, or torchrun's.

With ``device.count`` the process that the user started is rank 0. It starts one worker per further device and
connects to them through a file store in a private folder, so nothing listens on any network but loopback.
Workers exit with rank 0 (``parent.py``), and rank 0 does not wait for one that died. Torchrun's processes
connect through its store, once per training: a sweep has several.
"""

import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path

import torch
from omegaconf import DictConfig, OmegaConf
from torch.distributed import FileStore, PrefixStore, Store  # type: ignore[attr-defined]
from torch.distributed.rendezvous import rendezvous

from ganexp.config.validate import check_batch_split, processes
from ganexp.distributed import torchrun
from ganexp.distributed.collectives import COLLECTIVE_TIMEOUT, ProcessInfo, WorkerLost, process_group
from ganexp.errors import UserError, print_to_stderr
from ganexp.system.parent import EXIT_WITH_PARENT

NO_MORE_TRAININGS = "over"
"""Stored in place of a configuration when there is no training left."""

_POLL_SECONDS = 0.05  # seconds between polls of a process
_ABORT_SECONDS = 20.0  # seconds in which a collective of a broken group should have failed


@contextmanager
def launch_workers(cfg: DictConfig) -> Iterator[None]:
    """Within this context the processes of a run are a process group; a single process needs none.

    Raises WorkerLost where a worker dies, UserError where ``device.count`` is set under torchrun, or where a
    batch cannot be split evenly over torchrun's processes.
    """
    count = processes(cfg)
    if count > 1 and torchrun.world_size() > 1:
        raise UserError(f"device.count={count}: torchrun has started the processes already; leave it at 1")
    if torchrun.world_size() > 1:
        check_batch_split(cfg, torchrun.world_size())
        with _torchrun_group(cfg):
            yield
    elif count > 1:
        with _local_group(cfg, count):
            yield
    else:
        yield


@contextmanager
def _torchrun_group(cfg: DictConfig) -> Iterator[None]:
    """Sends the configuration to torchrun's workers, which wait for it, and joins their process group."""
    number = _Trainings.begun
    _Trainings.begun += 1
    store = rendezvous_store()
    store.set(f"training {number}", OmegaConf.to_yaml(cfg))

    def explain_failure(error: str) -> str:
        time.sleep(1)  # the worker may still be storing its error
        return (
            worker_error(store, number, torchrun.world_size())
            or f"another process of this run is gone ({error})"
        )

    with process_group(
        torchrun_process_info()._replace(explain_failure=explain_failure), group_store(store, number)
    ):
        yield


class _Trainings:
    """How many trainings this process has sent to torchrun's workers."""

    begun = 0
    store: Store | None = None


def rendezvous_store() -> Store:
    """Torchrun's store, which all of its processes can read and write."""
    if _Trainings.store is None:
        found, _, _ = next(rendezvous("env://", timeout=COLLECTIVE_TIMEOUT))
        _Trainings.store = found
    return _Trainings.store


def shutdown_workers() -> None:
    """Tells torchrun's workers that there is no training left, so that they exit."""
    with suppress(RuntimeError):  # the store may be gone already
        rendezvous_store().set(f"training {_Trainings.begun}", NO_MORE_TRAININGS)


def torchrun_process_info() -> ProcessInfo:
    """This process's place among torchrun's processes."""
    rank, world, local_rank, local_world = (
        int(os.environ[name]) for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")
    )
    return ProcessInfo(rank, world, local_rank, local_world)


def group_store(store: Store, number: int) -> Store:
    """The part of a store that is for the process group of one training."""
    return PrefixStore(f"group {number}", store)


def worker_error(store: Store, number: int, world: int) -> str | None:
    """A line with the rank and error of a worker that stored its error; None if none did."""
    for rank in range(1, world):
        key = f"end {number} of {rank}"
        if store.check([key]):
            return f"process {rank} of {world}: {store.get(key).decode()}"
    return None


@contextmanager
def _local_group(cfg: DictConfig, count: int) -> Iterator[None]:
    """Starts workers on this machine, joins their process group, and ends them."""
    threads = torch.get_num_threads()
    torch.set_num_threads(max(1, threads // count))
    with tempfile.TemporaryDirectory(prefix="ganexp-", ignore_cleanup_errors=True) as folder:
        store = FileStore(f"{folder}/store", count)
        store.set_timeout(COLLECTIVE_TIMEOUT)
        store.set("training 0", OmegaConf.to_yaml(cfg))
        workers = _Workers(Path(folder), count, store)
        try:
            workers.wait_until_ready()
            with process_group(ProcessInfo(0, count, 0, count, workers.explain_failure), group_store(store, 0)):
                yield
        finally:
            workers.stop()
            torch.set_num_threads(threads)


class _Workers:
    """The workers that this process has started."""

    def __init__(self, folder: Path, count: int, store: Store) -> None:
        self._folder = folder
        self._store = store
        self._count = count
        self._stopping = threading.Event()
        self._processes = {rank: self._start(rank) for rank in range(1, count)}
        threading.Thread(target=self._exit_after_worker_death, name="workers", daemon=True).start()

    def _start(self, rank: int) -> "subprocess.Popen[bytes]":
        with self._log_file(rank).open("wb") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "ganexp.worker", str(self._folder), str(rank), str(self._count)],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=os.environ | {EXIT_WITH_PARENT: "1", "OMP_NUM_THREADS": str(torch.get_num_threads())},
                start_new_session=True,  # Ctrl-C must reach rank 0 only, which then saves
            )

    def _log_file(self, rank: int) -> Path:
        return self._folder / f"{rank}.log"

    def wait_until_ready(self) -> None:
        """Waits until all workers are ready. Raises WorkerLost if one dies before."""
        keys = [f"ready {rank}" for rank in self._processes]
        while not self._store.check(keys):
            if (line := self._describe_dead_worker()) is not None:
                raise WorkerLost(line)
            time.sleep(_POLL_SECONDS)

    def explain_failure(self, error: str) -> str:
        """A line on the worker that died, with the last line of its output; waits up to 5 s for its exit."""
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline:
            if (line := self._describe_dead_worker()) is not None:
                return line
            time.sleep(_POLL_SECONDS)
        return f"a process of this run does not answer ({error})"

    def stop(self) -> None:
        """Ends the workers by closing their stdin (``parent.py``); kills those that run on."""
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

    def _describe_dead_worker(self) -> str | None:
        """A line on a worker that exited with an error; None if there is none."""
        for rank, process in self._processes.items():
            status = process.poll()
            if status:
                lines = self._log_file(rank).read_text(encoding="utf-8", errors="replace").split("\n")
                last = next((line.strip() for line in reversed(lines) if line.strip()), "")
                how = f"was killed by signal {-status}" if status < 0 else f"ended with status {status}"
                words = last.removeprefix("ganexp: ")
                return f"process {rank} of {self._count} {how}" + (f": {words}" if words else "")
        return None

    def _exit_after_worker_death(self) -> None:
        """Exits this process after a worker died: a GPU that waits for the dead worker raises no error."""
        while not self._stopping.wait(1.0):
            if self._describe_dead_worker() is not None and not self._stopping.wait(_ABORT_SECONDS):
                print_to_stderr(self._describe_dead_worker())
                os._exit(WorkerLost.status)


def next_training(store: Store, number: int) -> DictConfig | None:
    """Waits for the configuration of training ``number``; None if there is none left. Raises RuntimeError."""
    key = f"training {number}"
    store.wait([key], timedelta(days=30))
    text = store.get(key).decode()
    if text == NO_MORE_TRAININGS:
        return None
    cfg = OmegaConf.create(text)
    assert isinstance(cfg, DictConfig)
    return cfg
