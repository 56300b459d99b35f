"""What every data set is: facts known beforehand, arrays to train on, and what its kind of sample can do."""

import hashlib
import sys
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple, get_args, get_type_hints

import numpy as np
from PIL import Image

from ganexp.config.ranges import Count, Crop, Shape
from ganexp.data import cache
from ganexp.data.arrays import Arrays
from ganexp.data.decode import Recipe
from ganexp.data.file_tree import FileTree
from ganexp.data.picture import save_png, side_by_side, tile
from ganexp.data.prepare import decode_into, drop_rows
from ganexp.errors import UserError, readable

if TYPE_CHECKING:  # facts and pictures of data need no torch, whose import takes a second
    from torch import Tensor


LabelKind = Literal["classes", "attributes"]

HELD_OUT = ("test", "valid", "val")
"""Names of splits that training leaves alone; the first that a set has is the one to compare with."""


@dataclass(frozen=True, kw_only=True)
class Source:
    """The base of every data set: facts from which networks are built before anything is read, and its kind.

    The kind of sample is stated here and guessed nowhere else: how stored samples become what networks see
    (``decode``) and back (``encode``), how they are drawn, and how they are written into files. What is stated
    here fits real numbers, such as points, that are stored as networks see them.
    """

    shape: Shape
    bounded: bool
    """Whether every value lies in [-1, 1] (images do)."""
    classes: Count
    mirror: bool
    """Whether training sees each sample mirrored half of the time."""

    preview_count: ClassVar[int] = 64
    """How many samples make a picture that shows what a generator does."""

    is_image: ClassVar[bool] = False
    """Whether samples are [C, H, W], stored as uint8, so that networks for images can be asked for features."""

    label_kind: ClassVar[LabelKind] = "classes"
    """Whether a sample has one class of several (labels [N]) or several attributes at once (labels [N, K])."""

    paired: ClassVar[bool] = True
    """Whether sample and source of one index belong together; otherwise they are two domains."""

    file_type: ClassVar[str | None] = None
    """What kind of file holds a sample, such as ``png``; None if there is none."""

    value_range: ClassVar[float] = 1.0
    """What stored values are divided by when statistics of them are told."""

    def load(self) -> Arrays:
        """The data set. Raises UserError, one line, where it is missing, damaged or too small."""
        raise NotImplementedError

    def entry(self) -> cache.CacheEntry | None:
        """The prepared set in the cache, made first if need be; None for data that are made when they are
        needed.
        """
        return None

    def decode(self, samples: "Tensor") -> "Tensor":
        """Stored samples [N, ...], on any device, as networks see them: float32."""
        return samples

    def decode_sources(self, sources: "Tensor") -> "Tensor":
        """Stored sources [N, ...] as networks see them."""
        return self.decode(sources)

    def encode(self, samples: np.ndarray) -> np.ndarray:
        """Samples [N, ...] float32 from a network as they would be stored."""
        return samples

    def held_out(self) -> "dict[str, Source]":
        """By their names, the set's other splits, where this one is ``train``; empty where there are none.

        A set that writes its splits as ``split: Literal["train", "test"]`` has them by that alone.
        """
        if getattr(self, "split", None) != "train":
            return {}
        known = get_args(get_type_hints(type(self))["split"])
        change: Any = replace
        return {name: change(self, split=name) for name in HELD_OUT if name in known}

    def draw(self, samples: np.ndarray, columns: int) -> Image.Image:
        """Samples as the networks know them (float32, images in [-1, 1]) as one picture."""
        raise NotImplementedError

    def draw_stored(self, samples: np.ndarray, columns: int) -> Image.Image:
        """Stored samples as one picture."""
        return self.draw(samples, columns)

    def draw_beside(
        self, sources: np.ndarray | None, samples: np.ndarray, targets: np.ndarray | None, columns: int
    ) -> Image.Image:
        """Samples, each with what it was made from before it and what it should be behind it.

        Raises UserError where such samples cannot be drawn so.
        """
        raise UserError(f"{type(self).__name__} cannot draw what samples were made from")

    def save(self, samples: np.ndarray, files: Sequence[Path]) -> None:
        """Writes samples [N, ...] float32 from a network into a file each, of ``file_type``.

        The folders of the files are there. Raises OSError.
        """
        raise UserError(f"{type(self).__name__} has no files of single samples; format=npz keeps them")

    def to_array(self, samples: np.ndarray) -> tuple[str, np.ndarray]:
        """Samples [N, ...] float32 from a network as an array for other programs, and what it is called."""
        return "samples", self.encode(samples)

    def checked(self, arrays: Arrays) -> Arrays:
        """The arrays, if they are what the facts say. Raises UserError."""
        if len(arrays.samples) == 0:
            raise UserError(f"{type(self).__name__}: there is not a single sample in it")
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


