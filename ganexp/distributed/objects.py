"""Collectives for tensors and plain values. With a single process they communicate nothing.

Values are sent over gloo on the CPU, serialised with ``torch.save`` and read with ``weights_only=True``: no
process executes code that another one sends.
"""

import io
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch import distributed as torch_distributed

from ganexp.distributed.collectives import WorkerLost, as_worker_lost, process_info

T = TypeVar("T")


def broadcast_object(value: Any = None) -> Any:
    """Rank 0's value (tensors and plain values), on every rank; the other ranks' arguments are ignored."""
    if process_info().world_size == 1:
        return value
    serialised = _serialise(value) if process_info().rank == 0 else torch.empty(0, dtype=torch.uint8)
    size = torch.tensor([len(serialised)])
    with as_worker_lost(process_info()):
        torch_distributed.broadcast(size, 0)
        serialised = serialised if process_info().rank == 0 else torch.empty(int(size), dtype=torch.uint8)
        torch_distributed.broadcast(serialised, 0)
    return value if process_info().rank == 0 else _deserialise(serialised)


def gather_objects(value: Any = None) -> list[Any]:
    """On rank 0 the values of all other ranks, in their order, without its own; on other ranks []."""
    if process_info().world_size == 1:
        return []
    serialised = _serialise(value)
    sizes = torch.zeros(process_info().world_size, dtype=torch.int64)
    sizes[process_info().rank] = len(serialised)
    received_values = []
    with as_worker_lost(process_info()):
        torch_distributed.all_reduce(sizes)
        if process_info().rank > 0:
            torch_distributed.send(serialised, 0)
            return []
        for other in range(1, process_info().world_size):
            received = torch.empty(int(sizes[other]), dtype=torch.uint8)
            torch_distributed.recv(received, other)
            received_values.append(_deserialise(received))
    return received_values


def run_on_rank0(work: Callable[[], T]) -> T:
    """Calls ``work()`` on rank 0 only and returns its result (plain values and tensors) on every rank.

    If it raises, rank 0 raises the error, and the other ranks raise WorkerLost.
    """
    if process_info().world_size == 1:
        return work()
    if process_info().rank > 0:
        failed, result = broadcast_object()
        if failed:
            raise WorkerLost("rank 0 has failed")
        return result  # type: ignore[no-any-return]
    try:
        result = work()
    except BaseException:
        broadcast_object([True, None])
        raise
    broadcast_object([False, result])
    return result


def rank0_first(work: Callable[[], T]) -> T:
    """Calls ``work()`` on rank 0, then on the others, which find the files that rank 0 has downloaded."""
    done: list[T] = []
    run_on_rank0(lambda: done.append(work()))
    return done[0] if done else work()


def broadcast_ints(numbers: Sequence[int]) -> list[int]:
    """Rank 0's integers, on every rank; cheaper than ``broadcast_object``."""
    if process_info().world_size == 1:
        return list(numbers)
    row = torch.tensor(numbers)
    with as_worker_lost(process_info()):
        torch_distributed.broadcast(row, 0)
    return [int(number) for number in row]


def _serialise(value: Any) -> Tensor:
    stream = io.BytesIO()
    torch.save(value, stream)
    return torch.frombuffer(bytearray(stream.getbuffer()), dtype=torch.uint8)


def _deserialise(serialised: Tensor) -> Any:
    return torch.load(io.BytesIO(serialised.numpy().tobytes()), map_location="cpu", weights_only=True)
