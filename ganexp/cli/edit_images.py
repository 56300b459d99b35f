"""The images of ``ganexp edit``: files, or images of the run's data set."""

from pathlib import PurePosixPath
from typing import NamedTuple

import numpy as np
import torch
from omegaconf import DictConfig
from torch import Tensor

from ganexp.cli.requested import plain
from ganexp.cli.requested_each import request_of_each
from ganexp.cli.translate_files import decoded, listed, output_names
from ganexp.data.held_out import AUTO, evaluated
from ganexp.data.reference import random_rows
from ganexp.errors import UserError
from ganexp.latents.latent_space import LatentSpace
from ganexp.metrics.classifier import has_labels, predict_labels, trained_classifier
from ganexp.system.rng import seed_for
from ganexp.system.terminal import plural
from ganexp.training.load import OpenedRun


class GivenImages(NamedTuple):
    """N images of the run's shape. ``stems``: their names without ending, which may have folders in them.

    ``stored``: [N, C, H, W] uint8; ``labels``: the data's, int64 [N] or [N, K], or None of files; ``rows``: of
    the data set that scores are computed on, empty of files; ``about``: what they are, for people.
    """

    stems: list[str]
    stored: np.ndarray
    labels: np.ndarray | None
    rows: np.ndarray
    about: str


def given_images(cfg: DictConfig, run: OpenedRun) -> GivenImages:
    """The images of ``input`` or ``held_out``. Raises UserError."""
    if (cfg.input is None) == (cfg.held_out is None):
        raise UserError(
            "input: set input=<image, folder or zip>, or held_out=20 for images of the run's data set"
        )
    if not run.source.is_image:
        raise UserError("run: edit needs a run of images, and this run's samples are not images")
    return _of_data(cfg, run) if cfg.input is None else _of_files(cfg.input, run)


def _of_files(path: str, run: OpenedRun) -> GivenImages:
    files = listed("input", path)
    stems = [str(PurePosixPath(name).with_suffix("")) for name in output_names(files.names, "png")]
    images = decoded(files, run.source)
    return GivenImages(stems, images, None, np.zeros(0, np.int64), plural(len(images), "image"))


def _of_data(cfg: DictConfig, run: OpenedRun) -> GivenImages:
    data = run.data()
    held = evaluated(run.source, data, AUTO)
    rows = np.sort(
        random_rows(len(held.samples), cfg.held_out, seed_for(cfg.seed, "edit"))[: len(held.samples)]
    )
    which = "training" if held is data else "held-out"
    stems = [f"{which.replace('-', '_')}_{row:06d}" for row in rows]
    told = plural(len(rows), f"{which} image")
    return GivenImages(stems, np.ascontiguousarray(held.samples[rows]), held.labels[rows], rows, told)


def labels_for(
    cfg: DictConfig, space: LatentSpace, images: GivenImages, run: OpenedRun
) -> tuple[Tensor | None, str]:
    """The labels for a conditional generator, [N] or [N, K], and where they are from. Raises UserError."""
    count = len(images.stored)
    if not space.conditional:
        if cfg.label is None:
            return None, ""
        raise UserError("label: this run knows no labels; train one with game=cgan")
    if cfg.label is not None:
        return request_of_each(count, plain(cfg.label), {}, space.game, run).label, "label"
    if images.labels is not None:
        return torch.from_numpy(images.labels), "the data's labels"
    if not has_labels(run.source):
        raise UserError("label is missing: this run is conditional, and its data cannot tell labels apart")
    net, _, accuracy = trained_classifier(run.source, run.data(), run.device)
    found = predict_labels(net, images.stored, run.device)
    return torch.from_numpy(found), f"labels by a classifier that is right on {accuracy:.2%} of real images"
