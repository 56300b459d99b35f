"""Where tensors live: one function for each choice of ``conf/device``."""

import platform
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from ganexp.config.ranges import Whole
from ganexp.errors import UserError


def auto() -> torch.device:
    """The first GPU if there is one, then Apple's Metal, then the CPU."""
    if torch.cuda.is_available():
        return cuda(0)
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def cpu() -> torch.device:
    """The processor."""
    return torch.device("cpu")


def cuda(index: Whole) -> torch.device:
    """An NVIDIA (or ROCm) GPU by its number. Raises UserError if it is not there."""
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if index >= count:
        what = f"this machine has {count} CUDA device(s)" if count else "this machine has no CUDA device"
        raise UserError(f"device=cuda device.index={index}: {what}; device=auto takes what there is")
    torch.backends.cudnn.deterministic = True  # a resumed run ends in the same weights, bit for bit
    return torch.device("cuda", index)


def mps() -> torch.device:
    """Apple's Metal. Raises UserError if it is not there."""
    if not torch.backends.mps.is_available():
        raise UserError("device=mps: this machine has no Metal device; device=auto takes what there is")
    return torch.device("mps")


def device_name(device: torch.device) -> str:
    """The device in words: ``cuda:0 (NVIDIA H100)``."""
    if device.type == "cuda":
        return f"{device} ({torch.cuda.get_device_name(device)})"
    return f"{device} ({platform.processor() or platform.machine()}, {torch.get_num_threads()} threads)"


@contextmanager
def random_numbers_left_alone(device: torch.device) -> Iterator[None]:
    """Whatever a network draws here, the training does not notice."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        yield
