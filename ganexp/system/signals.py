"""Being asked to stop: the first signal lets a run finish its step and save, the second ends it at once."""

import os
import signal
import sys
import threading
from types import FrameType, TracebackType

ASKING = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
"""Ctrl-C; a scheduler or ``kill``; a terminal that was closed."""

_HANGUP = getattr(signal, "SIGHUP", None)

_WARNING = getattr(signal, "SIGUSR2", None)
"""A scheduler's: the time of this job is nearly over. It is ours only where somebody waits for it."""


class Stopped(KeyboardInterrupt):
    """A run ended because it was asked to; ``status`` is what the process should exit with.

    ``at_once``: it was asked a second time, and nothing more is waited for.
    """

    def __init__(self, number: int, *, at_once: bool = False) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number
        self.status = 128 + number
        self.at_once = at_once


class SignalHandler:
    """Within this context signals are noted in ``pending``, and obeyed when there is time."""

    def __init__(self) -> None:
        self.pending: int | None = None
        self._before: dict[int, object] = {}

    def __enter__(self) -> "SignalHandler":
        if threading.current_thread() is not threading.main_thread():
            return self  # only the main thread is ever signalled
        for number in ASKING:
            if number != _HANGUP or signal.getsignal(number) is not signal.SIG_IGN:  # nohup
                self._before[number] = signal.signal(number, self._note)
        if _WARNING is not None and callable(signal.getsignal(_WARNING)):
            self._before[_WARNING] = signal.signal(_WARNING, self._note)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    def obey(self) -> None:
        """Raises Stopped if a signal came."""
        if self.pending is not None:
            raise Stopped(self.pending)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.pending is not None:
            raise Stopped(number, at_once=True)
        self.pending = number
        line = f"\n{signal.Signals(number).name}: saving after this step; once more ends the run at once\n"
        os.write(sys.__stderr__.fileno() if sys.__stderr__ else 2, line.encode())  # print may be under way


def reraise_signal(stopped: BaseException) -> None:
    """After a run has saved: whoever waited for a scheduler's warning, to queue the job again, gets it now."""
    if isinstance(stopped, Stopped) and stopped.number == _WARNING:
        signal.raise_signal(stopped.number)
