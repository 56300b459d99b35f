"""From encoded images to square uint8 arrays: upright, without alpha, cropped to the centre, antialiased."""

import io
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError
from tqdm import tqdm

from ganexp.data.tree import Tree
from ganexp.errors import UserError

_DEEP = ("I", "I;16", "I;16B", "I;16L")  # grey of 16 bits


def decode_all(tree: Tree, names: Sequence[str], channels: int, resolution: int) -> np.ndarray:
    """The named images as [N, channels, resolution, resolution] uint8. Raises UserError that names a file."""
    images = np.empty((len(names), channels, resolution, resolution), np.uint8)
    for index, name in enumerate(tqdm(names, "reading images", delay=2, disable=None, leave=False)):
        images[index] = decode(tree.read(name), name, channels, resolution)
    return images


def decode(raw: bytes, name: str, channels: int, resolution: int) -> np.ndarray:
    """One image as [channels, resolution, resolution] uint8. Raises UserError that names it."""
    try:
        with Image.open(io.BytesIO(raw)) as opened:
            picture = _plain(ImageOps.exif_transpose(opened), "L" if channels == 1 else "RGB")
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise UserError(f"{name} is no readable image: {error}") from None
    if min(picture.size) < resolution:
        size = f"{picture.width} x {picture.height}"
        raise UserError(f"data.resolution={resolution}: {name} is only {size}; ask for less or remove it")
    square = ImageOps.fit(picture, (resolution, resolution), Image.Resampling.BICUBIC)
    array = np.asarray(square)
    return array[None] if channels == 1 else array.transpose(2, 0, 1)


def _plain(picture: Image.Image, mode: str) -> Image.Image:
    """Grey or RGB of 8 bits; what is transparent becomes white."""
    if picture.mode in _DEEP:
        return Image.fromarray((np.asarray(picture).astype(np.uint32) >> 8).astype(np.uint8)).convert(mode)
    if picture.has_transparency_data:
        white = Image.new("RGBA", picture.size, "white")
        return Image.alpha_composite(white, picture.convert("RGBA")).convert(mode)
    return picture.convert(mode)


def shrink(image: np.ndarray, side: int) -> np.ndarray:
    """An image [H, W] or [H, W, 3] uint8 resized down to side x side, antialiased."""
    return np.asarray(Image.fromarray(image).resize((side, side), Image.Resampling.BICUBIC))
