"""Several processes that train one run, each on its part of every batch. A single one notices nothing of this.

Every process computes the gradient of the mean over its part; their average is the gradient of the mean over
the whole batch, and it is taken once per move, after the last backward pass, in one message. Wrapping networks
in DDP instead is silently wrong where a move has several backward passes.

What else processes tell each other is in ``objects.py``.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch import distributed as torch_distributed
from torch.distributed import Store  # type: ignore[attr-defined]

from ganexp.errors import UserError, first_line

PATIENCE = timedelta(hours=12)
"""How long a process waits for another, which may be fetching data or scoring a generator."""


class WorkerLost(UserError):
    """Another process of the run is gone, and with it the run."""

    status = 1


class ProcessInfo(NamedTuple):
    """One process among those of a run. The first, rank 0, decides and writes; the others follow."""

    rank: int
    world: int
    local_rank: int
    """Its number among those on its machine, which is that of its GPU."""
    local_world: int
    why: Callable[[str], str] = str
    """Words for an error that the group met: which process is gone, and why."""


_ALONE = ProcessInfo(0, 1, 0, 1)
_process = _ALONE


def process_info() -> ProcessInfo:
    """Which process this is."""
    return _process


def rank() -> int:
    """The number of this process; 0 is the one that decides and writes."""
    return _process.rank


def world() -> int:
    """How many processes train the run."""
    return _process.world


@contextmanager
def process_group(where: ProcessInfo, store: Store) -> Iterator[None]:
    """Within this context the processes that share ``store`` are one group. Left in whatever way, it breaks up.

    A process that leaves with an error takes nobody with it into an endless wait: the others' next message
    fails, and they raise WorkerLost.
    """
    global _process
    gpus = torch.cuda.is_available() and torch_distributed.is_nccl_available()
    with _loopback(where.local_world == where.world), as_worker_lost(where):
        torch_distributed.init_process_group(
            "cpu:gloo,cuda:nccl" if gpus else "gloo",
            store=store,
            rank=where.rank,
            world_size=where.world,
            timeout=PATIENCE,
        )
    _process = where
    try:
        yield
    except BaseException:
        torch_distributed.distributed_c10d._abort_process_group()
        raise
    else:
        torch_distributed.destroy_process_group()
    finally:
        _process = _ALONE


def all_reduce_mean(tensors: Sequence[Tensor]) -> None:
    """Replaces tensors of one type, on the device, by their averages over all processes, in one message."""
    if _process.world == 1 or not tensors:
        return
    flat = torch.cat([tensor.reshape(-1) for tensor in tensors])
    with as_worker_lost(_process):
        torch_distributed.all_reduce(flat)
    flat /= _process.world
    parts = flat.split([tensor.numel() for tensor in tensors])
    for tensor, part in zip(tensors, parts, strict=True):
        tensor.copy_(part.view(tensor.shape))


def all_gather_rows(row: Tensor) -> Tensor:
    """The rows [k] of all processes as [world, k], differentiable as often as need be."""
    if _process.world == 1:
        return row[None]
    before, after = (
        row.new_zeros(_process.rank, len(row)),
        row.new_zeros(_process.world - _process.rank - 1, len(row)),
    )
    rows: Tensor = _Sum.apply(torch.cat([before, row[None], after]))
    return rows


def std(values: Tensor) -> Tensor:
    """The standard deviation of the values of all processes, as many on each; no gradient flows back."""
    if _process.world == 1:
        return values.std()
    values = values.detach()
    means, variances = all_gather_rows(torch.stack([values.mean(), values.var(correction=0)])).unbind(1)
    variance = variances.mean() + (means - means.mean()).square().mean()
    count = values.numel() * _process.world
    return (variance * (count / (count - 1))).sqrt()


class _Sum(torch.autograd.Function):
    """The sum over all processes. Each one's share counts in the losses of all, whose gradients add up."""

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        total = values.detach().clone(memory_format=torch.contiguous_format)
        with as_worker_lost(_process):
            torch_distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        total: Tensor = _Sum.apply(gradients[0])
        return total


def broadcast(tensors: Sequence[Tensor]) -> None:
    """Gives every process the first one's values."""
    if _process.world == 1:
        return
    for tensor in tensors:
        values = tensor.detach().contiguous()
        with as_worker_lost(_process):
            torch_distributed.broadcast(values, 0)
        tensor.detach().copy_(values)


@contextmanager
def as_worker_lost(where: ProcessInfo) -> Iterator[None]:
    """A group that has broken, told in one line."""
    try:
        yield
    except torch.OutOfMemoryError:
        raise
    except RuntimeError as error:
        raise WorkerLost(where.why(first_line(error))) from None


@contextmanager
def _loopback(one_machine: bool) -> Iterator[None]:
    """Processes of one machine need no network, nor a name that it knows this machine by."""
    name = "GLOO_SOCKET_IFNAME"
    if not one_machine or name in os.environ or not Path("/sys/class/net/lo").exists():
        yield
        return
    os.environ[name] = "lo"
    try:
        yield
    finally:
        del os.environ[name]
