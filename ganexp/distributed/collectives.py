"""Tensor collectives for runs on several processes. With a single process they communicate nothing.

Each rank computes the gradient of the mean over its part of the batch. Averaged over the ranks it is the
gradient of the mean over the global batch; one all-reduce per turn, after the last backward pass, averages it.
Wrapping networks in DDP instead is silently wrong where a turn has several backward passes.

Collectives for Python objects are in ``objects.py``.
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

COLLECTIVE_TIMEOUT = timedelta(hours=12)
"""The timeout of a collective; another rank may be downloading data or scoring a generator."""


class WorkerLost(UserError):
    """Another process of the run has died, so this one has to end too."""

    status = 1


class ProcessInfo(NamedTuple):
    """A process's place in its run. Only rank 0 makes decisions and writes files."""

    rank: int
    world_size: int
    local_rank: int
    """The rank among the processes of its machine, and the index of its GPU."""
    local_world_size: int
    explain_failure: Callable[[str], str] = str
    """Turns the text of a failed collective's error into a message that says which process died, and why."""


_SINGLE_PROCESS = ProcessInfo(0, 1, 0, 1)
_process = _SINGLE_PROCESS


def process_info() -> ProcessInfo:
    """This process's place in its run."""
    return _process


def rank() -> int:
    """This process's rank; rank 0 makes decisions and writes files."""
    return _process.rank


def world_size() -> int:
    """The number of processes of the run."""
    return _process.world_size


@contextmanager
def process_group(info: ProcessInfo, store: Store) -> Iterator[None]:
    """Within this context the processes that share ``store`` are one process group.

    A process that leaves with an error aborts the group, so that the others do not wait for it for ever: their
    next collective fails, and they raise WorkerLost.
    """
    global _process
    gpus = torch.cuda.is_available() and torch_distributed.is_nccl_available()
    with _gloo_on_loopback(info.local_world_size == info.world_size), as_worker_lost(info):
        torch_distributed.init_process_group(
            "cpu:gloo,cuda:nccl" if gpus else "gloo",
            store=store,
            rank=info.rank,
            world_size=info.world_size,
            timeout=COLLECTIVE_TIMEOUT,
        )
    _process = info
    try:
        yield
    except BaseException:
        torch_distributed.distributed_c10d._abort_process_group()
        raise
    else:
        torch_distributed.destroy_process_group()
    finally:
        _process = _SINGLE_PROCESS


def all_reduce_mean(tensors: Sequence[Tensor]) -> None:
    """Replaces tensors of one dtype, on the device, by their means over all ranks, in one all-reduce."""
    if _process.world_size == 1 or not tensors:
        return
    flat = torch.cat([tensor.reshape(-1) for tensor in tensors])
    with as_worker_lost(_process):
        torch_distributed.all_reduce(flat)
    flat /= _process.world_size
    parts = flat.split([tensor.numel() for tensor in tensors])
    for tensor, part in zip(tensors, parts, strict=True):
        tensor.copy_(part.view(tensor.shape))


def all_gather_rows(row: Tensor) -> Tensor:
    """The rows [k] of all ranks as [world, k]; can be differentiated any number of times."""
    if _process.world_size == 1:
        return row[None]
    zeros_before, zeros_after = (
        row.new_zeros(_process.rank, len(row)),
        row.new_zeros(_process.world_size - _process.rank - 1, len(row)),
    )
    rows: Tensor = _AllReduceSum.apply(torch.cat([zeros_before, row[None], zeros_after]))
    return rows


@torch.no_grad()
def all_gather_batches(x: Tensor) -> Tensor:
    """The batches [N, ...] of all ranks, equally large, in the order of ranks: [world N, ...], no gradient."""
    if _process.world_size == 1:
        return x.detach()
    own = x.detach().contiguous()
    parts = [torch.empty_like(own) for _ in range(_process.world_size)]
    with as_worker_lost(_process):
        torch_distributed.all_gather(parts, own)
    return torch.cat(parts)


def global_mean(values: Tensor) -> Tensor:
    """The mean of the values of all ranks, equally many on each, a scalar; can be differentiated."""
    return all_gather_rows(values.mean()[None]).mean()


def global_std(values: Tensor) -> Tensor:
    """The standard deviation of the values of all ranks, equally many on each; no gradient flows back."""
    if _process.world_size == 1:
        return values.std()
    values = values.detach()
    means, variances = all_gather_rows(torch.stack([values.mean(), values.var(correction=0)])).unbind(1)
    variance = variances.mean() + (means - means.mean()).square().mean()
    count = values.numel() * _process.world_size
    return (variance * (count / (count - 1))).sqrt()


class _AllReduceSum(torch.autograd.Function):
    """The sum over all ranks. A rank's input is part of every rank's loss, so its gradients are summed too."""

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        total = values.detach().clone(memory_format=torch.contiguous_format)
        with as_worker_lost(_process):
            torch_distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        total: Tensor = _AllReduceSum.apply(gradients[0])
        return total


def broadcast(tensors: Sequence[Tensor]) -> None:
    """Copies rank 0's values into the tensors of every rank."""
    if _process.world_size == 1:
        return
    for tensor in tensors:
        values = tensor.detach().contiguous()
        with as_worker_lost(_process):
            torch_distributed.broadcast(values, 0)
        tensor.detach().copy_(values)


@contextmanager
def as_worker_lost(info: ProcessInfo) -> Iterator[None]:
    """Turns the RuntimeError of a broken process group into a WorkerLost with one line."""
    try:
        yield
    except torch.OutOfMemoryError:
        raise
    except RuntimeError as error:
        raise WorkerLost(info.explain_failure(first_line(error))) from None


@contextmanager
def _gloo_on_loopback(one_machine: bool) -> Iterator[None]:
    """Binds gloo to loopback on a single machine: it then needs no network and no resolvable host name."""
    name = "GLOO_SOCKET_IFNAME"
    if not one_machine or name in os.environ or not Path("/sys/class/net/lo").exists():
        yield
        return
    os.environ[name] = "lo"
    try:
        yield
    finally:
        del os.environ[name]
