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


def identity_of(
    cfg: DictConfig,
    run: OpenedRun,
    images: GivenImages,
    reconstructed: np.ndarray,
    edited: dict[float, np.ndarray],
    edits: Edits | None,
) -> Identity | None:
    """Compares by ``features``; None with ``among=0``. Images are [N, C, H, W] uint8. Raises UserError."""
    if not cfg.among:
        return None
    features: Features = build(cfg.features)(run.source, run.data(), run.device)
    own, found = features(images.stored), features(reconstructed)
    others = _others(cfg, run, images)
    ranks = ranks_of_own(found.features, own.features, features(others).features)
    probabilities = None
    if edits is not None and edits.attribute is not None:
        each = [
            own.probabilities,
            found.probabilities,
            *(features(one).probabilities for one in edited.values()),
        ]
        if all(one is not None and one.shape[1] == run.source.classes for one in each):
            probabilities = np.stack([one[:, edits.attribute] for one in each if one is not None])
    return Identity(ranks, len(others) + 1, probabilities, features.about)


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
