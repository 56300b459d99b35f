"""The number of CPUs available to this process. Needs no torch."""

import os
from pathlib import Path


def cpu_count(limit: Path = Path("/sys/fs/cgroup/cpu.max")) -> int:
    """The CPUs in this process's affinity mask, at most as many as its container's CPU quota."""
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = limit.read_text().split()
    except (OSError, ValueError):
        return affinity
    return min(affinity, max(1, int(quota) // int(period))) if quota.isdecimal() else affinity
