"""A few samples of each class of a data set (``data.per_class``)."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ganexp.data.arrays import Arrays
from ganexp.errors import UserError


def rows_per_class(arrays: Arrays, count: int, seed: int, left_out: Sequence[str] = ()) -> np.ndarray:
    """Rows of ``count`` random samples of each class but ``left_out``, ascending int64.

    With the same seed, those of a smaller count are among those of a larger one. Raises UserError where a class
    has fewer samples, and where labels are no classes.
    """
    if arrays.labels.ndim != 1:
        raise UserError(f"data.per_class={count}: samples have several attributes, and not one class each")
    found = np.bincount(arrays.labels, minlength=len(arrays.classes))
    used = [label for label, name in enumerate(arrays.classes) if name not in left_out]
    least = min(used, key=lambda label: found[label])
    if found[least] < count:
        raise UserError(
            f"data.per_class={count}: the class {arrays.classes[least]} has {found[least]:,} samples"
        )
    order = np.random.default_rng(seed).permutation(len(arrays.labels))
    of_class = [order[arrays.labels[order] == label][:count] for label in used]
    return np.sort(np.concatenate(of_class))


def take_rows(arrays: Arrays, rows: np.ndarray, *, paired: bool) -> Arrays:
    """These samples in memory, with their labels and, if ``paired``, their sources; other sources all stay."""
    sources = arrays.sources
    if sources is not None and paired:
        sources = np.ascontiguousarray(sources[rows])
    samples = np.ascontiguousarray(arrays.samples[rows])
    return replace(arrays, samples=samples, labels=arrays.labels[rows], sources=sources, known="")
