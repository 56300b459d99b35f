"""Connects the processes of a run: those that ``device.count`` asks for, or torchrun's.

With ``device.count`` the process that the user started is rank 0, and starts the others.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from omegaconf import DictConfig

from ganexp.config.batch_split import check_batch_split, processes
from ganexp.distributed import torchrun
from ganexp.distributed.local_workers import local_group
from ganexp.distributed.torchrun_group import torchrun_group
from ganexp.errors import UserError


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
        with torchrun_group(cfg):
            yield
    elif count > 1:
        with local_group(cfg, count):
            yield
    else:
        yield
