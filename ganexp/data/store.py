"""Where a data set is kept during training: on the device, in host memory, or on disk with prefetching.

The first of these with enough room is used; a data set may take half of the free memory. A data set that does
not fit is read from its file batch by batch, in a thread.
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
"""The share of the free memory that a data set may take."""


class Store(Protocol):
    """Samples in one place, read by row numbers."""

    place: str
    """A description, for the log."""

    prefetch: int
    """How many batches are fetched in advance; 0 where ``take`` is fast enough."""

    def take(self, rows: Tensor) -> Tensor:
        """The samples [N, ...], on the device, of row numbers [N] int64 on the CPU."""
        ...


def store(samples: np.ndarray, device: torch.device, share: float = SHARE) -> Store:
    """Keeps samples in the fastest place with enough room. Host memory has to hold a copy per local rank."""
    if device.type == "cuda" and samples.nbytes <= share * torch.cuda.mem_get_info(device)[0]:
        return DeviceMemory(samples, device)
    if collectives.process_info().local_world_size * samples.nbytes <= share * free_memory():
        return DeviceMemory(samples, device) if device.type == "cpu" else HostMemory(samples, device)
    return MemoryMap(samples, device)


class DeviceMemory:
    """Samples in the device's memory."""

    prefetch = 0

    def __init__(self, samples: np.ndarray, device: torch.device) -> None:
        self.place = "in memory" if device.type == "cpu" else f"on {device}"
        self._samples = _channels_last(samples).to(device)

    def take(self, rows: Tensor) -> Tensor:
        return _as_images(_rows_of(self._samples, to_device(rows, self._samples.device)))


class HostMemory:
    """Samples in host memory, copied to the device batch by batch."""

    prefetch = 2

    def __init__(self, samples: np.ndarray, device: torch.device) -> None:
        self.place = "in host memory"
        self._samples = _channels_last(samples)
        self._device = device

    def take(self, rows: Tensor) -> Tensor:
        return _as_images(to_device(_rows_of(self._samples, rows), self._device))


class MemoryMap:
    """Samples in a cache entry's file, as a memory map; the system may drop its pages when memory is short."""

    prefetch = 4

    def __init__(self, samples: np.ndarray, device: torch.device) -> None:
        self.place = "on disk, read ahead"
        self._samples = samples
        self._device = device
        if isinstance(samples, np.memmap) and hasattr(mmap, "MADV_RANDOM"):
            samples._mmap.madvise(mmap.MADV_RANDOM)  # type: ignore[attr-defined]  # rows are read in random order

    def take(self, rows: Tensor) -> Tensor:
        return to_device(torch.from_numpy(self._samples[rows.numpy()]), self._device)


def _channels_last(samples: np.ndarray) -> Tensor:
    """A copy in memory; images as [N, H, W, C], the memory order of channels_last."""
    ordered = samples.transpose(0, 2, 3, 1) if samples.ndim == 4 else samples
    return torch.from_numpy(np.array(ordered, order="C"))


def _rows_of(samples: Tensor, rows: Tensor) -> Tensor:
    """``index_select`` copies whole rows; indexing with ``[]`` takes five times as long."""
    return samples.index_select(0, rows)


def _as_images(picked: Tensor) -> Tensor:
    """A view of [N, H, W, C] as [N, C, H, W]."""
    return picked.permute(0, 3, 1, 2) if picked.dim() == 4 else picked


def to_device(tensor: Tensor, device: torch.device) -> Tensor:
    """The tensor on a device; copies to CUDA are asynchronous, from pinned memory."""
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor.to(device)


def free_memory() -> float:
    """Bytes that this process can still allocate, within the limits of machine, cgroup and process."""
    bounds = [float("inf")]
    for line in _lines("/proc/meminfo"):
        if line.startswith("MemAvailable:"):
            bounds.append(float(line.split()[1]) * 1024)
    for line in _lines("/proc/self/cgroup"):
        _, controllers, group = line.split(":", 2)
        if controllers == "":
            bounds.append(_cgroup_free(f"/sys/fs/cgroup{group}", "memory.max", "memory.current"))
        elif "memory" in controllers.split(","):
            folder = f"/sys/fs/cgroup/memory{group}"
            bounds.append(_cgroup_free(folder, "memory.limit_in_bytes", "memory.usage_in_bytes"))
    if sys.platform != "win32":
        address_space = resource.getrlimit(resource.RLIMIT_AS)[0]
        size = _lines("/proc/self/statm")
        if address_space != resource.RLIM_INFINITY and size:
            bounds.append(address_space - float(size[0].split()[0]) * os.sysconf("SC_PAGE_SIZE"))
    return max(0.0, min(bounds))


def _cgroup_free(folder: str, limit: str, usage: str) -> float:
    """Free bytes of a cgroup; the page cache counts as free."""
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
