"""Several processes that train one run, each on its part of every batch. A single one notices nothing of this.

Every process computes the gradient of the mean over its part; their average is the gradient of the mean over
the whole batch, and it is taken once per move, after the last backward pass, in one message. Wrapping networks
in DDP instead is silently wrong where a move has several backward passes.

What processes tell each other besides gradients goes over the CPU (gloo), as the bytes of a checkpoint, which
are read with ``weights_only=True``: no process runs what another one sends.
"""

import io
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import torch
from torch import Tensor
from torch import distributed as torch_distributed
from torch._C._distributed_c10d import Store

from ganexp.errors import UserError, first_line

T = TypeVar("T")

PATIENCE = timedelta(hours=12)
"""How long a process waits for another, which may be fetching data or scoring a generator."""


class Lost(UserError):
    """Another process of the run is gone, and with it the run."""

    status = 1


class Place(NamedTuple):
    """One process among those of a run. The first, rank 0, decides and writes; the others follow."""

    rank: int
    world: int
    local_rank: int
    """Its number among those on its machine, which is that of its GPU."""
    local_world: int
    why: Callable[[str], str] = str
    """Words for an error that the group met: which process is gone, and why."""


_ALONE = Place(0, 1, 0, 1)
_place = _ALONE


def place() -> Place:
    """Which process this is."""
    return _place


def rank() -> int:
    """The number of this process; 0 is the one that decides and writes."""
    return _place.rank


def world() -> int:
    """How many processes train the run."""
    return _place.world


@contextmanager
def joined(where: Place, store: Store) -> Iterator[None]:
    """Within this context the processes that share ``store`` are one group. Left in whatever way, it breaks up.

    A process that leaves with an error takes nobody with it into an endless wait: the others' next message
    fails, and they raise Lost.
    """
    global _place
    gpus = torch.cuda.is_available() and torch_distributed.is_nccl_available()
    with _loopback(where.local_world == where.world), _reworded(where):
        torch_distributed.init_process_group(
            "cpu:gloo,cuda:nccl" if gpus else "gloo",
            store=store,
            rank=where.rank,
            world_size=where.world,
            timeout=PATIENCE,
        )
    _place = where
    try:
        yield
    except BaseException:
        torch_distributed.distributed_c10d._abort_process_group()
        raise
    else:
        torch_distributed.destroy_process_group()
    finally:
        _place = _ALONE


def average(tensors: Sequence[Tensor]) -> None:
    """Replaces tensors of one type, on the device, by their averages over all processes, in one message."""
    if _place.world == 1 or not tensors:
        return
    flat = torch.cat([tensor.reshape(-1) for tensor in tensors])
    with _reworded(_place):
        torch_distributed.all_reduce(flat)
    flat /= _place.world
    parts = flat.split([tensor.numel() for tensor in tensors])
    for tensor, part in zip(tensors, parts, strict=True):
        tensor.copy_(part.view(tensor.shape))


def of_each(row: Tensor) -> Tensor:
    """The rows [k] of all processes as [world, k], differentiable as often as need be."""
    before, after = (
        row.new_zeros(_place.rank, len(row)),
        row.new_zeros(_place.world - _place.rank - 1, len(row)),
    )
    rows: Tensor = _Sum.apply(torch.cat([before, row[None], after]))
    return rows


def std(values: Tensor) -> Tensor:
    """The standard deviation of the values of all processes, as many on each; no gradient flows back."""
    if _place.world == 1:
        return values.std()
    values = values.detach()
    means, variances = of_each(torch.stack([values.mean(), values.var(correction=0)])).unbind(1)
    variance = variances.mean() + (means - means.mean()).square().mean()
    count = values.numel() * _place.world
    return (variance * (count / (count - 1))).sqrt()


class _Sum(torch.autograd.Function):
    """The sum over all processes. Each one's share counts in the losses of all, whose gradients add up."""

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        total = values.detach().clone(memory_format=torch.contiguous_format)
        with _reworded(_place):
            torch_distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        total: Tensor = _Sum.apply(gradients[0])
        return total


def broadcast(tensors: Sequence[Tensor]) -> None:
    """Gives every process the first one's values."""
    if _place.world == 1:
        return
    for tensor in tensors:
        values = tensor.detach().contiguous()
        with _reworded(_place):
            torch_distributed.broadcast(values, 0)
        tensor.detach().copy_(values)


def share(value: Any = None) -> Any:
    """What the first process gives, on every process: tensors and plain values. Nobody else has to give any."""
    if _place.world == 1:
        return value
    packed = _packed(value) if _place.rank == 0 else torch.empty(0, dtype=torch.uint8)
    size = torch.tensor([len(packed)])
    with _reworded(_place):
        torch_distributed.broadcast(size, 0)
        packed = packed if _place.rank == 0 else torch.empty(int(size), dtype=torch.uint8)
        torch_distributed.broadcast(packed, 0)
    return value if _place.rank == 0 else _unpacked(packed)


def gather(value: Any) -> list[Any]:
    """On the first process what each of the others gives, in their order; elsewhere an empty list."""
    if _place.world == 1:
        return []
    packed = _packed(value)
    sizes = torch.zeros(_place.world, dtype=torch.int64)
    sizes[_place.rank] = len(packed)
    found = []
    with _reworded(_place):
        torch_distributed.all_reduce(sizes)
        if _place.rank > 0:
            torch_distributed.send(packed, 0)
            return []
        for other in range(1, _place.world):
            arrived = torch.empty(int(sizes[other]), dtype=torch.uint8)
            torch_distributed.recv(arrived, other)
            found.append(_unpacked(arrived))
    return found


def lead(work: Callable[[], T]) -> T:
    """What ``work()`` returns on the first process, on all; nobody else does it. Plain values and tensors.

    Where it fails, it fails on the first process, and the others raise Lost.
    """
    if _place.world == 1:
        return work()
    if _place.rank > 0:
        failed, result = share()
        if failed:
            raise Lost("the first process has failed")
        return result  # type: ignore[no-any-return]
    try:
        result = work()
    except BaseException:
        share([True, None])
        raise
    share([False, result])
    return result


def first(work: Callable[[], T]) -> T:
    """``work()`` on every process, but on the first one before any other: what it fetches, they find."""
    done: list[T] = []
    lead(lambda: done.append(work()))
    return done[0] if done else work()


def words(numbers: Sequence[int]) -> list[int]:
    """A few whole numbers of the first process, on every process; cheaper than ``share``."""
    if _place.world == 1:
        return list(numbers)
    row = torch.tensor(numbers)
    with _reworded(_place):
        torch_distributed.broadcast(row, 0)
    return [int(number) for number in row]


def _packed(value: Any) -> Tensor:
    stream = io.BytesIO()
    torch.save(value, stream)
    return torch.frombuffer(bytearray(stream.getbuffer()), dtype=torch.uint8)


def _unpacked(packed: Tensor) -> Any:
    return torch.load(io.BytesIO(packed.numpy().tobytes()), map_location="cpu", weights_only=True)


@contextmanager
def _reworded(where: Place) -> Iterator[None]:
    """A group that has broken, told in one line."""
    try:
        yield
    except torch.OutOfMemoryError:
        raise
    except RuntimeError as error:
        raise Lost(where.why(first_line(error))) from None


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
