"""Features of real samples, computed once and stored in the cache.

    $GANEXP_CACHE/features-<key>/real.npz

The key holds everything that features depend on: the samples, the network with its weights, the type of device
and torch's version. Training's TF32 setting is not in the key, because features are always computed in float32
(``ganexp.system.float32.full_float32``).
"""

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch

from ganexp.data.cache import cache_folder, cache_lock
from ganexp.system.atomic import replacing

_VERSION = 2


def features_folder(features: str, samples: object, device: torch.device) -> Path:
    """The cache folder of the features with that identity; ``samples`` identifies the samples, by its repr."""
    key = repr((_VERSION, features, samples, device.type, torch.__version__))
    return cache_folder() / f"features-{hashlib.sha256(key.encode()).hexdigest()[:16]}"


def cached_arrays(folder: Path, make: Callable[[], Mapping[str, np.ndarray | None]]) -> dict[str, np.ndarray]:
    """The arrays in a folder of the cache, made first if they are missing; None is not stored."""
    file = folder / "real.npz"
    with cache_lock(folder):
        if not file.is_file():
            content = {name: array for name, array in make().items() if array is not None}
            with replacing(file) as temporary, temporary.open("wb") as stream:
                np.savez(stream, allow_pickle=False, **content)
    with np.load(file, allow_pickle=False) as found:
        return dict(found)
