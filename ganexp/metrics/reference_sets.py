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
from ganexp.metrics.feature_cache import cached_arrays, features_folder
from ganexp.metrics.features import Features
from ganexp.system.rng import seed_for

_READ_ROWS = 2048


class ReferenceSets:
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

    def find_held_out(self) -> HeldOut:
        """The held-out split. Raises UserError where there is none."""
        return held_out(self._source, self.data, self._split)

    @cached_property
    def _held_out_or_reason(self) -> HeldOut | str:
        try:
            return self.find_held_out()
        except UserError as error:
            return str(error)

    @property
    def held_out(self) -> HeldOut | None:
        """The held-out split, if there is one."""
        return None if isinstance(self._held_out_or_reason, str) else self._held_out_or_reason

    @property
    def missing_reason(self) -> str:
        """Why there is no held-out split; empty where there is one."""
        return self._held_out_or_reason if isinstance(self._held_out_or_reason, str) else ""

    def features_of(self, arrays: Arrays, max_samples: int) -> np.ndarray:
        """Features [N, D] of at most ``max_samples`` samples in a random order, stored in the cache."""
        rows = np.random.default_rng(seed_for(self._seed, "samples to search")).permutation(len(arrays.samples))
        rows = rows[:max_samples]
        identity = ("searched", arrays.fingerprint, len(rows), self._seed)
        folder = features_folder(self._features.identity, identity, self._device)
        return cached_arrays(folder, lambda: {"features": self._compute_features(arrays.samples, rows)})[
            "features"
        ]

    def _compute_features(self, samples: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """The features of rows; read in pieces, as the samples may be larger than memory."""
        starts = tqdm(
            range(0, len(rows), _READ_ROWS), desc="features of real samples", disable=None, leave=False
        )
        pieces = (np.sort(rows[start : start + _READ_ROWS]) for start in starts)
        return np.concatenate(
            [self._features(np.ascontiguousarray(samples[piece])).features for piece in pieces]
        )
