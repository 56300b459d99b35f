"""What every data set is: arrays of samples and labels, and a way to draw samples as a picture."""

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np
from PIL import Image

from ganexp.config.ranges import Count, Shape
from ganexp.data.picture import tile
from ganexp.errors import UserError


@dataclass(frozen=True)
class Arrays:
    """A data set in memory.

    ``samples`` [N, C, H, W] uint8 for images, [N, D] float32 for points; ``labels`` [N] int64;
    ``classes``: a name for each label.
    """

    samples: np.ndarray
    labels: np.ndarray
    classes: tuple[str, ...]

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of shape, samples, labels and class names: the same data, the same 64 digits."""
        digest = hashlib.sha256(repr((self.samples.shape, self.samples.dtype.str, self.classes)).encode())
        digest.update(np.ascontiguousarray(self.samples).data)
        digest.update(np.ascontiguousarray(self.labels).data)
        return digest.hexdigest()


@dataclass(frozen=True, kw_only=True)
class Source:
    """The base of every data set: the facts that networks are built from, before anything is read."""

    shape: Shape
    bounded: bool
    """Whether every value lies in [-1, 1] (images do)."""
    classes: Count

    overview: ClassVar[int] = 64
    """How many samples make a picture that shows what a generator does."""

    def load(self) -> Arrays:
        """Reads the data set. Raises UserError, one line, where it is missing, damaged or too small."""
        raise NotImplementedError

    def draw(self, samples: np.ndarray, columns: int) -> Image.Image:
        """Samples as the networks know them (float32, images in [-1, 1]) as one picture."""
        raise NotImplementedError

    def checked(self, arrays: Arrays) -> Arrays:
        """The arrays, if they are what the facts say. Raises UserError."""
        if len(arrays.samples) == 0:
            raise UserError(f"{type(self).__name__}: there is not a single sample in it")
        if list(arrays.samples.shape[1:]) != list(self.shape):
            found = list(arrays.samples.shape[1:])
            raise UserError(f"data.shape={list(self.shape)}: the data's samples are {found}")
        if len(arrays.classes) != self.classes:
            raise UserError(f"data.classes={self.classes}: the data has {len(arrays.classes)} classes")
        return arrays


@dataclass(frozen=True, kw_only=True)
class Images(Source):
    """A data set of square images."""

    resolution: Count

    def draw(self, samples: np.ndarray, columns: int) -> Image.Image:
        return tile(to_uint8(samples), columns)

    def draw_one(self, sample: np.ndarray) -> Image.Image:
        """One image [C, H, W] in [-1, 1], pixel for pixel."""
        pixels = to_uint8(sample).transpose(1, 2, 0)
        return Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)

    def fits(self, most: int) -> None:
        """Raises UserError where the images would have to be enlarged."""
        if self.resolution > most:
            name = type(self).__name__
            raise UserError(f"data.resolution={self.resolution}: {name}'s images are small; {most} is the most")


def to_uint8(samples: np.ndarray) -> np.ndarray:
    """Images in [-1, 1] as uint8 in [0, 255], rounded; values outside are cut off."""
    scaled = np.clip(samples, -1, 1) * 127.5 + 127.5
    rounded: np.ndarray = np.rint(scaled).astype(np.uint8)
    return rounded
