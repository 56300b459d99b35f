"""A run's training and held-out samples and their features, beyond the real samples that scores compare.

Memorisation can only be detected with samples that training did not use: the held-out split. Everything is
computed when a metric first needs it.
"""

from functools import cached_property

import numpy as np
import torch
from tqdm import tqdm

from ganexp.data.arrays import Arrays
from ganexp.data.held_out import HeldOut, held_out
from ganexp.data.source import Source
from ganexp.errors import UserError
from ganexp.metrics.feature_cache import folder_of, kept
from ganexp.metrics.features import Features
from ganexp.system.rng import seed_for

_PIECE = 2048


class Reference:
    """Training and held-out samples, and their features. ``split``: the held-out split; None: the first one."""

    def __init__(
        self,
        source: Source,
        data: Arrays,
        features: Features,
        device: torch.device,
        seed: int,
        split: str | None = None,
    ) -> None:
        self.data = data
        self._source, self._features, self._device = source, features, device
        self._seed, self._split = seed, split

    def wanted(self) -> HeldOut:
        """The held-out split. Raises UserError where there is none."""
        return held_out(self._source, self.data, self._split)

    @cached_property
    def _found(self) -> HeldOut | str:
        try:
            return self.wanted()
        except UserError as error:
            return str(error)

    @property
    def held_out(self) -> HeldOut | None:
        """The held-out split, if there is one."""
        return None if isinstance(self._found, str) else self._found

    @property
    def why_not(self) -> str:
        """Why there is no held-out split; empty where there is one."""
        return self._found if isinstance(self._found, str) else ""

    def features_of(self, arrays: Arrays, most: int) -> np.ndarray:
        """Features [N, D] of at most ``most`` samples in a random order, stored in the cache."""
        rows = np.random.default_rng(seed_for(self._seed, "samples to search")).permutation(len(arrays.samples))
        rows = rows[:most]
        which = ("searched", arrays.fingerprint, len(rows), self._seed)
        folder = folder_of(self._features.identity, which, self._device)
        return kept(folder, lambda: {"features": self._extracted(arrays.samples, rows)})["features"]

    def _extracted(self, samples: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """The features of rows; read in pieces, as the samples may be larger than memory."""
        starts = tqdm(range(0, len(rows), _PIECE), desc="features of real samples", disable=None, leave=False)
        pieces = (np.sort(rows[start : start + _PIECE]) for start in starts)
        return np.concatenate(
            [self._features(np.ascontiguousarray(samples[piece])).features for piece in pieces]
        )
