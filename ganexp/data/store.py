"""Where a data set lies while it is trained on: on the device, in host memory, or on disk and read ahead.

The first place that is large enough is taken: a set may fill half of what is free. What does not fit is read
from its file batch by batch, by a thread of its own.
"""

import mmap
import os
import sys
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from ganexp.distributed import collectives

if sys.platform != "win32":
    import resource

SHARE = 0.5
"""Of the free memory, what a data set may take."""


class Store(Protocol):
    """A set of samples that rows are taken from."""

    place: str
    """In words, for the log."""

    prefetch: int
    """How many batches are fetched before they are needed; 0 where taking one costs nothing."""

    def take(self, rows: Tensor) -> Tensor:
        """Rows [N] int64 (on the CPU) as samples [N, ...] on the device."""
        ...


def store(samples: np.ndarray, device: torch.device, share: float = SHARE) -> Store:
    """Puts samples into the fastest place that holds them, once for each process of the run on this machine."""
    if device.type == "cuda" and samples.nbytes <= share * torch.cuda.mem_get_info(device)[0]:
        return DeviceMemory(samples, device)
    if collectives.process_info().local_world * samples.nbytes <= share * free_memory():
        return DeviceMemory(samples, device) if device.type == "cpu" else HostMemory(samples, device)
    return MemoryMap(samples, device)


class DeviceMemory:
    """On the device itself."""

    prefetch = 0

    def __init__(self, samples: np.ndarray, device: torch.device) -> None:
        self.place = "in memory" if device.type == "cpu" else f"on {device}"
        self._samples = _channels_last(samples).to(device)

    def take(self, rows: Tensor) -> Tensor:
        return _as_images(_rows_of(self._samples, to_device(rows, self._samples.device)))


class HostMemory:
    """In host memory, copied to the device batch by batch."""

    prefetch = 2

    def __init__(self, samples: np.ndarray, device: torch.device) -> None:
        self.place = "in host memory"
        self._samples = _channels_last(samples)
        self._device = device

    def take(self, rows: Tensor) -> Tensor:
        return _as_images(to_device(_rows_of(self._samples, rows), self._device))


class MemoryMap:
    """In the file of a prepared set, as a memory map; the system may drop its pages whenever it needs room."""

    prefetch = 4

    def __init__(self, samples: np.ndarray, device: torch.device) -> None:
        self.place = "on disk, read ahead"
        self._samples = samples
        self._device = device
        if isinstance(samples, np.memmap) and hasattr(mmap, "MADV_RANDOM"):
            samples._mmap.madvise(mmap.MADV_RANDOM)  # type: ignore[attr-defined]  # rows lie far apart

    def take(self, rows: Tensor) -> Tensor:
        return to_device(torch.from_numpy(self._samples[rows.numpy()]), self._device)


def _channels_last(samples: np.ndarray) -> Tensor:
    """A copy in memory; of images as [N, H, W, C], the order that convolutions want them in."""
    ordered = samples.transpose(0, 2, 3, 1) if samples.ndim == 4 else samples
    return torch.from_numpy(np.array(ordered, order="C"))


def _rows_of(samples: Tensor, rows: Tensor) -> Tensor:
    """Row by row: to pick element by element, as brackets do, takes five times as long."""
    return samples.index_select(0, rows)


def _as_images(picked: Tensor) -> Tensor:
    """[N, H, W, C] seen as [N, C, H, W]; nothing is copied."""
    return picked.permute(0, 3, 1, 2) if picked.dim() == 4 else picked


def to_device(tensor: Tensor, device: torch.device) -> Tensor:
    """A copy that training does not wait for."""
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor.to(device)


def free_memory() -> float:
    """Bytes that this process can still take: of the machine, its container and its own limit."""
    bounds = [float("inf")]
    for line in _lines("/proc/meminfo"):
        if line.startswith("MemAvailable:"):
            bounds.append(float(line.split()[1]) * 1024)
    for line in _lines("/proc/self/cgroup"):
        _, controllers, group = line.split(":", 2)
        if controllers == "":
            bounds.append(_left(f"/sys/fs/cgroup{group}", "memory.max", "memory.current"))
        elif "memory" in controllers.split(","):
            folder = f"/sys/fs/cgroup/memory{group}"
            bounds.append(_left(folder, "memory.limit_in_bytes", "memory.usage_in_bytes"))
    if sys.platform != "win32":
        address_space = resource.getrlimit(resource.RLIMIT_AS)[0]
        size = _lines("/proc/self/statm")
        if address_space != resource.RLIM_INFINITY and size:
            bounds.append(address_space - float(size[0].split()[0]) * os.sysconf("SC_PAGE_SIZE"))
    return max(0.0, min(bounds))


def _left(folder: str, limit: str, usage: str) -> float:
    """What a control group leaves free; files that the kernel only keeps for later count as free."""
    most, used = _lines(f"{folder}/{limit}"), _lines(f"{folder}/{usage}")
    if not most or not used or not most[0].isdecimal():
        return float("inf")
    stat = dict(line.split() for line in _lines(f"{folder}/memory.stat"))
    kept = float(stat.get("inactive_file", 0)) + float(stat.get("active_file", 0))
    return float(most[0]) - float(used[0]) + kept


def _lines(file: str) -> list[str]:
    try:
        return Path(file).read_text().splitlines()
    except OSError:
        return []
