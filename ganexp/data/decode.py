"""Decodes one image into a square uint8 array: upright, without alpha, cropped, antialiased."""

import io
import logging
import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from importlib.util import find_spec
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from ganexp.config.ranges import Crop
from ganexp.errors import UserError, first_line

_FORMATS = ["PNG", "JPEG", "WEBP", "BMP", "TIFF", "GIF", "PPM", "JPEG2000"]  # EPS would start Ghostscript
if find_spec("PIL.AvifImagePlugin"):
    _FORMATS.append("AVIF")
_TIFF = (b"II", b"MM")  # the first bytes of a TIFF
_SIXTEEN_BIT_MODES = ("I", "I;16", "I;16B", "I;16L")  # 16-bit grey
_TURNED = (5, 6, 7, 8)  # EXIF orientations that exchange width and height
_MAKE_SQUARE: dict[str, Callable[..., Image.Image]] = {"centre": ImageOps.fit, "none": Image.Image.resize}


Part = Literal["whole", "left", "right"]
"""A file's whole image, or a half of it."""


class Recipe(NamedTuple):
    """How images are decoded: channels (1 or 3), side in pixels, crop, the part of the file that is the image.

    ``centre`` crops the largest central square, ``none`` squeezes the whole image into a square. ``setting``
    names the resolution in errors.
    """

    channels: int
    resolution: int
    crop: Crop
    part: Part = "whole"
    setting: str = "data.resolution"


def decode(raw: bytes, name: str, recipe: Recipe) -> np.ndarray:
    """One image as [channels, resolution, resolution] uint8.

    Raises UserError with the image's name where it is empty, damaged, too large (a decompression bomb) or
    smaller than the resolution.
    """
    picture = _part(_upright(raw, name, recipe.channels), name, recipe.part)
    if min(picture.size) < recipe.resolution:
        size = f"{picture.width} x {picture.height}"
        told = name if recipe.part == "whole" else f"the {recipe.part} half of {name}"
        raise UserError(f"{told} is only {size}, smaller than {recipe.setting}={recipe.resolution}")
    square = _MAKE_SQUARE[recipe.crop](
        picture, (recipe.resolution, recipe.resolution), Image.Resampling.BICUBIC
    )
    return _channels_first(square)


def decode_whole(raw: bytes, name: str, channels: int) -> np.ndarray:
    """One image in its own size: [channels, H, W] uint8. Raises UserError as ``decode`` does."""
    return _channels_first(_upright(raw, name, channels))


def size_of(raw: bytes, name: str) -> tuple[int, int]:
    """The width and height of the upright image, without decoding it. Raises UserError as ``decode`` does."""
    with _opened(raw, name) as image:
        # not image.getexif(), which decodes a PNG to look for metadata behind its pixels
        turned = Image.Image.getexif(image).get(ExifTags.Base.Orientation) in _TURNED
        return image.size[::-1] if turned else image.size


def shrink(image: np.ndarray, side: int) -> np.ndarray:
    """An image [H, W] or [H, W, 3] uint8 resized down to side x side, antialiased."""
    return np.asarray(Image.fromarray(image).resize((side, side), Image.Resampling.BICUBIC))


@contextmanager
def _opened(raw: bytes, name: str) -> Iterator[Image.Image]:
    """An image, open for decoding. Any error before the block ends becomes a UserError with its name."""
    if not raw:
        raise UserError(f"{name} is no readable image: it is empty")
    try:
        with warnings.catch_warnings(), _without_decoder_messages(raw):
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(raw), formats=_FORMATS) as opened:
                yield opened
    except UnidentifiedImageError:
        raise UserError(f"{name} is no readable image: its format is unknown") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise UserError(f"{name} is no readable image: it is too large once decompressed") from None
    except Exception as error:  # decoders raise all kinds of errors for damaged files
        raise UserError(f"{name} is no readable image: {first_line(error)}") from None


@contextmanager
def _without_decoder_messages(raw: bytes) -> Iterator[None]:
    """Hides Pillow's log messages about damaged images, and what libtiff writes to stderr."""
    log = logging.getLogger("PIL")
    level = log.level
    log.setLevel(logging.CRITICAL + 1)
    try:
        with _stderr_to_null() if raw[:2] in _TIFF else nullcontext():
            yield
    finally:
        log.setLevel(level)


@contextmanager
def _stderr_to_null() -> Iterator[None]:
    """Redirects file descriptor 2 to the null device: C libraries do not use ``sys.stderr``."""
    try:
        kept = os.dup(2)
    except OSError:  # stderr is closed already
        yield
        return
    try:
        with Path(os.devnull).open("wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def _upright(raw: bytes, name: str, channels: int) -> Image.Image:
    with _opened(raw, name) as image:
        return _to_8_bit(ImageOps.exif_transpose(image), "L" if channels == 1 else "RGB")


def _part(picture: Image.Image, name: str, part: Part) -> Image.Image:
    """Raises UserError where a half is asked of an image that is not two images side by side."""
    if part == "whole":
        return picture
    width, height = picture.size
    if width % 2 or width <= height:
        told = "it is not wider than high; single images are for data=folder"
        told = "its width is odd" if width % 2 and width > height else told
        raise UserError(f"{name} of {width} x {height} is not a pair of images side by side: {told}")
    left = 0 if part == "left" else width // 2
    return picture.crop((left, 0, left + width // 2, height))


def _channels_first(picture: Image.Image) -> np.ndarray:
    array = np.asarray(picture)
    return array[None] if array.ndim == 2 else array.transpose(2, 0, 1)


def _to_8_bit(picture: Image.Image, mode: str) -> Image.Image:
    """The image as 8-bit grey or RGB; transparent parts become white."""
    if picture.mode in _SIXTEEN_BIT_MODES:
        return Image.fromarray((np.asarray(picture).astype(np.uint32) >> 8).astype(np.uint8)).convert(mode)
    if picture.has_transparency_data:
        white = Image.new("RGBA", picture.size, "white")
        return Image.alpha_composite(white, picture.convert("RGBA")).convert(mode)
    return picture.convert(mode)
