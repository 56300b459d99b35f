"""Data sets of random images, in memory or on disk; on disk they may exceed memory."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ganexp.config.ranges import Shape
from ganexp.data.arrays import Arrays
from ganexp.data.images import Images

_PIECE = 1 << 26  # bytes written at once


@dataclass(frozen=True, kw_only=True)
class Noise(Images):
    """``count`` images of random pixels."""

    count: int

    def load(self) -> Arrays:
        rng = np.random.default_rng(0)
        return self._named(rng.integers(0, 256, (self.count, *self.shape), np.uint8))

    def _named(self, samples: np.ndarray) -> Arrays:
        """Arrays with label 0 throughout; the given fingerprint avoids hashing the samples."""
        labels = np.zeros(self.count, np.int64)
        return self.check_arrays(Arrays(samples, labels, ("noise",), known="noise"))


@dataclass(frozen=True, kw_only=True)
class PairedNoise(Noise):
    """Random images, each with a random source."""

    source_shape: Shape

    def load(self) -> Arrays:
        rng = np.random.default_rng(1)
        sources = rng.integers(0, 256, (self.count, *self.source_shape), np.uint8)
        arrays = super().load()
        return Arrays(arrays.samples, arrays.labels, arrays.classes, known="paired noise", sources=sources)


@dataclass(frozen=True, kw_only=True)
class NoiseOnDisk(Noise):
    """The same in a memory-mapped ``.npy``, like a cache entry; the pixels repeat."""

    file: str

    def load(self) -> Arrays:
        if not Path(self.file).is_file():
            written = np.lib.format.open_memmap(self.file, "w+", np.uint8, (self.count, *self.shape))
            rows = max(1, _PIECE // written[0].nbytes)
            piece = np.random.default_rng(0).integers(0, 256, (rows, *self.shape), np.uint8)
            for start in range(0, self.count, rows):
                written[start : start + rows] = piece[: self.count - start]
            written.flush()
            del written
        return self._named(np.load(self.file, mmap_mode="r", allow_pickle=False))
