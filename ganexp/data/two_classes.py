"""Two classes of a labelled set of images as unpaired domains."""

import hashlib
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from ganexp.data.arrays import Arrays
from ganexp.data.cache import CacheEntry
from ganexp.data.images import Images
from ganexp.data.leave_out import class_number
from ganexp.data.source import Source
from ganexp.errors import UserError


@dataclass(frozen=True, kw_only=True)
class TwoClasses(Images):
    """The images of class ``b`` as samples, those of class ``a`` as sources; copied into memory.

    Classes are given by name or number; by default they are the first and the second.
    """

    paired: ClassVar[bool] = False

    of: Images
    a: str | int | None
    b: str | int | None

    @classmethod
    def of_source(cls, of: Source, a: str | int | None, b: str | int | None) -> "TwoClasses":
        """Raises UserError for data that are no images with classes."""
        if not isinstance(of, Images) or of.label_kind != "classes" or of.classes < 2:
            raise UserError(
                "degrade=classes needs images of two classes or more: data.attribute=Smiling, data=cifar10, or "
                "a folder of one folder per class"
            )
        if of.leave_out:
            raise UserError(f"data.leave_out={of.leave_out}: degrade.a and degrade.b choose the classes here")
        return cls(
            shape=of.shape,
            bounded=of.bounded,
            classes=1,
            mirror=of.mirror,
            resolution=of.resolution,
            of=of,
            a=a,
            b=b,
        )

    def load(self) -> Arrays:
        arrays = self.of.for_training(self.of.load())
        a, b = (self._number(name, value, arrays.classes) for name, value in (("a", self.a), ("b", self.b)))
        if a == b:
            raise UserError(f"degrade.a and degrade.b are both the class {arrays.classes[a]}")
        rows = [np.flatnonzero(arrays.labels == number) for number in (a, b)]
        sources, samples = (np.ascontiguousarray(arrays.samples[of_class]) for of_class in rows)
        if not len(sources):
            raise UserError(f"degrade.a: there is no image of the class {arrays.classes[a]}")
        known = hashlib.sha256(f"{arrays.fingerprint} {a} {b}".encode()).hexdigest()
        labels = np.zeros(len(samples), np.int64)
        return self.check_arrays(Arrays(samples, labels, (arrays.classes[b],), known, sources))

    def entry(self) -> CacheEntry:
        return self.of.entry()

    def held_out(self) -> dict[str, Source]:
        """The same classes by name: a split that lacks one of the others numbers them differently."""
        splits = {name: split for name, split in self.of.held_out().items() if isinstance(split, Images)}
        if not splits:
            return {}
        classes = self.of.load().classes
        a, b = (classes[self._number(name, value, classes)] for name, value in (("a", self.a), ("b", self.b)))
        return {
            name: replace(self, of=replace(split, per_class=None), a=a, b=b) for name, split in splits.items()
        }

    def _number(self, name: str, value: str | int | None, classes: tuple[str, ...]) -> int:
        """A class's index by its name, or else its number. Raises UserError for others."""
        if value is None:
            return 0 if name == "a" else 1
        return class_number(f"degrade.{name}", value, classes)
