"""MedMNIST (Yang et al. 2023): medical images at 28 x 28, from the ``.npz`` files of the package medmnist.

The subset of chest X-rays is not supported: its images have several labels each.
"""

import io
import math
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np

from ganexp.config.ranges import FilePath
from ganexp.data.arrays import Arrays
from ganexp.data.bounded import LARGEST_ARRAY, read_stream
from ganexp.data.decode import shrink
from ganexp.data.download import fetch
from ganexp.data.images import ImageArrays
from ganexp.errors import UserError, first_line, suggest
from ganexp.system.atomic import open_regular

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
    """One subset; a resolution below 28 is resized down."""

    terms: ClassVar[str] = (
        "MedMNIST v2 (Yang et al. 2023): CC BY 4.0, DermaMNIST CC BY-NC 4.0. Not for clinical use."
    )

    root: FilePath
    subset: str
    split: Literal["train", "val", "test"]

    def files(self) -> list[Path]:
        file = Path(self.root) / f"{self.subset}.npz"
        if not file.is_file():
            fetch("MedMNIST", f"{file.name} into {self.root}", Path(self.root), self._download)
        return [file]

    def read(self) -> Arrays:
        self.check_resolution(_SIDE)
        (file,) = self.files()
        images, labels = read_npz(file, [f"{self.split}_images", f"{self.split}_labels"])
        if images.shape[1:3] != (_SIDE, _SIDE) or images.shape[3:] not in ((), (3,)):
            raise UserError(f"{file} is damaged: {list(images.shape)} is no shape of MedMNIST's images")
        if images.dtype != np.uint8 or labels.dtype.kind not in "ui" or labels.size != len(images):
            raise UserError(
                f"{file} is damaged: not a byte for each pixel, or not a whole number for each image"
            )
        if self.resolution < _SIDE:
            images = np.stack([shrink(image, self.resolution) for image in images])
        planes = images.transpose(0, 3, 1, 2) if images.ndim == 4 else images[:, None]
        names = tuple(str(number) for number in range(self.classes))
        return Arrays(planes, labels.reshape(len(images)).astype(np.int64), names)

    def _download(self) -> None:
        try:
            import medmnist
        except ImportError:
            raise UserError("it takes the package medmnist: pip install -e '.[medmnist]'") from None
        Path(self.root).mkdir(parents=True, exist_ok=True)
        published = getattr(medmnist, medmnist.INFO[self.subset]["python_class"])
        published(split=self.split, root=self.root, download=True)


def read_npz(file: Path, names: list[str]) -> list[np.ndarray]:
    """Arrays of an ``.npz``. Raises UserError where one is damaged or larger than ``LARGEST_ARRAY``.

    ``np.load`` is not used: it allocates whatever shape a header declares.
    """
    try:
        with open_regular(file) as packed, zipfile.ZipFile(packed) as archive:
            return [_array(archive, f"{name}.npy", file) for name in names]
    except UserError:
        raise
    except Exception as error:  # readers raise all kinds of errors for damaged files
        raise UserError(f"{file} is damaged: {first_line(error)}") from None


def _array(archive: zipfile.ZipFile, name: str, file: Path) -> np.ndarray:
    info = archive.getinfo(name)
    with archive.open(info) as stream:
        raw = read_stream(stream, LARGEST_ARRAY, f"{name} in {file}", info.file_size)
    header = io.BytesIO(raw)
    version = np.lib.format.read_magic(header)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, by_columns, dtype = read(header)
    if dtype.hasobject or len(raw) - header.tell() != math.prod(shape) * dtype.itemsize:
        raise UserError(f"{file} is damaged: {name} is not as long as its shape {list(shape)} says")
    flat = np.frombuffer(raw, dtype, offset=header.tell())
    return flat.reshape(shape, order="F" if by_columns else "C")
