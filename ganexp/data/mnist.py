"""MNIST (LeCun et al. 1998) and Fashion-MNIST (Xiao et al. 2017), from the idx files that torchvision saves."""

import gzip
import math
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import IO, ClassVar, Literal, cast

import numpy as np

from ganexp.config.ranges import FilePath
from ganexp.data.arrays import Arrays
from ganexp.data.bounded import LARGEST_ARRAY, read_stream
from ganexp.data.decode import shrink
from ganexp.data.download import fetch
from ganexp.data.images import ImageArrays
from ganexp.errors import UserError
from ganexp.system.atomic import open_regular

_SIDE = 28
_PADDED = 32


@dataclass(frozen=True, kw_only=True)
class MNIST(ImageArrays):
    """28 x 28 grey images. Resolution 32 adds a black border; below 28, images are resized down."""

    terms: ClassVar[str] = (
        "MNIST (LeCun, Cortes & Burges): CC BY-SA 3.0, as Keras' documentation quotes its owners."
    )

    root: FilePath
    split: Literal["train", "test"]

    dataset: ClassVar[str] = "MNIST"
    names: ClassVar[tuple[str, ...]] = tuple("0123456789")

    def files(self) -> list[Path]:
        return [self._file("images-idx3-ubyte"), self._file("labels-idx1-ubyte")]

    def read(self) -> Arrays:
        self.check_resolution(_PADDED)
        if _SIDE < self.resolution < _PADDED:
            raise UserError(
                f"data.resolution={self.resolution}: {self.dataset} comes at {_SIDE}, {_PADDED} or less"
            )
        pixels, numbers = self.files()
        images, labels = read_idx(pixels, 3), read_idx(numbers, 1).astype(np.int64)
        if len(images) != len(labels):
            raise UserError(f"{pixels.parent}: {len(images)} images, but {len(labels)} labels")
        if self.resolution == _PADDED:
            images = np.pad(images, ((0, 0), (2, 2), (2, 2)))
        elif self.resolution < _SIDE:
            images = np.stack([shrink(image, self.resolution) for image in images])
        return Arrays(images[:, None], labels, self.names)

    def _file(self, kind: str) -> Path:
        folder = Path(self.root) / self.dataset / "raw"
        name = f"{'train' if self.split == 'train' else 't10k'}-{kind}"
        plain, packed = folder / name, folder / f"{name}.gz"
        if not plain.is_file() and not packed.is_file():
            if (Path(self.root) / "raw").is_dir():
                raise UserError(f"data.root={self.root}: name the folder that holds {self.dataset}/raw")
            fetch(self.dataset, f"{name}.gz into {folder}", folder, self._download)
        return plain if plain.is_file() else packed

    def _download(self) -> None:
        from torchvision import datasets

        getattr(datasets, self.dataset)(self.root, download=True)


@dataclass(frozen=True, kw_only=True)
class FashionMNIST(MNIST):
    """28 x 28 grey images of ten classes of clothes."""

    terms: ClassVar[str] = (
        "Fashion-MNIST (Zalando Research): MIT licence, github.com/zalandoresearch/fashion-mnist."
    )

    dataset: ClassVar[str] = "FashionMNIST"
    names: ClassVar[tuple[str, ...]] = (
        *("T-shirt", "trouser", "pullover", "dress", "coat"),
        *("sandal", "shirt", "sneaker", "bag", "ankle boot"),
    )


def read_idx(file: Path, dimensions: int) -> np.ndarray:
    """A uint8 array from an idx file, gzipped or not. Raises UserError where it is damaged."""
    damaged = UserError(f"{file} is damaged: it is not an idx file of {dimensions} dimensions")
    try:
        with open_regular(file) as packed, _unpacked(packed, file) as stream:
            head = stream.read(4 + 4 * dimensions)
            shape = tuple(int(size) for size in np.frombuffer(head[4:], ">u4"))
            count = math.prod(shape)
            if head[:4] != bytes([0, 0, 8, dimensions]) or len(shape) != dimensions or count > LARGEST_ARRAY:
                raise damaged
            raw = read_stream(stream, count, str(file))
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(f"{file} cannot be read: {error}") from None
    if len(raw) != count:
        raise damaged
    return np.frombuffer(raw, np.uint8).reshape(shape)


def _unpacked(stream: IO[bytes], file: Path) -> IO[bytes]:
    return cast(IO[bytes], gzip.GzipFile(fileobj=stream)) if file.suffix == ".gz" else stream
