"""Data sets of square images: one file per image, or a few files that hold all of them."""

import hashlib
import sys
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np
from PIL import Image

from ganexp.config.ranges import Count, Crop, OnError
from ganexp.data import cache
from ganexp.data.arrays import Arrays
from ganexp.data.decode import Recipe
from ganexp.data.file_tree import FileTree
from ganexp.data.picture import save_png, side_by_side, tile
from ganexp.data.prepare import decode_into, drop_rows
from ganexp.data.source import Source
from ganexp.errors import UserError, readable

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Images(Source):
    """A data set of square images, prepared once and then read from the cache."""

    resolution: Count

    is_image: ClassVar[bool] = True
    file_type: ClassVar[str | None] = "png"
    value_range: ClassVar[float] = 255.0

    def load(self) -> Arrays:
        return self.check_arrays(self.entry().open())

    def decode(self, samples: "Tensor") -> "Tensor":
        """uint8 [N, C, H, W] to float32 in [-1, 1], in channels_last, the fastest format for convolutions."""
        import torch

        return samples.to(torch.float32, memory_format=torch.channels_last).mul_(1 / 127.5).sub_(1)

    def encode(self, samples: np.ndarray) -> np.ndarray:
        return to_uint8(samples)

    def entry(self) -> cache.CacheEntry:
        """The cache entry, prepared first if it is missing. Raises UserError."""
        return cache.get_or_prepare(type(self).__name__.lower(), self.identity(), self.prepare)

    def identity(self) -> dict[str, Any]:
        """Everything that pixels or labels depend on; the cache key is made from it."""
        excluded = {"root", "mirror", "leave_out", "per_class", "per_class_seed"}
        settings = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in excluded}
        return {"settings": settings, "origin": self.origin()}

    def origin(self) -> str:
        """A fingerprint of the files on disk that does not read all of them."""
        raise NotImplementedError

    def prepare(self, draft: cache.CacheWriter) -> None:
        """Writes the data set to the cache. Raises UserError."""
        raise NotImplementedError

    def draw(self, samples: np.ndarray, columns: int) -> Image.Image:
        return tile(to_uint8(samples), columns)

    def draw_stored(self, samples: np.ndarray, columns: int, sources: np.ndarray | None = None) -> Image.Image:
        if sources is None:
            return tile(samples, columns)
        return tile(side_by_side([sources, samples]), 2 * columns)

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

    def check_resolution(self, largest: int) -> None:
        """Raises UserError where ``resolution`` is larger than ``largest``."""
        if self.resolution > largest:
            name = type(self).__name__
            raise UserError(f"data.resolution={self.resolution}: the largest for {name} is {largest}")


def leave_out(reasons: Sequence[str], count: int, noun: str, root: Path, on_error: OnError) -> None:
    """Prints why some of ``count`` images or pairs (``noun``) are left out.

    Raises UserError where ``on_error`` says so, or none would be left.
    """
    told = f"{len(reasons):,} of {count:,} {noun} cannot be used"
    if on_error == "raise" or len(reasons) == count:
        hint = "" if len(reasons) == count else "; data.on_error=skip leaves such files out"
        raise UserError(f"{told}, the first: {reasons[0]} (in {root}){hint}")
    print("\n".join([f"{told} and are left out:", *map(readable, reasons)]), file=sys.stderr)


class Listing(NamedTuple):
    """The image files of a data set and their labels."""

    tree: FileTree
    names: Sequence[str]
    labels: np.ndarray
    classes: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class ImageFiles(Images):
    """A data set of one file per image."""

    crop: Crop
    on_error: OnError

    def listing(self) -> Listing:
        """The files to read and their labels. Raises UserError."""
        raise NotImplementedError

    def origin(self) -> str:
        listing = self.listing()
        labels = hashlib.sha256(listing.labels.tobytes()).hexdigest()
        return f"{listing.tree.stamp(listing.names)} {labels} {listing.classes}"

    def prepare(self, draft: cache.CacheWriter) -> None:
        listing = self.listing()
        recipe = Recipe(self.shape[0], self.resolution, self.crop)
        failed = decode_into(draft.samples, listing.tree, listing.names, recipe)
        draft.labels, draft.classes = listing.labels, listing.classes
        if not failed:
            return
        reasons = [reason for _, reason in failed]
        leave_out(reasons, len(listing.names), "images", listing.tree.root, self.on_error)
        draft.labels = draft.labels[drop_rows(draft.samples, [row for row, _ in failed])]
        draft.left_out = tuple(reasons)


@dataclass(frozen=True, kw_only=True)
class ImageArrays(Images):
    """A data set whose images are all in a few files."""

    def read(self) -> Arrays:
        """Reads the whole data set into memory. Raises UserError."""
        raise NotImplementedError

    def files(self) -> list[Path]:
        """The data set's files, downloaded first if they are missing. Raises UserError."""
        raise NotImplementedError

    def origin(self) -> str:
        try:
            stats = [(file.name, file.stat()) for file in self.files()]
        except OSError as error:
            raise UserError(f"{error.filename} cannot be read: {error.strerror}") from None
        return repr([(name, stat.st_size, stat.st_mtime_ns) for name, stat in stats])

    def prepare(self, draft: cache.CacheWriter) -> None:
        draft.fill(self.check_arrays(self.read()))


def to_uint8(samples: np.ndarray) -> np.ndarray:
    """Images in [-1, 1] as uint8 in [0, 255], rounded; values outside are clipped."""
    scaled = np.clip(samples, -1, 1) * 127.5 + 127.5
    rounded: np.ndarray = np.rint(scaled).astype(np.uint8)
    return rounded
