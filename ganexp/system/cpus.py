"""The processor: its name, and the number of CPUs available to this process. Needs no torch."""

import os
import platform
from pathlib import Path


def cpu_count(limit: Path = Path("/sys/fs/cgroup/cpu.max")) -> int:
    """The CPUs in this process's affinity mask, at most as many as its container's CPU quota."""
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = limit.read_text().split()
    except (OSError, ValueError):
        return affinity
    return min(affinity, max(1, int(quota) // int(period))) if quota.isdecimal() else affinity


def processor_name(file: Path = Path("/proc/cpuinfo")) -> str:
    """The processor's name, from /proc/cpuinfo where that exists."""
    lines = file.read_text(encoding="utf-8").splitlines() if file.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
