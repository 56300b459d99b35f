"""How OpenMP's threads wait for one another.

A thread that waits for the others at the end of a parallel loop spins, and sleeps after ``GOMP_SPINCOUNT``
rounds. GNU's runtime, which torch's builds for Linux contain, spins for milliseconds by default: on a machine
with other busy programs the spinning thread takes the very core that the others need, and training slows down.
``scripts/bench_threads.py`` measures it. Other runtimes ignore the variable.
"""

import os
import sys

SPINS = 1_000
"""Rounds before a thread sleeps: more than the gap between two operations of a step, less than a time slice."""

_USERS_CHOICE = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")


def limit_spinning() -> None:
    """Sets the spin count for this process and its children, unless the user has set it or the wait policy.

    The runtime reads the environment when torch is imported; later calls have no effect.
    """
    if "torch" not in sys.modules and not any(name in os.environ for name in _USERS_CHOICE):
        os.environ["GOMP_SPINCOUNT"] = str(SPINS)
