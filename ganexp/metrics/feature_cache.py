"""Features of real samples, worked out once and kept in the cache.

    $GANEXP_CACHE/features-<key>/real.npz

The key holds everything that a feature depends on: which samples, which network to the last weight, on what
kind of device and by which torch it was computed. Whether training rounds products to TF32 is no part of it,
because features are always computed in full (``ganexp.training.precision.full_float32``).
"""

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch

from ganexp.data.cache import cache_folder, cache_lock
from ganexp.system.atomic import replacing

_VERSION = 2


def folder_of(features: str, samples: object, device: torch.device) -> Path:
    """Where the features of that identity lie; ``samples``: whatever says which samples they are of."""
    key = repr((_VERSION, features, samples, device.type, torch.__version__))
    return cache_folder() / f"features-{hashlib.sha256(key.encode()).hexdigest()[:16]}"


def kept(folder: Path, make: Callable[[], Mapping[str, np.ndarray | None]]) -> dict[str, np.ndarray]:
    """The arrays in a folder of the cache, made first if they are not there; None is left out."""
    file = folder / "real.npz"
    with cache_lock(folder):
        if not file.is_file():
            content = {name: array for name, array in make().items() if array is not None}
            with replacing(file) as beside, beside.open("wb") as stream:
                np.savez(stream, allow_pickle=False, **content)
    with np.load(file, allow_pickle=False) as found:
        return dict(found)
