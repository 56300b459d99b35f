"""A process that trains along with another, which decides everything and writes everything.

    python -m ganexp.worker <folder> <rank> <world>      as ``device.count`` starts it
    torchrun -m ganexp train ...                           every process but the first

It composes nothing, prints nothing and writes nothing but its last words: the first process sends it a checked
configuration, and in the training loop a ``Follower`` stands where the first process has its ``Run``.
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
from ganexp.distributed.collectives import Lost, Place, joined
from ganexp.distributed.launch import meeting_place, session, torchruns_place, wait_for_training
from ganexp.errors import Diverged, UserError, fail, first_line
from ganexp.runs.collective_run import CollectiveRun
from ganexp.sentinel import Alarm, is_fatal
from ganexp.system import parent
from ganexp.system.rng import seed_everything, seed_for
from ganexp.system.signals import ASKING
from ganexp.train import play
from ganexp.training.setup import assemble
from ganexp.training.state import Progress, State

_LAST = 10.0  # seconds in which the lifeline should have ended a process without a group


class Silence:
    """The journal of a process that says nothing."""

    def say(self, line: str) -> None: ...

    def note(self, line: str) -> None: ...

    def bar(self, epoch: int, total: int, done: int) -> None: ...

    def advance(self, images: int) -> None: ...


class Follower(CollectiveRun):
    """What the loop asks of a ``Run``, done as the first process does it."""

    folder = Path()
    choices: Mapping[str, str] = {"loss": ""}

    def __init__(self, cfg: DictConfig) -> None:
        super().__init__()
        self._cfg = cfg
        self.journal = Silence()

    def begin(self, state: State, facts: dict[str, Any]) -> None: ...

    def was_finished(self, progress: Progress) -> None: ...

    def mark(self, state: State) -> None: ...

    def record(self, epoch: int, scalars: dict[str, float], grid: Image.Image, progress: Progress) -> None: ...

    def finish(self, state: State) -> None: ...

    def _contribution(self, state: State) -> dict[str, Any]:
        return state.own()

    def _stop(self) -> None:
        raise Lost("the run was asked to stop")

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


def follow(where: Place, store: Store, number: int) -> bool:
    """Trains along once; False if there was nothing to train any more. Raises what nobody expected."""
    cfg = wait_for_training(store, number)
    if cfg is None:
        return False
    cfg.evaluate.every = None  # the first process judges
    store.set(f"ready {where.rank}", "")
    with _deaf(), joined(where, session(store, number)):
        try:
            play(assemble(cfg), cfg, Follower(cfg))
        except (Lost, Diverged):
            raise
        except Exception as error:  # left where the first process finds it when it notices
            store.set(f"end {number} of {where.rank}", first_line(error))
            raise
    return True


class _deaf:
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
            more = follow(torchruns_place(), meeting_place(), number)
        number += 1


def main() -> None:
    """One training, beside the process that started this one. Ends when that one does."""
    folder, rank, world = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])

    def alone() -> None:
        shutil.rmtree(folder, ignore_errors=True)  # the first process was killed and could not
        os._exit(0)

    parent.hold(alone)
    store = FileStore(str(folder / "store"), world)
    try:
        follow(Place(rank, world, rank, world), store, 0)
    except Lost:
        time.sleep(_LAST)  # the first process is ending this one, or is dead, and its folder is to be removed
    except Diverged:
        pass  # the first process knows
    except UserError as error:
        fail(error)


if __name__ == "__main__":
    main()
