"""Whether the reconstructions of ``ganexp edit`` are still of their own images, by features of them."""

from typing import NamedTuple

import numpy as np
from omegaconf import DictConfig

from ganexp.cli.edit_direction import Edits
from ganexp.cli.edit_images import GivenImages
from ganexp.data.held_out import AUTO, evaluated
from ganexp.data.reference import random_rows
from ganexp.errors import UserError
from ganexp.metrics.features import Features
from ganexp.metrics.neighbours import ranks_of_own
from ganexp.system.rng import seed_for
from ganexp.training.build import build
from ganexp.training.load import OpenedRun


class Identity(NamedTuple):
    """``ranks`` [N]: 1 where no image of the data set is nearer to the reconstruction than its own image is.

    ``among``: images that are compared, with the own one. ``probabilities`` [2 + E, N]: of the attribute, of
    images, reconstructions and the edits in their order; None where the features know none. ``about``: what
    the features are.
    """

    ranks: np.ndarray
    among: int
    probabilities: np.ndarray | None
    about: str


class IdentityJudge:
    """Compares images with what became of them, by ``features``, among others of the run's data set.

    It is made before anything is inverted, because features or data may be missing: raises UserError.
    """

    def __init__(self, cfg: DictConfig, run: OpenedRun, images: GivenImages) -> None:
        self._others = _others(cfg, run, images)
        self._features: Features = build(cfg.features)(run.source, run.data(), run.device)
        self._images, self._classes = images, run.source.classes

    def __call__(
        self, reconstructed: np.ndarray, edited: dict[float, np.ndarray], edits: Edits | None
    ) -> Identity:
        """Of images [N, C, H, W] uint8."""
        features = self._features
        own, found = features(self._images.stored), features(reconstructed)
        ranks = ranks_of_own(found.features, own.features, features(self._others).features)
        probabilities = None
        if edits is not None and edits.attribute is not None:
            made = [features(one).probabilities for one in edited.values()]
            each = [own.probabilities, found.probabilities, *made]
            if all(one is not None and one.shape[1] == self._classes for one in each):
                probabilities = np.stack([one[:, edits.attribute] for one in each if one is not None])
        return Identity(ranks, len(self._others) + 1, probabilities, features.about)


def _others(cfg: DictConfig, run: OpenedRun, images: GivenImages) -> np.ndarray:
    """Images of the data set, held-out ones if it has any, and none of the given ones."""
    data = evaluated(run.source, run.data(), AUTO)
    rows = random_rows(len(data.samples), len(data.samples), seed_for(cfg.seed, "edit among"))
    rows = np.sort(rows[~np.isin(rows, images.rows)][: cfg.among])
    if not len(rows):
        raise UserError(
            f"held_out={cfg.held_out}: no other images are left to compare with: set among=0, or fewer"
        )
    return np.ascontiguousarray(data.samples[rows])
