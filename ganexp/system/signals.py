"""Stop signals: the first lets a run finish its step and save, the second ends it at once."""

import os
import signal
import sys
import threading
from types import FrameType, TracebackType

STOP_SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
"""Signals of Ctrl-C; a scheduler or ``kill``; a closed terminal."""

_HANGUP = getattr(signal, "SIGHUP", None)

_TIME_LIMIT_WARNING = getattr(signal, "SIGUSR2", None)
"""A scheduler's warning that the job's time is nearly over; handled only where it has a handler already."""


class Stopped(KeyboardInterrupt):
    """A signal stopped the run; ``status`` is the process's exit status.

    ``at_once``: it was the second signal, so the process must not wait for anything.
    """

    def __init__(self, number: int, *, at_once: bool = False) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number
        self.status = 128 + number
        self.at_once = at_once


class SignalHandler:
    """Within this context the first signal is stored in ``pending``; ``obey`` raises Stopped for it."""

    def __init__(self) -> None:
        self.pending: int | None = None
        self._before: dict[int, object] = {}

    def __enter__(self) -> "SignalHandler":
        if threading.current_thread() is not threading.main_thread():
            return self  # only the main thread can set and run signal handlers
        for number in STOP_SIGNALS:
            if number != _HANGUP or signal.getsignal(number) is not signal.SIG_IGN:  # ignored under nohup
                self._before[number] = signal.signal(number, self._on_signal)
        if _TIME_LIMIT_WARNING is not None and callable(signal.getsignal(_TIME_LIMIT_WARNING)):
            self._before[_TIME_LIMIT_WARNING] = signal.signal(_TIME_LIMIT_WARNING, self._on_signal)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    def raise_if_pending(self) -> None:
        """Raises Stopped if a signal is pending."""
        if self.pending is not None:
            raise Stopped(self.pending)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if self.pending is not None:
            raise Stopped(number, at_once=True)
        self.pending = number
        line = f"\n{signal.Signals(number).name}: saving after this step; once more ends the run at once\n"
        os.write(sys.__stderr__.fileno() if sys.__stderr__ else 2, line.encode())  # print is not reentrant


def reraise_signal(stopped: BaseException) -> None:
    """Re-raises a scheduler's warning after the run has saved, for the handler that requeues the job."""
    if isinstance(stopped, Stopped) and stopped.number == _TIME_LIMIT_WARNING:
        signal.raise_signal(stopped.number)
