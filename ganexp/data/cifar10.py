"""CIFAR-10 (Krizhevsky 2009), from the binary version; the Python version is pickles, which are not loaded."""

import gzip
import tarfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, ClassVar, Literal, cast

import numpy as np

from ganexp.config.ranges import FilePath
from ganexp.data.arrays import Arrays
from ganexp.data.bounded import MIB, BoundedReader, read_file, read_stream
from ganexp.data.decode import shrink
from ganexp.data.download import fetch
from ganexp.data.images import ImageArrays
from ganexp.errors import UserError
from ganexp.system.atomic import open_regular

_SIDE = 32
_RECORD = 1 + 3 * _SIDE * _SIDE  # a label, then the red, the green and the blue plane
_MAX_FILE_BYTES = 10_000 * _RECORD  # bytes in one file
_MAX_UNPACKED_BYTES = 256 * MIB  # the archive holds 176 MiB
_FOLDER = "cifar-10-batches-bin"
_ARCHIVE = "cifar-10-binary.tar.gz"
_URL = f"https://www.cs.toronto.edu/~kriz/{_ARCHIVE}"
_MD5 = "c32a1d4ab5d03f1284b67883e8d87530"
_FILES = {"train": [f"data_batch_{part}.bin" for part in range(1, 6)], "test": ["test_batch.bin"]}
_NAMES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


@dataclass(frozen=True, kw_only=True)
class CIFAR10(ImageArrays):
    """32 x 32 colour images of ten classes; a resolution below 32 is resized down."""

    terms: ClassVar[str] = (
        "CIFAR-10 (Krizhevsky 2009): its page, cs.toronto.edu/~kriz/cifar.html, names no licence."
    )

    root: FilePath
    split: Literal["train", "test"]

    def files(self) -> list[Path]:
        folder, archive = Path(self.root) / _FOLDER, Path(self.root) / _ARCHIVE
        if not folder.is_dir() and not archive.is_file():
            fetch("CIFAR-10", f"{_ARCHIVE} or {_FOLDER}/ into {self.root}", Path(self.root), self._download)
        return [folder / name for name in _FILES[self.split]] if folder.is_dir() else [archive]

    def read(self) -> Arrays:
        self.check_resolution(_SIDE)
        records = np.concatenate([self._records(*file) for file in self._contents().items()])
        labels = records[:, 0].astype(np.int64)
        if labels.max() >= len(_NAMES):
            raise UserError(f"{self.root}: a label of {labels.max()} is none of CIFAR-10's")
        images = records[:, 1:].reshape(-1, 3, _SIDE, _SIDE)
        if self.resolution < _SIDE:
            planes = images.transpose(0, 2, 3, 1)
            images = np.stack([shrink(image, self.resolution) for image in planes]).transpose(0, 3, 1, 2)
        return Arrays(images, labels, _NAMES)

    def _contents(self) -> dict[str, bytes]:
        """The contents of the split's files, by name."""
        folder, archive = Path(self.root) / _FOLDER, Path(self.root) / _ARCHIVE
        where, names = archive, _FILES[self.split]
        try:
            if not folder.is_dir():
                return _members(archive, names)
            return {name: read_file(where := folder / name, _MAX_FILE_BYTES) for name in names}
        except (OSError, EOFError, zlib.error, tarfile.TarError) as error:
            raise UserError(f"{where} cannot be read: {error}") from None

    def _records(self, name: str, raw: bytes) -> np.ndarray:
        if not raw or len(raw) % _RECORD:
            raise UserError(f"{name} in {self.root} is damaged: {len(raw)} bytes are no whole number of images")
        return np.frombuffer(raw, np.uint8).reshape(-1, _RECORD)

    def _download(self) -> None:
        from torchvision.datasets.utils import download_url

        download_url(_URL, self.root, md5=_MD5)


def _members(archive: Path, names: Sequence[str]) -> dict[str, bytes]:
    """Files of the archive, read in memory: nothing is unpacked to disk, and no name in it becomes a path."""
    found: dict[str, bytes] = {}
    with (
        open_regular(archive) as packed,
        gzip.GzipFile(fileobj=packed) as unpacked,
        tarfile.open(
            fileobj=cast(IO[bytes], BoundedReader(unpacked, _MAX_UNPACKED_BYTES, str(archive))), mode="r|"
        ) as tar,
    ):
        for member in tar:
            name = member.name.removeprefix(f"{_FOLDER}/")
            stream = tar.extractfile(member) if name in names and member.isreg() else None
            if stream is not None:
                found[name] = read_stream(stream, _MAX_FILE_BYTES, f"{name} in {archive}", member.size)
    missing = [name for name in names if name not in found]
    if missing:
        raise UserError(f"{archive} is damaged: it holds no {missing[0]}")
    return {name: found[name] for name in names}
