"""Digits: 1,797 real handwritten digits that come with scikit-learn, so nothing is downloaded.

Source: E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, UCI, 1998; its test part.
"""

from dataclasses import dataclass
from importlib.metadata import version
from typing import ClassVar, Literal

import numpy as np
from PIL import Image

from ganexp.data.arrays import Arrays
from ganexp.data.cache import CacheWriter
from ganexp.data.images import Images

_EVERY = 5
"""One of so many digits is held out."""


@dataclass(frozen=True, kw_only=True)
class Digits(Images):
    """8 x 8 pixels with 17 grey levels, resized to any resolution with bicubic interpolation.

    They are one set. For held-out images, every fifth digit is the split ``test``, the others are ``train``.
    """

    terms: ClassVar[str] = (
        "Optical Recognition of Handwritten Digits (Alpaydin & Kaynak 1998), UCI repository: CC BY 4.0."
    )

    split: Literal["all", "train", "test"] = "all"

    def origin(self) -> str:
        return f"scikit-learn {version('scikit-learn')}"

    def prepare(self, draft: CacheWriter) -> None:
        from sklearn.datasets import load_digits

        bunch = load_digits()
        side = self.resolution
        enlarged = np.empty((len(bunch.images), 1, side, side), np.uint8)
        for index, image in enumerate(bunch.images):
            grey = Image.fromarray(np.rint(image * (255 / 16)).astype(np.uint8))
            enlarged[index, 0] = np.asarray(grey.resize((side, side), Image.Resampling.BICUBIC))
        names = tuple(str(name) for name in bunch.target_names)
        tested = np.arange(len(enlarged)) % _EVERY == 0
        rows = {"all": tested | True, "train": ~tested, "test": tested}[self.split]
        draft.fill(self.check_arrays(Arrays(enlarged[rows], bunch.target[rows].astype(np.int64), names)))
