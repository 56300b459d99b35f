"""MedMNIST (Yang et al. 2023): medical images at 28 x 28, from the ``.npz`` files of the package medmnist.

The subset of chest X-rays is left out: its images have several labels at once.
"""

import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from ganexp.data.arrays import Arrays
from ganexp.data.decode import shrink
from ganexp.data.download import fetch
from ganexp.data.source import ImageArrays
from ganexp.errors import UserError, suggest

_SIDE = 28

FACTS = {
    "pathmnist": (3, 9),
    "dermamnist": (3, 7),
    "octmnist": (1, 4),
    "pneumoniamnist": (1, 2),
    "retinamnist": (3, 5),
    "breastmnist": (1, 2),
    "bloodmnist": (3, 8),
    "tissuemnist": (1, 8),
    "organamnist": (1, 11),
    "organcmnist": (1, 11),
    "organsmnist": (1, 11),
}
"""Channels and classes of each subset (table 2 of the paper)."""


def facts(subset: str) -> tuple[int, int]:
    """A subset's channels and classes. Raises UserError."""
    if subset not in FACTS:
        raise UserError(f"data.subset={subset}: no such subset; {suggest(str(subset), FACTS)}")
    return FACTS[subset]


@dataclass(frozen=True, kw_only=True)
class MedMNIST(ImageArrays):
    """One subset; less than 28 is resized down."""

    root: str
    subset: str
    split: Literal["train", "val", "test"]

    def files(self) -> list[Path]:
        file = Path(self.root) / f"{self.subset}.npz"
        if not file.is_file():
            fetch("MedMNIST", f"{file.name} into {self.root}", self.root, self._download)
        return [file]

    def read(self) -> Arrays:
        self.fits(_SIDE)
        (file,) = self.files()
        try:
            with np.load(file, allow_pickle=False) as content:
                images, labels = content[f"{self.split}_images"], content[f"{self.split}_labels"]
        except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
            raise UserError(f"{file} is damaged: {error}") from None
        if self.resolution < _SIDE:
            images = np.stack([shrink(image, self.resolution) for image in images])
        planes = images.transpose(0, 3, 1, 2) if images.ndim == 4 else images[:, None]
        names = tuple(str(number) for number in range(self.classes))
        return Arrays(planes.astype(np.uint8), labels.reshape(len(labels)).astype(np.int64), names)

    def _download(self) -> None:
        try:
            import medmnist
        except ImportError:
            raise UserError("it takes the package medmnist: pip install 'ganexp[medmnist]'") from None
        Path(self.root).mkdir(parents=True, exist_ok=True)
        published = getattr(medmnist, medmnist.INFO[self.subset]["python_class"])
        published(split=self.split, root=self.root, download=True)
