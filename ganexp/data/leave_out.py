"""Leaves the samples of some classes out of a data set, such as a digit that no training image shows.

Classes keep their numbers and names, so that networks and labels stay as they are, and held-out images of the
classes that were left out can be compared with the others.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from ganexp.data.arrays import Arrays
from ganexp.data.subset import take_rows
from ganexp.errors import UserError, suggest


def class_number(setting: str, value: str | int, classes: Sequence[str]) -> int:
    """A class's index by its name, or else its number. Raises UserError, with the setting, for others."""
    if str(value) in classes:
        return classes.index(str(value))
    if isinstance(value, int) and 0 <= value < len(classes):
        return value
    raise UserError(f"{setting}={value}: no such class; {suggest(str(value), classes)}")


def class_names(setting: str, values: Iterable[str | int], classes: Sequence[str]) -> tuple[str, ...]:
    """The names of classes that are given by name or number. Raises UserError for others."""
    return tuple(classes[class_number(setting, value, classes)] for value in values)


def shows_any(arrays: Arrays, names: Iterable[str]) -> np.ndarray:
    """Which samples [N] bool have one of these classes or attributes; unknown names are ignored."""
    numbers = [arrays.classes.index(name) for name in names if name in arrays.classes]
    if arrays.labels.ndim == 1:
        return np.asarray(np.isin(arrays.labels, numbers))
    return np.asarray((arrays.labels[:, numbers] == 1).any(1))


def without(arrays: Arrays, names: Sequence[str], *, paired: bool) -> Arrays:
    """The samples that have none of these classes or attributes, copied into memory if there are others.

    ``paired``: sources of one index with a sample go with it. Raises UserError where nothing is left.
    """
    if not names:
        return arrays
    rows = np.flatnonzero(~shows_any(arrays, names))
    if not len(rows):
        raise UserError(f"data.leave_out=[{','.join(names)}]: no sample is left")
    known = hashlib.sha256(f"{arrays.fingerprint} without {sorted(names)}".encode()).hexdigest()
    return replace(take_rows(arrays, rows, paired=paired), known=known)
