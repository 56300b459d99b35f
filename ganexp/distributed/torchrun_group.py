"""Connects torchrun's processes through its store, once per training: a sweep has several."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache

from omegaconf import DictConfig
from torch.distributed import Store  # type: ignore[attr-defined]
from torch.distributed.rendezvous import rendezvous

from ganexp.distributed import torchrun
from ganexp.distributed.collectives import COLLECTIVE_TIMEOUT, ProcessInfo, process_group
from ganexp.distributed.training_store import TrainingStore

_trainings_sent = 0
"""How many trainings this process, as rank 0, has sent to torchrun's workers."""


@contextmanager
def torchrun_group(cfg: DictConfig) -> Iterator[None]:
    """Rank 0: sends the configuration to torchrun's workers and is in a process group with them."""
    global _trainings_sent
    training = TrainingStore(rendezvous_store(), _trainings_sent)
    _trainings_sent += 1
    training.send(cfg)

    def explain_failure(error: str) -> str:
        time.sleep(1)  # the worker may still be storing its error
        return training.find_error(torchrun.world_size()) or f"another process of this run is gone ({error})"

    info = torchrun_process_info()._replace(explain_failure=explain_failure)
    with process_group(info, training.group):
        yield


def shutdown_workers() -> None:
    """Tells torchrun's workers that there is no training left, so that they exit."""
    with suppress(RuntimeError):  # the store may be gone already
        TrainingStore(rendezvous_store(), _trainings_sent).send_no_more()


@cache
def rendezvous_store() -> Store:
    """Torchrun's store, which all of its processes can read and write."""
    store: Store = next(rendezvous("env://", timeout=COLLECTIVE_TIMEOUT))[0]
    return store


def torchrun_process_info() -> ProcessInfo:
    """This process's place among torchrun's processes."""
    names = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")
    rank, world_size, local_rank, local_world_size = (int(os.environ[name]) for name in names)
    return ProcessInfo(rank, world_size, local_rank, local_world_size)
