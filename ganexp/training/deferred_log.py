"""Log lines that are written before a run's log is open."""

from collections.abc import Callable


class DeferredLog:
    """Keeps the lines it is called with until ``to`` is called; passes them on at once after that."""

    def __init__(self) -> None:
        self._kept: list[str] = []
        self._say: Callable[[str], None] = self._kept.append

    def __call__(self, line: str) -> None:
        self._say(line)

    def to(self, say: Callable[[str], None]) -> None:
        """Passes the kept lines, and every later one, to ``say``."""
        for line in self._kept:
            say(line)
        self._kept.clear()
        self._say = say
