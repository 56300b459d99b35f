"""Makes all ranks save at the same step: rank 0 decides, and broadcasts its decision every few steps."""

import time

from ganexp.distributed import collectives, objects

_OFTEN = 0.25  # seconds between broadcasts, which take less than a thousandth of that
_MOST = 100  # steps between broadcasts


class StopSync:
    """Called once per step on every rank; returns rank 0's ``wanted`` on all of them, or False in between."""

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
