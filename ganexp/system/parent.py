"""A process that dies with the one that started it: its standard input is a pipe that then ends."""

import os
import signal
import sys
import threading
from collections.abc import Callable

VARIABLE = "GANEXP_LIFELINE"


def _stop() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


def exit_with_parent(gone: Callable[[], None] = _stop) -> None:
    """If whoever started this process asked for it: ``gone()`` when they are.

    By default it then stops as on ``kill``, saving first.
    """
    if os.environ.pop(VARIABLE, None):
        threading.Thread(target=_wait, args=(gone,), name="lifeline", daemon=True).start()


def _wait(gone: Callable[[], None]) -> None:
    while os.read(sys.__stdin__.fileno() if sys.__stdin__ else 0, 1024):
        pass
    gone()
