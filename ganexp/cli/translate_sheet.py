"""The sheet of ``ganexp translate``: sources, each beside what was made of it."""

import numpy as np
from PIL import Image

from ganexp.data.picture import tile

_MOST_PAIRS, _PAIRS_PER_ROW = 16, 4
_LARGEST = 256  # pixels of the longer side
_DARK = 32  # as the gaps of a grid


class ContactSheet:
    """Collects the first 16 pairs, each image scaled to at most 256 pixels."""

    def __init__(self) -> None:
        self._images: list[np.ndarray] = []

    def add(self, source: np.ndarray, output: np.ndarray) -> None:
        """Adds a source [c, h, w] and its output [C, H, W], uint8; ignored when the sheet is full."""
        if len(self._images) == 2 * _MOST_PAIRS:
            return
        height, width = output.shape[1:]
        factor = min(1.0, _LARGEST / max(height, width))
        size = max(1, round(width * factor)), max(1, round(height * factor))
        self._images += [_resized(source, size), _resized(output, size)]

    def draw(self) -> np.ndarray:
        """The sheet [3, H, W] uint8, in rows of four pairs; smaller images are in the middle of their place."""
        height, width = (max(image.shape[axis] for image in self._images) for axis in (0, 1))
        places = np.full((len(self._images), 3, height, width), _DARK, np.uint8)
        for place, image in zip(places, self._images, strict=True):
            top, left = (height - image.shape[0]) // 2, (width - image.shape[1]) // 2
            place[:, top : top + image.shape[0], left : left + image.shape[1]] = image.transpose(2, 0, 1)
        return np.asarray(tile(places, 2 * _PAIRS_PER_ROW)).transpose(2, 0, 1)


def _resized(pixels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """An image [C, H, W] as [height, width, 3]; enlarged by repeating pixels, which shows how few there are."""
    picture = Image.fromarray(pixels[0] if len(pixels) == 1 else pixels.transpose(1, 2, 0)).convert("RGB")
    smaller = picture.width < size[0]
    return np.asarray(picture.resize(size, Image.Resampling.NEAREST if smaller else Image.Resampling.BICUBIC))
