"""Reads the image whose style ``game=style`` transfers."""

from pathlib import Path

import numpy as np
from PIL import Image

from ganexp.data.bounded import LARGEST_IMAGE, read_file
from ganexp.data.decode import decode_whole
from ganexp.errors import UserError


def read_style_image(setting: str, file: Path, channels: int, side: int | None, smallest: int) -> np.ndarray:
    """An image as [channels, H, W] float32 in [-1, 1], its shorter side scaled to ``side`` if that is given.

    Raises UserError, which names the ``setting``, where the file is missing, damaged, or ``smallest`` pixels
    are more than its shorter side.
    """
    file = file.expanduser()
    try:
        pixels = decode_whole(read_file(file, LARGEST_IMAGE), file.name, channels)
    except OSError as error:
        told = "there is no such file" if isinstance(error, FileNotFoundError) else error.strerror or error
        raise UserError(f"{setting}={file}: {told}") from None
    except UserError as error:
        raise UserError(f"{setting}: {error}") from None
    height, width = pixels.shape[1:]
    if side is not None and min(height, width) != side:
        scale = side / min(height, width)
        size = max(1, round(scale * width)), max(1, round(scale * height))
        planes = [Image.fromarray(plane).resize(size, Image.Resampling.BICUBIC) for plane in pixels]
        pixels = np.stack([np.asarray(plane) for plane in planes])
    if min(pixels.shape[1:]) < smallest:
        told = f"{pixels.shape[2]} x {pixels.shape[1]}"
        raise UserError(f"{setting}={file}: it is only {told}, and the features need {smallest} pixels")
    return pixels.astype(np.float32) / 127.5 - 1
