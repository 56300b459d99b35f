"""Lines that say how far a run is, for where no progress bar can be shown."""

import time

INTERVAL = 30.0
"""Seconds between two lines of an epoch. A shorter epoch has none."""


class ProgressLines:
    """Says how many images are done, how fast, and how long the rest will take.

    ``total``: images of the whole run; ``done``: images so far.
    """

    def __init__(self, total: int, done: int) -> None:
        self._total, self._done = total, done
        self._restart(done)

    def begin_epoch(self, epoch: int, done: int) -> None:
        """Starts a new interval: an epoch ends with a line of its own."""
        if done != self._done:  # a rollback
            self._restart(done)
        self._epoch = epoch
        self._since, self._before = time.monotonic(), done

    def advance(self, images: int) -> str | None:
        """Counts ``images`` more; returns a line where the last one is ``INTERVAL`` old."""
        self._done += images
        now = time.monotonic()
        if now - self._since < INTERVAL:
            return None
        speed = (self._done - self._before) / (now - self._since)
        overall = (self._done - self._first) / (now - self._began)  # with the scores and records of epochs
        minutes = round((self._total - self._done) / overall / 60)
        self._since, self._before = now, self._done
        left = f"about {minutes:,} min left" if minutes else "less than a minute left"
        done = f"{self._done:,} of {self._total:,} images"
        return f"epoch {self._epoch}  {done}  {speed:,.0f} images/s  {left}"

    def _restart(self, done: int) -> None:
        """Measures the whole run's speed from here on."""
        self._epoch = 0
        self._began, self._first = time.monotonic(), done
        self._since, self._before, self._done = self._began, done, done
