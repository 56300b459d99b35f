"""A data set as arrays, in memory or on disk, and its fingerprint."""

import hashlib
from dataclasses import dataclass

import numpy as np

_CHUNK = 1 << 26  # bytes hashed at once


@dataclass(frozen=True)
class Arrays:
    """A data set.

    ``samples`` [N, C, H, W] uint8 for images (in memory or a memory map), [N, D] float32 for points;
    ``labels`` [N] int64; ``classes``: a name for each label; ``known``: the fingerprint, if it is known.
    """

    samples: np.ndarray
    labels: np.ndarray
    classes: tuple[str, ...]
    known: str = ""

    @property
    def fingerprint(self) -> str:
        """SHA-256 of shape, samples, labels and class names: the same data, the same 64 digits."""
        return self.known or fingerprint(self.samples, self.labels, self.classes)


def fingerprint(samples: np.ndarray, labels: np.ndarray, classes: tuple[str, ...]) -> str:
    """See ``Arrays.fingerprint``. Reads the samples piece by piece, so that they may be larger than memory."""
    digest = hashlib.sha256(repr((samples.shape, samples.dtype.str, tuple(classes))).encode())
    rows = max(1, _CHUNK // max(1, samples[:1].nbytes))
    for start in range(0, len(samples), rows):
        digest.update(np.ascontiguousarray(samples[start : start + rows]).data)
    digest.update(np.ascontiguousarray(labels).data)
    return digest.hexdigest()
