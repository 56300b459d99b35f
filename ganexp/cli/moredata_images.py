"""The images of ``ganexp moredata``: what a run was trained with, what it never saw, and what it makes."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from ganexp.data.arrays import Arrays
from ganexp.data.download import DOWNLOADS_ALLOWED
from ganexp.data.held_out import TRAINING, held_out
from ganexp.data.source import Source
from ganexp.errors import UserError
from ganexp.games.game import Game
from ganexp.games.sampling import generate
from ganexp.games.seeded_inputs import inputs_like_data
from ganexp.metrics.additional_data import Labelled, Sets
from ganexp.metrics.classifier import has_labels
from ganexp.runs.saved_run import SavedRun
from ganexp.system.rng import seed_for
from ganexp.training.load import LoadedGenerator, OpenedRun

_BATCH = 100
_BY_HELD_OUT = {"cas", "memorisation"}
"""Metrics that compare with a held-out split whatever ``evaluate.split`` is."""
_LEAST = 50
"""Images that either part of the unseen ones has at least."""


def check_run(run: OpenedRun, checkpoint: str) -> None:
    """Raises UserError for a run that says nothing about training with its own training images."""
    at, source = f"run={run.folder}", run.source
    if not source.is_image or source.label_kind != "classes" or not has_labels(source):
        raise UserError(f"{at}: a classifier needs images of two classes or more, each of one class")
    if run.config.start_from is not None:
        raise UserError(f"{at}: it was started from another run, so it has seen other images: train without it")
    by_held_out = run.config.evaluate.split != TRAINING or not _BY_HELD_OUT.isdisjoint(run.config.metrics)
    if by_held_out and (checkpoint == "best" or Path(checkpoint).name == "best.pt"):
        reason = "may have been chosen by held-out images, which the classifiers are tested with"
        raise UserError(f"{at}: its best checkpoint {reason}: set checkpoint=last")


def check_labels(run: OpenedRun, game: Game) -> None:
    """Raises UserError where a generator cannot be asked for images of a class."""
    if game.needs_reference:
        raise UserError(
            f"run={run.folder}: its generator changes given images: take a run of game=cgan or acgan"
        )
    if not getattr(game.generator, "classes", 0):
        raise UserError(f"run={run.folder}: its images have no labels: train with game=cgan or game=acgan")


def divide(run: OpenedRun, validation: int, seed: int) -> tuple[Sets, str]:
    """The run's training images, two parts of those that it has not seen, and what ``test`` is in words.

    ``generated`` is empty. Raises UserError.

    The unseen images are those of the same set that ``data.per_class`` left out, for validation, and those of
    the held-out split, for testing; where one of them is missing, the other is divided.
    """
    data = run.data()
    recorded = SavedRun(run.folder).manifest.get("data", {}).get("fingerprint")
    if data.fingerprint != recorded:
        raise UserError(f"run={run.folder}: it was trained with other images than its data settings now name")
    pools = [pool for pool in (_left_out(run), _held_out(run.source, data)) if pool is not None]
    if not pools:
        reason = "it was trained with every image there is, so none is left to test with"
        raise UserError(f"run={run.folder}: {reason}: train with data.per_class=20")
    rng = np.random.default_rng(seed_for(seed, "validation images"))
    order = rng.permutation(pools[0].rows)
    first, rest = np.split(order, [min(validation, len(order) // 2)])
    second = rest if len(pools) == 1 else pools[1].rows
    if min(len(first), len(second)) < _LEAST:
        raise UserError(f"run={run.folder}: too few images are left to test with: train with fewer per class")
    tested = f"{len(second):,} images {pools[-1].about}"
    train = Labelled(data.samples, data.labels)
    nothing = Labelled(data.samples[:0], data.labels[:0])
    return Sets(train, nothing, pools[0].take(first), pools[-1].take(second)), tested


class _Pool(NamedTuple):
    """Rows [N] of a set of images that a run has not seen; ``about`` says which."""

    arrays: Arrays
    rows: np.ndarray
    about: str

    def take(self, rows: np.ndarray) -> Labelled:
        """These images, in memory unless they are all of a set on disk."""
        rows = np.sort(rows)
        if len(rows) == len(self.arrays.labels):
            return Labelled(self.arrays.samples, self.arrays.labels)
        return Labelled(self.arrays.samples[rows], self.arrays.labels[rows])


def _left_out(run: OpenedRun) -> _Pool | None:
    """The images of the training set that ``data.per_class`` left out; None without any."""
    source = run.source
    token = DOWNLOADS_ALLOWED.set(run.trust)
    try:
        whole = source.load()
    finally:
        DOWNLOADS_ALLOWED.reset(token)
    kept = source.kept(whole, whole.classes)
    rows = source.training_rows(kept)
    if rows is None:
        return None
    others = np.setdiff1d(np.arange(len(kept.labels)), rows)
    return _Pool(kept, others, "that data.per_class left out") if len(others) else None


def _held_out(source: Source, data: Arrays) -> _Pool | None:
    """The first held-out split with the same classes; None without one."""
    try:
        found = held_out(source, data, None)
    except UserError:
        return None
    if found.labels is None:
        return None
    return _Pool(found.relabelled(), np.arange(len(found.labels)), f"of the split {found.split}")


def generated(run: OpenedRun, loaded: LoadedGenerator, train: Labelled, count: int, seed: int) -> Labelled:
    """``count`` images of a run's generator, of classes as frequent as in its training images."""
    rng = np.random.default_rng(seed_for(seed, "labels of generated images"))
    rows = np.resize(rng.permutation(len(train.labels)), count)
    data = Arrays(train.images, train.labels, ())
    inputs = inputs_like_data(loaded.game, run.source, data, rows, seed_for(seed, "generated images"))
    samples = generate(loaded.net, inputs, _BATCH, run.device)
    assert inputs.labels is not None
    return Labelled(run.source.encode(samples), inputs.labels.numpy())
