"""Two domains that do not belong together: nothing is degraded."""

from dataclasses import dataclass
from typing import ClassVar

from ganexp.data.degradations.pairs import Pairs
from ganexp.data.source import Source
from ganexp.data.two_classes import TwoClasses


@dataclass(eq=False, repr=False, kw_only=True)
class Unpaired(Pairs):
    """The sources of a data set that has some, such as ``data=unpaired``; their targets are not known."""

    PAIRED: ClassVar[bool] = False

    @property
    def about(self) -> str:
        channels, height, width = self.source_shape
        return f"images of another domain, {channels} x {height} x {width}, that have no targets"


@dataclass(eq=False, repr=False, kw_only=True)
class Classes(Unpaired):
    """The images of class ``a`` as sources, and those of class ``b`` as samples: see ``TwoClasses``."""

    MAKES_DOMAINS: ClassVar[bool] = True

    a: str | int | None
    b: str | int | None

    @property
    def about(self) -> str:
        a, b = 0 if self.a is None else self.a, 1 if self.b is None else self.b
        return f"images of class {a}, to become images of class {b}"

    def domains(self, source: Source) -> Source:
        return TwoClasses.of_source(source, self.a, self.b)
