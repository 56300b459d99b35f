"""Ends a child process with its parent: the child's stdin is a pipe, which closes when the parent exits."""

import os
import signal
import sys
import threading
from collections.abc import Callable

EXIT_WITH_PARENT = "GANEXP_LIFELINE"


def _send_sigterm() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


def exit_with_parent(on_exit: Callable[[], None] = _send_sigterm) -> None:
    """Calls ``on_exit()`` when the parent exits, if the parent has set ``EXIT_WITH_PARENT``.

    By default the process then stops as on SIGTERM, and saves first.
    """
    if os.environ.pop(EXIT_WITH_PARENT, None):
        threading.Thread(target=_wait_for_parent, args=(on_exit,), name="lifeline", daemon=True).start()


def _wait_for_parent(on_exit: Callable[[], None]) -> None:
    while os.read(sys.__stdin__.fileno() if sys.__stdin__ else 0, 1024):
        pass
    on_exit()
