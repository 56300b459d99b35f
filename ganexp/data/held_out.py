"""A data set's held-out split, which training does not use: test, or else validation."""

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from ganexp.data.arrays import Arrays
from ganexp.data.download import DOWNLOADS_ALLOWED
from ganexp.data.source import Source
from ganexp.errors import UserError, suggest

TRAINING, HELD_OUT, AUTO = "training", "held_out", "auto"
"""Values of evaluate.split besides a split's name: the training samples; the first held-out split found; that
split if there is one, else the training samples."""

_MIN_SAMPLES = 8


class HeldOut(NamedTuple):
    """A held-out split: its name, its data, and its labels int64 as the training data has them.

    They are class numbers [N], or attributes [N, K] in the training data's order; None where the split has a
    class that the training data does not have, or lacks one of its attributes.
    """

    split: str
    data: Arrays
    labels: np.ndarray | None

    def relabelled(self) -> Arrays:
        """The data with the training data's labels, where these can be had."""
        return self.data if self.labels is None else replace(self.data, labels=self.labels)


def evaluated(source: Source, data: Arrays, split: str) -> Arrays:
    """The samples that ``evaluate.split`` names: ``data``, or those of a held-out split.

    Raises UserError where that is missing.
    """
    if split == TRAINING:
        return data
    try:
        return held_out(source, data, None if split in (HELD_OUT, AUTO) else split).relabelled()
    except UserError:
        if split == AUTO:
            return data
        raise


def held_out(source: Source, data: Arrays, name: str | None, *, everything: bool = False) -> HeldOut:
    """The split of that name, or the first held-out one. Raises UserError where there is none.

    It lacks what ``data.leave_out`` names, as ``data`` does, unless ``everything`` is asked for. Nothing is
    downloaded: a download includes all splits.
    """
    splits = source.held_out()
    kind = type(source).__name__
    if not splits:
        raise UserError(f"{kind} has no held-out split")
    if name is not None and name not in splits:
        raise UserError(f"{kind} has no such split; {suggest(name, splits)}")
    name = name or next(iter(splits))
    token = DOWNLOADS_ALLOWED.set(False)
    try:
        found = splits[name].load()
    finally:
        DOWNLOADS_ALLOWED.reset(token)
    kept = found if everything else source.kept(found, data.classes)
    if len(kept.samples) < _MIN_SAMPLES:
        raise UserError(f"the split {name} has only {len(kept.samples)} samples")
    labels = _renumbered if source.label_kind == "classes" else _reordered
    return HeldOut(name, kept, labels(kept, data.classes))


def _renumbered(found: Arrays, classes: tuple[str, ...]) -> np.ndarray | None:
    """The labels as indices into ``classes``; None where a class is not among them."""
    if not set(found.classes) <= set(classes):
        return None
    numbers = np.array([classes.index(own) for own in found.classes], np.int64)
    return np.asarray(numbers[found.labels])


def _reordered(found: Arrays, attributes: tuple[str, ...]) -> np.ndarray | None:
    """The labels' columns in the order of ``attributes``; None where one of these is missing."""
    if not set(attributes) <= set(found.classes):
        return None
    return np.asarray(found.labels[:, [found.classes.index(name) for name in attributes]])
