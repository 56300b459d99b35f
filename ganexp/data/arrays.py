"""A data set as arrays, in memory or on disk, and its fingerprint."""

import hashlib
from dataclasses import dataclass

import numpy as np

_CHUNK = 1 << 26  # bytes hashed at once


@dataclass(frozen=True)
class Arrays:
    """A data set as it is stored; its ``Source`` converts it to what networks take.

    ``samples``: [N, C, H, W] uint8 for images (in memory or a memory map), [N, D] float32 for points;
    ``labels``: int64, classes [N] or attributes [N, K]; ``classes``: a name for each class or attribute;
    ``known``: the fingerprint, if it is known; ``sources``: [M, ...], inputs of an image-to-image generator,
    M = N for pairs.
    """

    samples: np.ndarray
    labels: np.ndarray
    classes: tuple[str, ...]
    known: str = ""
    sources: np.ndarray | None = None

    @property
    def fingerprint(self) -> str:
        """SHA-256 (64 hex digits) of shapes, samples, labels, class names and sources."""
        return self.known or fingerprint(self.samples, self.labels, self.classes, self.sources)


def fingerprint(
    samples: np.ndarray, labels: np.ndarray, classes: tuple[str, ...], sources: np.ndarray | None = None
) -> str:
    """See ``Arrays.fingerprint``. Reads the samples in chunks, so they may be larger than memory."""
    digest = hashlib.sha256(repr((samples.shape, samples.dtype.str, tuple(classes))).encode())
    for array in (samples,) if sources is None else (samples, sources):
        rows = max(1, _CHUNK // max(1, array[:1].nbytes))
        for start in range(0, len(array), rows):
            digest.update(np.ascontiguousarray(array[start : start + rows]).data)
    digest.update(np.ascontiguousarray(labels).data)
    return digest.hexdigest()
