"""How OpenMP's threads wait for one another.

A thread that waits for the others at the end of a parallel loop either spins or sleeps. GNU's runtime, which
torch's builds for Linux contain, spins for milliseconds by default: on a machine with other busy programs the
spinning thread takes the very core that the others need, and training slows down many times.
``scripts/bench_threads.py`` measures it.
"""

import os
import sys

_USERS_CHOICE = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")


def limit_spinning() -> None:
    """Makes waiting threads sleep, in this process and its children, unless the user has chosen a policy.

    The runtime reads the environment when torch is imported; later calls have no effect.
    """
    if "torch" not in sys.modules and not any(name in os.environ for name in _USERS_CHOICE):
        os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
