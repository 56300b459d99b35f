"""Pictures of samples: a grid of images, a scatter plot of points over their true density."""

from collections.abc import Callable, Sequence
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image, ImageChops, ImageDraw

from ganexp.system.atomic import replacing

_GAP = 2  # pixels between images
_COMPRESSION = 3  # of 9; PIL's default of 6 takes up to four times as long for files a tenth smaller
_MAGNIFIED = 64  # pixels; smaller images are magnified to about this side


def tile(images: np.ndarray, columns: int) -> Image.Image:
    """A grid of images [N, C, H, W] uint8 (C 1 or 3), row by row; small ones are magnified by an integer."""
    count, channels, height, width = images.shape
    columns = min(columns, count)
    rows = -(-count // columns)
    canvas = np.full((rows * (height + _GAP) + _GAP, columns * (width + _GAP) + _GAP, channels), 32, np.uint8)
    for index, image in enumerate(images):
        top = _GAP + (index // columns) * (height + _GAP)
        left = _GAP + (index % columns) * (width + _GAP)
        canvas[top : top + height, left : left + width] = image.transpose(1, 2, 0)
    picture = Image.fromarray(canvas[:, :, 0] if channels == 1 else canvas)
    factor = max(1, _MAGNIFIED // max(height, width))
    return picture.resize((picture.width * factor, picture.height * factor), Image.Resampling.NEAREST)


def side_by_side(sets: Sequence[np.ndarray]) -> np.ndarray:
    """Interleaves sets of N images [N, C, H, W] uint8: the first image of each set, the second of each, ...

    Smaller images are magnified to the largest height and width by repeating pixels; grey images are expanded
    to 3 channels if other sets have 3.
    """
    channels, height, width = (max(images.shape[axis] for images in sets) for axis in (1, 2, 3))
    alike = []
    for images in sets:
        rows = np.arange(height) * images.shape[2] // height
        columns = np.arange(width) * images.shape[3] // width
        scaled = images[:, :, rows][:, :, :, columns]
        alike.append(np.repeat(scaled, channels, 1) if scaled.shape[1] == 1 else scaled)
    return np.stack(alike, 1).reshape(-1, channels, height, width)


def save_png(picture: Image.Image, file: Path, within: Path | None = None) -> bytes:
    """Writes a PNG atomically and returns its bytes. Raises OSError.

    Creates the file's folder if it is missing, but never ``within``.
    """
    content = png_bytes(picture)
    with replacing(file, within) as beside:
        beside.write_bytes(content)
    return content


def png_bytes(picture: Image.Image) -> bytes:
    """The PNG of a picture: the same bytes as in a file of ``save_png``."""
    stream = BytesIO()
    picture.save(stream, "PNG", compress_level=_COMPRESSION)
    return stream.getvalue()


def lattice(extent: float, side: int) -> np.ndarray:
    """The centres [side, side, 2] of square cells on [-extent, extent] squared; the first row is at the top."""
    axis = (np.arange(side) + 0.5) / side * 2 * extent - extent
    return np.stack(np.meshgrid(axis, -axis), -1)


def scatter(
    points: np.ndarray,
    density: Callable[[np.ndarray], np.ndarray],
    extent: float,
    background: Image.Image | None = None,
    side: int = 512,
) -> Image.Image:
    """Points [N, 2] as orange dots over a density ([M, 2] -> [M]) in grey, on [-extent, extent] squared.

    The density darkens ``background``, by default white, which is resized to ``side``.
    """
    height = density(lattice(extent, side).reshape(-1, 2)).reshape(side, side)
    shade = 255 - 175 * (height / max(float(height.max()), 1e-12)) ** 0.5
    picture = Image.fromarray(shade.astype(np.uint8)).convert("RGB")
    if background is not None:
        picture = ImageChops.multiply(picture, background.resize((side, side)))
    pen = ImageDraw.Draw(picture)
    zero = side / 2
    pen.line([(0, zero), (side, zero)], fill=(225, 225, 225))
    pen.line([(zero, 0), (zero, side)], fill=(225, 225, 225))
    for x, y in np.clip(points, -2 * extent, 2 * extent):
        column, row = zero + x / extent * zero, zero - y / extent * zero
        pen.ellipse([column - 1.5, row - 1.5, column + 1.5, row + 1.5], fill=(225, 95, 0))
    return picture
