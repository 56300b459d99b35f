"""Device, precision and threads of a run: one function for each choice of ``conf/device``."""

import os
import platform
from typing import NamedTuple

import torch

from ganexp.config.ranges import Count, PrecisionName, Whole
from ganexp.distributed import collectives
from ganexp.errors import UserError
from ganexp.system.cpus import cpu_count
from ganexp.training.precision import Precision

SMALL_NETWORKS = 1_000_000
"""Networks with fewer weights, over all players, compute on one thread."""


class Hardware(NamedTuple):
    """The device that a run uses, and how it computes there."""

    device: torch.device
    precision: Precision
    compile: bool
    """Whether the networks are compiled with torch.compile."""
    graphs: bool
    """Whether turns are captured as CUDA graphs."""
    sync_batch_norm: bool
    """Whether batch norm takes its statistics over the batches of all ranks."""
    auto_threads: bool = False
    """Whether ``limit_threads`` decides: neither the run nor OMP_NUM_THREADS says how many threads."""

    def __str__(self) -> str:
        """For the log: ``cuda:0 (NVIDIA H100, tf32, graphs)``, ``2 x cpu (x86_64, 1 threads)``."""
        if self.device.type == "cuda":
            told = torch.cuda.get_device_name(self.device)
        else:
            told = f"{platform.processor() or platform.machine()}, {torch.get_num_threads()} threads"
        how: list[str] = [] if self.precision.name == "fp32" else [self.precision.name]
        how += ["compiled"] * self.compile + ["graphs"] * (self.graphs and not self.precision.synchronises)
        if collectives.world_size() > 1 and self.sync_batch_norm:
            how.append("batch norm over all")
        count = f"{collectives.world_size()} x " if collectives.world_size() > 1 else ""
        return f"{count}{self.device} ({', '.join([told, *how])})"


def auto(
    precision: PrecisionName,
    threads: Count | None,
    compile: bool,
    graphs: bool,
    count: Count,
    sync_batch_norm: bool,
) -> Hardware:
    """The first GPUs if there are any, then Apple's Metal, then the CPU."""
    if torch.cuda.is_available():
        return cuda(0, precision, compile, graphs, count, sync_batch_norm)
    if torch.backends.mps.is_available() and count == 1:
        return mps(precision)
    return cpu(precision, threads, compile, count, sync_batch_norm)


def cpu(
    precision: PrecisionName, threads: Count | None, compile: bool, count: Count, sync_batch_norm: bool
) -> Hardware:
    """The CPU. Each process of this machine gets an equal share of ``threads``, or of the cores."""
    share = max(1, (threads or cpu_count()) // collectives.process_info().local_world_size)
    torch.set_num_threads(share if threads else min(torch.get_num_threads(), share))
    device = torch.device("cpu")
    chosen = threads is not None or "OMP_NUM_THREADS" in os.environ
    return Hardware(device, Precision(precision, device), compile, False, sync_batch_norm, not chosen)


def limit_threads(hardware: Hardware, weights: int) -> None:
    """Small networks compute on one thread, unless the user says otherwise.

    Their operations are so short that threads wait for one another longer than they compute: with two threads,
    a DCGAN of 186,000 weights trained at two thirds of the speed of one (``scripts/bench_threads.py``). The
    choice depends on the networks alone, so that a resumed run makes the same one.
    """
    if hardware.auto_threads and weights < SMALL_NETWORKS:
        torch.set_num_threads(1)


def cuda(
    index: Whole, precision: PrecisionName, compile: bool, graphs: bool, count: Count, sync_batch_norm: bool
) -> Hardware:
    """The NVIDIA (or ROCm) GPU ``index`` plus local rank. Raises UserError if there are too few GPUs."""
    found = torch.cuda.device_count() if torch.cuda.is_available() else 0
    here = collectives.process_info()
    needed = max(count, here.local_world_size)
    if index + needed > found:
        what = f"this machine has {found} CUDA device(s)" if found else "this machine has no CUDA device"
        asked = f"device.index={index}" + (f" device.count={needed}" if needed > 1 else "")
        raise UserError(f"device=cuda {asked}: {what}; device=auto uses what is available")
    torch.backends.cudnn.deterministic = True  # both, so that a resumed run ends in the same weights, bit for
    torch.backends.cudnn.benchmark = False  # bit: benchmarking may choose another kernel each time
    device = torch.device("cuda", index + here.local_rank)
    if here.world_size > 1:
        torch.cuda.set_device(device)  # collectives between GPUs use the current device
    return Hardware(device, Precision(precision, device), compile, graphs, sync_batch_norm)


def mps(precision: PrecisionName) -> Hardware:
    """Apple's Metal. Raises UserError if there is none, or if the run has several ranks."""
    if not torch.backends.mps.is_available():
        raise UserError("device=mps: this machine has no Metal device; device=auto uses what is available")
    if collectives.world_size() > 1:
        raise UserError("device=mps: Metal supports one process; device=cpu supports several")
    device = torch.device("mps")
    return Hardware(device, Precision(precision, device), compile=False, graphs=False, sync_batch_norm=False)
