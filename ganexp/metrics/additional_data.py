r"""Classifiers of few real images, with and without generated ones beside them.

Every arm trains the same network from the same initial weights, with as many updates and images in a batch.
Arms differ only in what a batch holds:

    real         real images
    augmented    real images, shifted and perhaps mirrored
    mixup        augmented ones, each mixed with another one: Zhang et al. 2018
    generated    a share of generated images among the real ones, all of them augmented; a share of 1 is the
                 classification accuracy score of Ravuri & Vinyals 2019, with augmentation

Mixup: :math:`x = \lambda x_i + (1 - \lambda) x_j` and the same of one-hot labels,
:math:`\lambda \sim \mathrm{Beta}(\alpha, \alpha)`, one for each image.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from ganexp.metrics.classifier import fit, predict_labels, to_device
from ganexp.metrics.feature_networks import Classifier
from ganexp.system.rng import seed_for


class Labelled(NamedTuple):
    """Images [N, C, H, W] uint8 and their classes [N] int64."""

    images: np.ndarray
    labels: np.ndarray


class Sets(NamedTuple):
    """The images of an experiment; no image is in two of the sets.

    ``real``: those that classifiers and the GAN are trained with. ``generated``: the GAN's. The share of these
    is chosen by ``validation``, and nothing by ``test``.
    """

    real: Labelled
    generated: Labelled
    validation: Labelled
    test: Labelled


class Arm(NamedTuple):
    """What the batches of a classifier hold; ``share``: of generated images, in [0, 1]."""

    name: str
    share: float = 0.0
    augmented: bool = True
    mixed: bool = False


BASELINES = (Arm("real", augmented=False), Arm("augmented"), Arm("mixup", mixed=True))
"""The arms without generated images; ``augmented`` is what the others are compared with."""


class Recipe(NamedTuple):
    """How every classifier is trained.

    ``shift``: images are moved by up to this share of their side, in either direction, with their border
    repeated; ``flip``: half of them are mirrored; ``mixup``: alpha of the arm of that name.
    """

    classes: int
    steps: int
    batch_size: int
    shift: float
    flip: bool
    mixup: float


class Trained(NamedTuple):
    """A classifier's accuracies in [0, 1], and its number of updates."""

    validation: float
    test: float
    updates: int


def train_arm(
    arm: Arm,
    sets: Sets,
    recipe: Recipe,
    seed: int,
    device: torch.device,
    advance: Callable[[], object] = lambda: None,
) -> Trained:
    """Trains a classifier of one arm and tests it; ``advance`` is called at each step.

    All arms of one ``seed`` begin with the same weights.
    """
    net = Classifier(sets.real.images.shape[1], recipe.classes)
    batches = arm_batches(arm, sets, recipe, seed)

    def on_device() -> Iterator[tuple[Tensor, Tensor]]:
        for images, targets in batches:
            advance()
            yield images.to(device), targets.to(device)

    updates = fit(net, on_device(), recipe.steps, device, seed)
    validation, test = (
        float((predict_labels(net, images, device) == labels).mean())
        for images, labels in (sets.validation, sets.test)
    )
    return Trained(validation, test, updates)


def arm_batches(arm: Arm, sets: Sets, recipe: Recipe, seed: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Endless batches of images [N, C, H, W] float32 in [-1, 1] and targets: classes [N], of mixup [N, K]."""
    rng = np.random.default_rng(seed_for(seed, "batches of a classifier"))
    of_generated = round(arm.share * recipe.batch_size)
    while True:
        parts = [
            _drawn(rng, part, count)
            for part, count in ((sets.real, recipe.batch_size - of_generated), (sets.generated, of_generated))
            if count
        ]
        images, labels = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
        if arm.augmented:
            images = augmented(rng, images, recipe)
        x, y = to_device(images, torch.device("cpu")), torch.from_numpy(labels)
        yield mixed(rng, x, y, recipe) if arm.mixed else (x, y)


def augmented(rng: np.random.Generator, images: np.ndarray, recipe: Recipe) -> np.ndarray:
    """Images [N, C, H, W], each shifted and, with ``flip``, mirrored at random."""
    count, _, height, width = images.shape
    pixels = round(recipe.shift * height)
    down, right = rng.integers(-pixels, pixels + 1, size=(2, count, 1))
    rows = np.clip(np.arange(height) + down, 0, height - 1)
    columns = np.clip(np.arange(width) + right, 0, width - 1)
    if recipe.flip:
        columns = np.where(rng.random((count, 1)) < 0.5, columns[:, ::-1], columns)
    of_each = np.arange(count)[:, None, None]
    moved = images[of_each, :, rows[:, :, None], columns[:, None, :]]  # [N, H, W, C]
    return np.ascontiguousarray(moved.transpose(0, 3, 1, 2))


def mixed(rng: np.random.Generator, x: Tensor, y: Tensor, recipe: Recipe) -> tuple[Tensor, Tensor]:
    """Mixup of a batch with itself in another order."""
    weight = torch.from_numpy(rng.beta(recipe.mixup, recipe.mixup, len(x))).float()
    other = torch.from_numpy(rng.permutation(len(x)))
    targets = functional.one_hot(y, recipe.classes).float()
    of_images, of_targets = weight[:, None, None, None], weight[:, None]
    return (
        of_images * x + (1 - of_images) * x[other],
        of_targets * targets + (1 - of_targets) * targets[other],
    )


def _drawn(rng: np.random.Generator, part: Labelled, count: int) -> Labelled:
    rows = rng.integers(len(part.labels), size=count)
    return Labelled(part.images[rows], part.labels[rows])
