"""How many processors there are for this process. Needs no torch."""

import os
from pathlib import Path


def cores(limit: Path = Path("/sys/fs/cgroup/cpu.max")) -> int:
    """Those that the system lets it run on, and no more than its container grants the time of."""
    bound = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = limit.read_text().split()
    except (OSError, ValueError):
        return bound
    return min(bound, max(1, int(quota) // int(period))) if quota.isdecimal() else bound
