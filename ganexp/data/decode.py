"""From one encoded image to a square uint8 array: upright, without alpha, cropped, antialiased."""

import io
import warnings
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from ganexp.config.ranges import Crop
from ganexp.errors import UserError

_DEEP = ("I", "I;16", "I;16B", "I;16L")  # grey of 16 bits
_SQUARE: dict[str, Callable[..., Image.Image]] = {"centre": ImageOps.fit, "none": Image.Image.resize}


class Recipe(NamedTuple):
    """What is made of every image: channels (1 or 3), the side in pixels, how it becomes square.

    ``centre`` cuts the largest square out of the middle, ``none`` keeps everything and squeezes it.
    """

    channels: int
    resolution: int
    crop: Crop


def decode(raw: bytes, name: str, recipe: Recipe) -> np.ndarray:
    """One image as [channels, resolution, resolution] uint8.

    Raises UserError that names it where it is empty, damaged, absurdly large (a decompression bomb) or
    smaller than the resolution.
    """
    if not raw:
        raise UserError(f"{name} is no readable image: it is empty")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(raw)) as opened:
                picture = _plain(ImageOps.exif_transpose(opened), "L" if recipe.channels == 1 else "RGB")
    except UnidentifiedImageError:
        raise UserError(f"{name} is no readable image: its format is unknown") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise UserError(f"{name} is no readable image: it is absurdly large once unpacked") from None
    except Exception as error:  # a decoder fed with anything raises anything
        raise UserError(f"{name} is no readable image: {str(error).splitlines()[0]}") from None
    if min(picture.size) < recipe.resolution:
        size = f"{picture.width} x {picture.height}"
        raise UserError(f"{name} is only {size}, smaller than data.resolution={recipe.resolution}")
    square = _SQUARE[recipe.crop](picture, (recipe.resolution, recipe.resolution), Image.Resampling.BICUBIC)
    array = np.asarray(square)
    return array[None] if recipe.channels == 1 else array.transpose(2, 0, 1)


def shrink(image: np.ndarray, side: int) -> np.ndarray:
    """An image [H, W] or [H, W, 3] uint8 resized down to side x side, antialiased."""
    return np.asarray(Image.fromarray(image).resize((side, side), Image.Resampling.BICUBIC))


def _plain(picture: Image.Image, mode: str) -> Image.Image:
    """Grey or RGB of 8 bits; what is transparent becomes white."""
    if picture.mode in _DEEP:
        return Image.fromarray((np.asarray(picture).astype(np.uint32) >> 8).astype(np.uint8)).convert(mode)
    if picture.has_transparency_data:
        white = Image.new("RGBA", picture.size, "white")
        return Image.alpha_composite(white, picture.convert("RGBA")).convert(mode)
    return picture.convert(mode)
