"""A process that trains along with another, which decides everything and writes everything.

    python -m ganexp.worker <folder> <rank> <world>      as ``device.count`` starts it
    torchrun -m ganexp train ...                           every process but the first

It composes nothing, prints nothing and writes nothing but its last words: the first process sends it a checked
configuration, and in the training loop a ``WorkerRun`` stands where the first process has its ``Run``.
"""

import os
import shutil
import signal
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from omegaconf import DictConfig
from PIL import Image
from torch.distributed import FileStore, Store  # type: ignore[attr-defined]

from ganexp.distributed import collectives
from ganexp.distributed.collectives import ProcessInfo, WorkerLost, process_group
from ganexp.distributed.launch import next_training, rendezvous_store, session, torchrun_process_info
from ganexp.errors import Diverged, UserError, fail, first_line
from ganexp.runs.collective_run import CollectiveRun
from ganexp.sentinel import Alarm, is_fatal
from ganexp.system import parent
from ganexp.system.rng import seed_everything, seed_for
from ganexp.system.signals import ASKING
from ganexp.train import run_training
from ganexp.training.setup import build_experiment
from ganexp.training.state import Progress, State

_LAST = 10.0  # seconds in which the lifeline should have ended a process without a group


class NullLog:
    """The journal of a process that says nothing."""

    def info(self, line: str) -> None: ...

    def debug(self, line: str) -> None: ...

    def bar(self, epoch: int, total: int, done: int) -> None: ...

    def advance(self, images: int) -> None: ...


class WorkerRun(CollectiveRun):
    """What the loop asks of a ``Run``, done as the first process does it."""

    folder = Path()
    choices: Mapping[str, str] = {"loss": ""}

    def __init__(self, cfg: DictConfig) -> None:
        super().__init__()
        self._cfg = cfg
        self.log = NullLog()

    def begin(self, state: State, facts: dict[str, Any]) -> None: ...

    def mark_finished(self, progress: Progress) -> None: ...

    def record_weight_hash(self, state: State) -> None: ...

    def record(self, epoch: int, scalars: dict[str, float], grid: Image.Image, progress: Progress) -> None: ...

    def finish(self, state: State) -> None: ...

    def _contribution(self, state: State) -> dict[str, Any]:
        return state.rank_state()

    def _stop(self) -> None:
        raise WorkerLost("the run was asked to stop")

    def alarm(self, alarm: Alarm | None, progress: Progress) -> None:
        """Raises Diverged where the first process does."""
        if alarm is not None and is_fatal(alarm, self._cfg.sentinel.action):
            raise Diverged(alarm.line)

    def _take(self, state: State, content: dict[str, Any] | None) -> None:
        """Goes on from a checkpoint; with noise of its own where that knows none of this process."""
        known = 0 if content is None else state.restore(content)
        if collectives.rank() >= known:
            images = state.progress.images
            purpose = f"noise of rank {collectives.rank()} from image {images}"
            seed_everything(seed_for(self._cfg.seed, purpose))


def follow(where: ProcessInfo, store: Store, number: int) -> bool:
    """Trains along once; False if there was nothing to train any more. Raises what nobody expected."""
    cfg = next_training(store, number)
    if cfg is None:
        return False
    cfg.evaluate.every = None  # the first process judges
    store.set(f"ready {where.rank}", "")
    with _ignore_signals(), process_group(where, session(store, number)):
        try:
            run_training(build_experiment(cfg), cfg, WorkerRun(cfg))
        except (WorkerLost, Diverged):
            raise
        except Exception as error:  # left where the first process finds it when it notices
            store.set(f"end {number} of {where.rank}", first_line(error))
            raise
    return True


class _ignore_signals:
    """Signals are for the first process, which saves and then lets the others go."""

    def __enter__(self) -> None:
        self._before = {number: signal.signal(number, signal.SIG_IGN) for number in ASKING}

    def __exit__(self, *error: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)


def follow_torchrun() -> None:
    """As many trainings as the first process of a torchrun has, whatever becomes of each."""
    sys.stdout = Path(os.devnull).open("w")  # noqa: SIM115 - to the end of the process
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    number, more = 0, True
    while more:
        with suppress(UserError):
            more = follow(torchrun_process_info(), rendezvous_store(), number)
        number += 1


def main() -> None:
    """One training, beside the process that started this one. Ends when that one does."""
    folder, rank, world = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])

    def alone() -> None:
        shutil.rmtree(folder, ignore_errors=True)  # the first process was killed and could not
        os._exit(0)

    parent.exit_with_parent(alone)
    store = FileStore(str(folder / "store"), world)
    try:
        follow(ProcessInfo(rank, world, rank, world), store, 0)
    except WorkerLost:
        time.sleep(_LAST)  # the first process is ending this one, or is dead, and its folder is to be removed
    except Diverged:
        pass  # the first process knows
    except UserError as error:
        fail(error)


if __name__ == "__main__":
    main()
