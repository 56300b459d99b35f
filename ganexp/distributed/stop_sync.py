"""Makes all ranks save at the same step: rank 0 decides, and broadcasts its decision every few steps."""

import time

from ganexp.distributed import collectives, objects

_MAX_SECONDS = 0.25  # between broadcasts, which take less than a thousandth of that
_MAX_STEPS = 100  # steps between broadcasts


class StopSync:
    """Called once per step on every rank; returns rank 0's ``wanted`` on all of them, or False in between."""

    def __init__(self) -> None:
        self._steps_since_broadcast = 0
        self._steps_until_broadcast = 1
        self._last_broadcast = time.monotonic()

    def __call__(self, wanted: bool) -> bool:
        if collectives.world_size() == 1:
            return wanted
        self._steps_since_broadcast += 1
        if self._steps_since_broadcast < self._steps_until_broadcast:
            return False
        now = time.monotonic()
        seconds_per_step = max((now - self._last_broadcast) / self._steps_since_broadcast, 1e-6)
        agreed, self._steps_until_broadcast = objects.broadcast_ints(
            [wanted, max(1, min(_MAX_STEPS, int(_MAX_SECONDS / seconds_per_step)))]
        )
        self._steps_since_broadcast, self._last_broadcast = 0, now
        return bool(agreed)
