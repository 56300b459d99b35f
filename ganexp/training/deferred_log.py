"""Lines about a run from where its log is not known yet."""

from collections.abc import Callable


class DeferredLog:
    """Called with a line, it is kept until somebody listens, and passed on at once from then on."""

    def __init__(self) -> None:
        self._kept: list[str] = []
        self._say: Callable[[str], None] = self._kept.append

    def __call__(self, line: str) -> None:
        self._say(line)

    def to(self, say: Callable[[str], None]) -> None:
        """Tells ``say`` what was kept, and all that comes."""
        for line in self._kept:
            say(line)
        self._kept.clear()
        self._say = say