@dataclass(frozen=True, kw_only=True)
class Images(Source):
    """A data set of square images, prepared once and then opened from the cache."""

    resolution: Count

    is_image: ClassVar[bool] = True
    file_type: ClassVar[str | None] = "png"
    value_range: ClassVar[float] = 255.0

    def load(self) -> Arrays:
        return self.checked(self.entry().open())

    def decode(self, samples: "Tensor") -> "Tensor":
        """uint8 [N, C, H, W] to float32 in [-1, 1], with channels last in memory, as convolutions are
        fastest.
        """
        import torch

        return samples.to(torch.float32, memory_format=torch.channels_last).mul_(1 / 127.5).sub_(1)

    def encode(self, samples: np.ndarray) -> np.ndarray:
        return to_uint8(samples)

    def entry(self) -> cache.CacheEntry:
        """The prepared set, made first if need be. Raises UserError."""
        return cache.get_or_prepare(type(self).__name__.lower(), self.identity(), self.prepare)

    def identity(self) -> dict[str, Any]:
        """Everything that a pixel or a label depends on."""
        apart = {"root", "mirror"}
        settings = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in apart}
        return {"settings": settings, "origin": self.origin()}

    def origin(self) -> str:
        """A fingerprint of what lies on disk, found without reading all of it."""
        raise NotImplementedError

    def prepare(self, draft: cache.CacheWriter) -> None:
        """Makes the set. Raises UserError."""
        raise NotImplementedError

    def draw(self, samples: np.ndarray, columns: int) -> Image.Image:
        return tile(to_uint8(samples), columns)

    def draw_stored(self, samples: np.ndarray, columns: int) -> Image.Image:
        return tile(samples, columns)

    def draw_beside(
        self, sources: np.ndarray | None, samples: np.ndarray, targets: np.ndarray | None, columns: int
    ) -> Image.Image:
        shown = [to_uint8(images) for images in (sources, samples, targets) if images is not None]
        return tile(side_by_side(shown), columns * len(shown))

    def save(self, samples: np.ndarray, files: Sequence[Path]) -> None:
        for sample, file in zip(to_uint8(samples), files, strict=True):
            pixels = sample.transpose(1, 2, 0)
            save_png(Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels), file)

    def to_array(self, samples: np.ndarray) -> tuple[str, np.ndarray]:
        """``images`` [N, H, W, C] uint8."""
        return "images", to_uint8(samples).transpose(0, 2, 3, 1)

    def fits(self, most: int) -> None:
        """Raises UserError where the images would have to be enlarged."""
        if self.resolution > most:
            name = type(self).__name__
            raise UserError(f"data.resolution={self.resolution}: {name}'s images are small; {most} is the most")


class Listing(NamedTuple):
    """The files that a set is made of, with a label for each."""

    tree: FileTree
    names: Sequence[str]
    labels: np.ndarray
    classes: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class ImageFiles(Images):
    """A data set of one file per image."""

    crop: Crop
    on_error: Literal["raise", "skip"]

    def listing(self) -> Listing:
        """What to read. Raises UserError."""
        raise NotImplementedError

    def origin(self) -> str:
        listing = self.listing()
        labels = hashlib.sha256(listing.labels.tobytes()).hexdigest()
        return f"{listing.tree.stamp(listing.names)} {labels} {listing.classes}"

    def prepare(self, draft: cache.CacheWriter) -> None:
        listing = self.listing()
        recipe = Recipe(self.shape[0], self.resolution, self.crop)
        bad = decode_into(draft.samples, listing.tree, listing.names, recipe)
        draft.labels, draft.classes = listing.labels, listing.classes
        if not bad:
            return
        told = f"{len(bad):,} of {len(listing.names):,} images cannot be used"
        if self.on_error == "raise" or len(bad) == len(listing.names):
            wayout = "" if len(bad) == len(listing.names) else "; data.on_error=skip leaves such files out"
            raise UserError(f"{told}, the first: {bad[0][1]} (in {listing.tree.root}){wayout}")
        draft.labels = draft.labels[drop_rows(draft.samples, [row for row, _ in bad])]
        draft.left_out = tuple(reason for _, reason in bad)
        left_out = [readable(reason) for reason in draft.left_out]
        print("\n".join([f"{told} and are left out:", *left_out]), file=sys.stderr)


@dataclass(frozen=True, kw_only=True)
class ImageArrays(Images):
    """A data set of a few files that hold all images."""

    def read(self) -> Arrays:
        """The whole set, in memory. Raises UserError."""
        raise NotImplementedError

    def files(self) -> list[Path]:
        """The files that it is read from, fetched first if they are missing. Raises UserError."""
        raise NotImplementedError

    def origin(self) -> str:
        try:
            stats = [(file.name, file.stat()) for file in self.files()]
        except OSError as error:
            raise UserError(f"{error.filename} cannot be read: {error.strerror}") from None
        return repr([(name, stat.st_size, stat.st_mtime_ns) for name, stat in stats])

    def prepare(self, draft: cache.CacheWriter) -> None:
        draft.fill(self.checked(self.read()))


def to_uint8(samples: np.ndarray) -> np.ndarray:
    """Images in [-1, 1] as uint8 in [0, 255], rounded; values outside are cut off."""
    scaled = np.clip(samples, -1, 1) * 127.5 + 127.5
    rounded: np.ndarray = np.rint(scaled).astype(np.uint8)
    return rounded
