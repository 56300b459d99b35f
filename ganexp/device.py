"""Where tensors live and how they are computed: one function for each choice of ``conf/device``."""

import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import torch

from ganexp.config.ranges import Count, Numbers, Whole
from ganexp.errors import UserError
from ganexp.precision import Precision


class Hardware(NamedTuple):
    """What a run is computed by."""

    device: torch.device
    precision: Precision
    compile: bool
    """Whether torch.compile translates the networks."""
    graphs: bool
    """Whether turns are captured as CUDA graphs."""

    def __str__(self) -> str:
        """In words: ``cuda:0 (NVIDIA H100, tf32, graphs)``."""
        if self.device.type == "cuda":
            told = torch.cuda.get_device_name(self.device)
        else:
            told = f"{platform.processor() or platform.machine()}, {torch.get_num_threads()} threads"
        how: list[str] = [] if self.precision.name == "fp32" else [self.precision.name]
        how += ["compiled"] * self.compile + ["graphs"] * (self.graphs and not self.precision.waits)
        return f"{self.device} ({', '.join([told, *how])})"


def auto(precision: Numbers, threads: Count | None, compile: bool, graphs: bool) -> Hardware:
    """The first GPU if there is one, then Apple's Metal, then the CPU."""
    if torch.cuda.is_available():
        return cuda(0, precision, compile, graphs)
    return mps(precision) if torch.backends.mps.is_available() else cpu(precision, threads, compile)


def cpu(precision: Numbers, threads: Count | None, compile: bool) -> Hardware:
    """The processor, on as many threads as it has cores for this process."""
    torch.set_num_threads(threads or min(torch.get_num_threads(), _granted()))
    device = torch.device("cpu")
    return Hardware(device, Precision(precision, device), compile, graphs=False)


def cuda(index: Whole, precision: Numbers, compile: bool, graphs: bool) -> Hardware:
    """An NVIDIA (or ROCm) GPU by its number. Raises UserError if it is not there."""
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if index >= count:
        what = f"this machine has {count} CUDA device(s)" if count else "this machine has no CUDA device"
        raise UserError(f"device=cuda device.index={index}: {what}; device=auto takes what there is")
    torch.backends.cudnn.deterministic = True  # a resumed run ends in the same weights, bit for bit: for the
    torch.backends.cudnn.benchmark = False  # same reason no kernel is chosen by how fast it was this time
    device = torch.device("cuda", index)
    return Hardware(device, Precision(precision, device), compile, graphs)


def mps(precision: Numbers) -> Hardware:
    """Apple's Metal. Raises UserError if it is not there."""
    if not torch.backends.mps.is_available():
        raise UserError("device=mps: this machine has no Metal device; device=auto takes what there is")
    device = torch.device("mps")
    return Hardware(device, Precision(precision, device), compile=False, graphs=False)


def _granted(limit: Path = Path("/sys/fs/cgroup/cpu.max")) -> int:
    """The cores that a container grants this process, which torch does not ask for."""
    cores = os.cpu_count() or 1
    try:
        quota, period = limit.read_text().split()
    except (OSError, ValueError):
        return cores
    return max(1, int(quota) // int(period)) if quota.isdecimal() else cores


@contextmanager
def random_numbers_left_alone(device: torch.device) -> Iterator[None]:
    """Whatever a network draws here, the training does not notice."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        yield
