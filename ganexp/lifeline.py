"""A process that dies with the one that started it: its standard input is a pipe that then ends."""

import os
import signal
import sys
import threading

VARIABLE = "GANEXP_LIFELINE"


def hold() -> None:
    """If whoever started this process asked for it: stop as on ``kill``, saving first, when they are gone."""
    if os.environ.pop(VARIABLE, None):
        threading.Thread(target=_wait, name="lifeline", daemon=True).start()


def _wait() -> None:
    while os.read(sys.__stdin__.fileno() if sys.__stdin__ else 0, 1024):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
