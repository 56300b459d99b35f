"""The base classes of data sets: their facts, their arrays, and conversions of their kind of sample."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, get_args, get_type_hints

import numpy as np
from PIL import Image

from ganexp.config.ranges import ClassNames, Count, Shape, Whole
from ganexp.data import cache
from ganexp.data.arrays import Arrays
from ganexp.data.leave_out import class_names, without
from ganexp.data.subset import rows_per_class, take_rows
from ganexp.errors import UserError

if TYPE_CHECKING:  # importing torch takes a second, and facts and pictures do not need it
    from torch import Tensor


LabelKind = Literal["classes", "attributes"]

SampleCritic = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray] | None]
"""From samples [N, ...] float32 to a critic's logits [N] and the gradients [N, ...] of these in the samples.

None where the critic cannot judge samples alone: it takes labels, or several samples at once.
"""

HELD_OUT = ("test", "valid", "val")
"""Names of held-out splits; the first one that a data set has is the default."""


@dataclass(frozen=True, kw_only=True)
class Source:
    """The base of every data set: facts that networks are built from, known before any data is read.

    It also defines the kind of sample: the conversion from stored samples to what networks take (``decode``)
    and back (``encode``), drawing, and writing files. The defaults are for real numbers, such as points, that
    are stored as networks take them.
    """

    shape: Shape
    bounded: bool
    """Whether all values are in [-1, 1], as for images."""
    classes: Count
    mirror: bool
    """Whether training mirrors each sample with probability 1/2."""
    leave_out: ClassNames = field(default_factory=list)
    """Classes or attributes whose samples are not used; see ``kept``."""
    per_class: Count | None = None
    """How many samples of each class are used for training; None: all."""
    per_class_seed: Whole = 0
    """Which ones these are."""

    preview_count: ClassVar[int] = 64
    """How many samples a preview shows."""

    is_image: ClassVar[bool] = False
    """Whether samples are images [C, H, W], stored as uint8; image networks can compute features of them."""

    paired: ClassVar[bool] = True
    """Whether the sample and the source of one index belong together; if not, they are unpaired domains."""

    file_type: ClassVar[str | None] = None
    """The file type of a single sample, such as ``png``; None if there is none."""

    terms: ClassVar[str] = "Samples imitate training data whose terms are not known to ganexp: ask their owner."
    """Whose the data are and what their terms allow, for the card of an exported generator; with a source."""

    value_range: ClassVar[float] = 1.0
    """Stored values are divided by this for statistics."""

    @property
    def label_kind(self) -> LabelKind:
        """``classes``: each sample has one (labels [N]); ``attributes``: it has some of several ([N, K])."""
        return "classes"

    def load(self) -> Arrays:
        """The whole data set. Raises UserError (one line) where it is missing, damaged or too small."""
        raise NotImplementedError

    def kept(self, arrays: Arrays, classes: Sequence[str]) -> Arrays:
        """``arrays``, of this or another split, without the samples that ``leave_out`` names.

        ``classes``: those of this split, which its numbers count. Raises UserError for an unknown one.
        """
        names = class_names("data.leave_out", self.leave_out, classes)
        return without(arrays, names, paired=self.paired)

    def for_training(self, arrays: Arrays) -> Arrays:
        """What training uses of the whole data set: ``per_class`` samples of all classes but ``leave_out``.

        Raises UserError for an unknown class, and where one has too few samples.
        """
        kept = self.kept(arrays, arrays.classes)
        rows = self.training_rows(kept)
        return kept if rows is None else take_rows(kept, rows, paired=self.paired)

    def training_rows(self, kept: Arrays) -> np.ndarray | None:
        """Which samples of ``kept`` are used for training [N] int64, ascending; None: all. Raises UserError."""
        if self.per_class is None:
            return None
        left_out = class_names("data.leave_out", self.leave_out, kept.classes)
        return rows_per_class(kept, self.per_class, self.per_class_seed, left_out)

    def entry(self) -> cache.CacheEntry | None:
        """The cache entry, prepared first if it is missing; None for data that are computed in ``load``."""
        return None

    def decode(self, samples: "Tensor") -> "Tensor":
        """Stored samples [N, ...], on any device, as networks take them: float32."""
        return samples

    def decode_sources(self, sources: "Tensor") -> "Tensor":
        """Stored sources [N, ...] as networks take them."""
        return self.decode(sources)

    def encode(self, samples: np.ndarray) -> np.ndarray:
        """Samples [N, ...] float32 from a network in the stored format."""
        return samples

    def held_out(self) -> "dict[str, Source]":
        """The held-out splits by name, if this split is ``train``; empty if there are none.

        The default takes them from the annotation of the field ``split``, such as ``Literal["train", "test"]``.
        """
        if getattr(self, "split", None) != "train":
            return {}
        known = get_args(get_type_hints(type(self))["split"])
        change: Any = replace
        return {name: change(self, split=name) for name in HELD_OUT if name in known}

    def draw(self, samples: np.ndarray, columns: int) -> Image.Image:
        """Samples as networks take them (float32, images in [-1, 1]), drawn as one picture."""
        raise NotImplementedError

    def draw_judged(self, samples: np.ndarray, columns: int, critic: SampleCritic) -> Image.Image:
        """As ``draw``, with what the critic makes of samples where that can be shown, as behind points."""
        return self.draw(samples, columns)

    def draw_stored(self, samples: np.ndarray, columns: int, sources: np.ndarray | None = None) -> Image.Image:
        """Stored samples, drawn as one picture, each behind its source where there are any."""
        return self.draw(samples, columns)

    def draw_beside(
        self, sources: np.ndarray | None, samples: np.ndarray, targets: np.ndarray | None, columns: int
    ) -> Image.Image:
        """One picture of samples, each between its source and its target.

        Raises UserError where this kind of sample cannot be drawn so.
        """
        raise UserError(f"{type(self).__name__} cannot draw what samples were made from")

    def save(self, samples: np.ndarray, files: Sequence[Path]) -> None:
        """Writes each of the samples [N, ...] float32 from a network to a file of ``file_type``.

        The folders of the files have to exist. Raises OSError.
        """
        raise UserError(f"{type(self).__name__} has no files of single samples; format=npz keeps them")

    def to_array(self, samples: np.ndarray) -> tuple[str, np.ndarray]:
        """A name and an array for other programs, from samples [N, ...] float32 of a network."""
        return "samples", self.encode(samples)

    def check_arrays(self, arrays: Arrays) -> Arrays:
        """Returns the arrays. Raises UserError where they do not match the facts."""
        if len(arrays.samples) == 0:
            raise UserError(f"{type(self).__name__}: the data set is empty")
        if list(arrays.samples.shape[1:]) != list(self.shape):
            found = list(arrays.samples.shape[1:])
            raise UserError(f"data.shape={list(self.shape)}: the data's samples are {found}")
        if len(arrays.classes) != self.classes:
            raise UserError(
                f"data.classes={self.classes}: the data has {len(arrays.classes)} {self.label_kind}"
            )
        if len(arrays.labels) != len(arrays.samples):
            raise UserError(f"{len(arrays.samples):,} samples, but {len(arrays.labels):,} labels")
        if arrays.sources is not None and self.paired and len(arrays.sources) != len(arrays.samples):
            raise UserError(f"{len(arrays.samples):,} samples, but {len(arrays.sources):,} sources for them")
        wanted = [self.classes] if self.label_kind == "attributes" else []
        if list(arrays.labels.shape[1:]) != wanted:
            found = list(arrays.labels.shape[1:])
            kind = f"{type(self).__name__}'s {self.label_kind}"
            raise UserError(f"{kind} should be of shape {wanted} for each sample, and are {found}")
        if self.label_kind == "classes" and (arrays.labels.min() < 0 or arrays.labels.max() >= self.classes):
            wrong = next(int(label) for label in arrays.labels if not 0 <= label < self.classes)
            raise UserError(f"data.classes={self.classes}: a label of {wrong} is none of them")
        return arrays
