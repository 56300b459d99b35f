"""Images that no one needs to have: random ones in memory, or more of them on disk than memory holds."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ganexp.data.arrays import Arrays
from ganexp.data.images import Images

_PIECE = 1 << 26  # bytes that are written at once


@dataclass(frozen=True, kw_only=True)
class Noise(Images):
    """``count`` images of random pixels."""

    count: int

    def load(self) -> Arrays:
        rng = np.random.default_rng(0)
        return self._named(rng.integers(0, 256, (self.count, *self.shape), np.uint8))

    def _named(self, samples: np.ndarray) -> Arrays:
        """Any label will do; a fingerprint that is known spares the hashing of it all."""
        labels = np.zeros(self.count, np.int64)
        return self.checked(Arrays(samples, labels, ("noise",), known="noise"))


@dataclass(frozen=True, kw_only=True)
class NoiseOnDisk(Noise):
    """The same in a ``.npy`` that stays on disk, as prepared sets do; the pixels repeat."""

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
