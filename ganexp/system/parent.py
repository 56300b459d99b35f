"""Ends a child process with its parent: the child's stdin is a pipe, which closes when the parent exits."""

import os
import signal
import sys
import threading
from collections.abc import Callable

VARIABLE = "GANEXP_LIFELINE"


def _stop() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


def exit_with_parent(gone: Callable[[], None] = _stop) -> None:
    """Calls ``gone()`` when the parent exits, if the parent has set ``VARIABLE``.

    By default the process then stops as on SIGTERM, and saves first.
    """
    if os.environ.pop(VARIABLE, None):
        threading.Thread(target=_wait, args=(gone,), name="lifeline", daemon=True).start()


def _wait(gone: Callable[[], None]) -> None:
    while os.read(sys.__stdin__.fileno() if sys.__stdin__ else 0, 1024):
        pass
    gone()
