"""How many processors there are for this process. Needs no torch."""

import os
from pathlib import Path


def cores() -> int:
    """Those that the system lets it run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def granted(limit: Path = Path("/sys/fs/cgroup/cpu.max")) -> int:
    """As many as a container grants the time of, which torch does not ask for; all if it says nothing."""
    everything = os.cpu_count() or 1
    try:
        quota, period = limit.read_text().split()
    except (OSError, ValueError):
        return everything
    return max(1, int(quota) // int(period)) if quota.isdecimal() else everything
