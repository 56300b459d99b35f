"""A worker: a process of a run with a rank above 0. Only rank 0 makes decisions and writes the run folder.

    python -m ganexp.worker <folder> <rank> <world>      as ``device.count`` starts it
    torchrun -m ganexp train ...                           every process but the first

A worker receives a validated configuration from rank 0, and passes a ``WorkerRun`` to the training loop where
rank 0 passes its ``Run``. It prints nothing but the error that ends it.
"""

import os
import shutil
import signal
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from omegaconf import DictConfig
from PIL import Image
from torch.distributed import FileStore  # type: ignore[attr-defined]

from ganexp.distributed import collectives
from ganexp.distributed.collectives import ProcessInfo, WorkerLost, process_group
from ganexp.distributed.torchrun_group import rendezvous_store, torchrun_process_info
from ganexp.distributed.training_store import TrainingStore
from ganexp.errors import Diverged, UserError, fail, first_line
from ganexp.runs.best_checkpoint import BestCheckpoint
from ganexp.runs.collective_run import CollectiveRun
from ganexp.sentinel import Alarm, is_fatal
from ganexp.system import parent
from ganexp.system.rng import seed_everything, seed_for
from ganexp.system.signals import STOP_SIGNALS
from ganexp.train import run_training
from ganexp.training.setup import build_experiment
from ganexp.training.state import Progress, State

_SHUTDOWN_SECONDS = 10.0
"""By then ``exit_with_parent`` has ended a worker whose process group is broken."""


class NullLog:
    """The log of a worker: it discards every line."""

    def info(self, line: str | Sequence[str]) -> None: ...

    def debug(self, line: str) -> None: ...

    def bar(self, epoch: int, total: int, done: int) -> None: ...

    def advance(self, images: int) -> None: ...


class WorkerRun(CollectiveRun):
    """A worker's ``Run``: takes part in the collective calls and writes nothing."""

    folder = Path()
    choices: Mapping[str, str] = {"loss": ""}
    best = BestCheckpoint(Path("best.pt"))  # neither used nor written: only rank 0 evaluates

    def __init__(self, cfg: DictConfig) -> None:
        super().__init__()
        self._cfg = cfg
        self.log = NullLog()

    def begin(self, state: State, facts: dict[str, Any]) -> None: ...

    def mark_finished(self, progress: Progress) -> None: ...

    def record_weight_hash(self, state: State) -> None: ...

    def record(
        self,
        epoch: int | None,
        scalars: dict[str, float],
        pictures: Mapping[str, Image.Image],
        progress: Progress,
    ) -> None: ...

    def finish(self, state: State) -> None: ...

    def _rank_state(self, state: State) -> dict[str, Any]:
        return state.rank_state()

    def _stop(self) -> None:
        raise WorkerLost("the run was asked to stop")

    def alarm(self, alarm: Alarm | None, progress: Progress) -> None:
        """Raises Diverged where rank 0 does."""
        if alarm is not None and is_fatal(alarm, self._cfg.sentinel.action):
            raise Diverged(alarm.line)

    def _restore_content(self, state: State, content: dict[str, Any] | None) -> None:
        """Restores a checkpoint. Where there is no RNG state for this rank, seeds one of its own."""
        ranks = 0 if content is None else state.restore(content)
        if collectives.rank() >= ranks:
            images = state.progress.images
            purpose = f"noise of rank {collectives.rank()} from image {images}"
            seed_everything(seed_for(self._cfg.seed, purpose))


def join_training(info: ProcessInfo, training: TrainingStore) -> bool:
    """Takes part in a training; returns False if rank 0 has none left. Raises the error that ends the training.

    An error other than WorkerLost and Diverged is also stored for rank 0's message.
    """
    cfg = training.receive()
    if cfg is None:
        return False
    cfg.evaluate.every = None  # only rank 0 evaluates
    training.set_ready(info.rank)
    with _signals_ignored(), process_group(info, training.group):
        try:
            run_training(build_experiment(cfg), cfg, WorkerRun(cfg))
        except (WorkerLost, Diverged):
            raise
        except Exception as error:
            training.set_error(info.rank, first_line(error))
            raise
    return True


@contextmanager
def _signals_ignored() -> Iterator[None]:
    """Within this context the process ignores signals: rank 0 handles them, saves and ends the workers."""
    handlers = {number: signal.signal(number, signal.SIG_IGN) for number in STOP_SIGNALS}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


def join_torchrun_trainings() -> None:
    """Takes part in every training of torchrun's rank 0; one that fails with a UserError does not end it."""
    sys.stdout = Path(os.devnull).open("w")  # noqa: SIM115 - to the end of the process
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    number, more = 0, True
    while more:
        with suppress(UserError):
            more = join_training(torchrun_process_info(), TrainingStore(rendezvous_store(), number))
        number += 1


def main() -> None:
    """Takes part in one training of the parent process, and exits when the parent does."""
    folder, rank, world_size = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])

    def on_parent_exit() -> None:
        shutil.rmtree(folder, ignore_errors=True)  # rank 0 was killed and could not remove it
        os._exit(0)

    parent.exit_with_parent(on_parent_exit)
    store = FileStore(str(folder / "store"), world_size)
    try:
        join_training(ProcessInfo(rank, world_size, rank, world_size), TrainingStore(store, 0))
    except WorkerLost:
        time.sleep(_SHUTDOWN_SECONDS)  # rank 0 is ending this worker, or has died: see on_parent_exit()
    except Diverged:
        pass  # rank 0 raises it too, and reports it
    except UserError as error:
        fail(error)


if __name__ == "__main__":
    main()
