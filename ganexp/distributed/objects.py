"""What the processes of a run tell each other besides gradients; with a single one nothing here does anything.

It goes over the CPU (gloo), as the bytes of a checkpoint, which are read with ``weights_only=True``: no process
runs what another one sends.
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
    """What the first process gives, on every process: tensors and plain values. Nobody else has to give any."""
    if process_info().world == 1:
        return value
    packed = _packed(value) if process_info().rank == 0 else torch.empty(0, dtype=torch.uint8)
    size = torch.tensor([len(packed)])
    with as_worker_lost(process_info()):
        torch_distributed.broadcast(size, 0)
        packed = packed if process_info().rank == 0 else torch.empty(int(size), dtype=torch.uint8)
        torch_distributed.broadcast(packed, 0)
    return value if process_info().rank == 0 else _unpacked(packed)


def gather_objects(value: Any = None) -> list[Any]:
    """On the first process, which gives nothing, what each of the others does, in their order; elsewhere []."""
    if process_info().world == 1:
        return []
    packed = _packed(value)
    sizes = torch.zeros(process_info().world, dtype=torch.int64)
    sizes[process_info().rank] = len(packed)
    found = []
    with as_worker_lost(process_info()):
        torch_distributed.all_reduce(sizes)
        if process_info().rank > 0:
            torch_distributed.send(packed, 0)
            return []
        for other in range(1, process_info().world):
            arrived = torch.empty(int(sizes[other]), dtype=torch.uint8)
            torch_distributed.recv(arrived, other)
            found.append(_unpacked(arrived))
    return found


def run_on_rank0(work: Callable[[], T]) -> T:
    """What ``work()`` returns on the first process, on all; nobody else does it. Plain values and tensors.

    Where it fails, it fails on the first process, and the others raise WorkerLost.
    """
    if process_info().world == 1:
        return work()
    if process_info().rank > 0:
        failed, result = broadcast_object()
        if failed:
            raise WorkerLost("the first process has failed")
        return result  # type: ignore[no-any-return]
    try:
        result = work()
    except BaseException:
        broadcast_object([True, None])
        raise
    broadcast_object([False, result])
    return result


def rank0_first(work: Callable[[], T]) -> T:
    """``work()`` on every process, but on the first one before any other: what it fetches, they find."""
    done: list[T] = []
    run_on_rank0(lambda: done.append(work()))
    return done[0] if done else work()


def broadcast_ints(numbers: Sequence[int]) -> list[int]:
    """A few whole numbers of the first process, on every process; cheaper than ``share``."""
    if process_info().world == 1:
        return list(numbers)
    row = torch.tensor(numbers)
    with as_worker_lost(process_info()):
        torch_distributed.broadcast(row, 0)
    return [int(number) for number in row]


def _packed(value: Any) -> Tensor:
    stream = io.BytesIO()
    torch.save(value, stream)
    return torch.frombuffer(bytearray(stream.getbuffer()), dtype=torch.uint8)


def _unpacked(packed: Tensor) -> Any:
    return torch.load(io.BytesIO(packed.numpy().tobytes()), map_location="cpu", weights_only=True)
