"""When all processes of a run stop to save: the first one decides, and tells the others now and then."""

import time

from ganexp.distributed import collectives, objects

_OFTEN = 0.25  # seconds between tellings, which take less than a thousandth of that
_MOST = 100  # steps between them


class StopSync:
    """Called once in each step by every process, it says the same to all: what the first one wanted."""

    def __init__(self) -> None:
        self._steps = 0
        self._next = 1
        self._last = time.monotonic()

    def __call__(self, wanted: bool) -> bool:
        if collectives.world() == 1:
            return wanted
        self._steps += 1
        if self._steps < self._next:
            return False
        now = time.monotonic()
        each = max((now - self._last) / self._steps, 1e-6)
        agreed, self._next = objects.broadcast_ints([wanted, max(1, min(_MOST, int(_OFTEN / each)))])
        self._steps, self._last = 0, now
        return bool(agreed)
