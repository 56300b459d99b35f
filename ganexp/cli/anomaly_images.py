"""The images of ``ganexp anomaly``: what is scored, what is known of it, and what sets the threshold."""

from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import NamedTuple

import numpy as np
from omegaconf import DictConfig
from tqdm import tqdm

from ganexp.cli.translate_files import listed, output_names
from ganexp.data.arrays import Arrays
from ganexp.data.decode import Recipe, decode
from ganexp.data.held_out import held_out
from ganexp.data.leave_out import class_names, shows_any, without
from ganexp.errors import UserError
from ganexp.system.rng import seed_for
from ganexp.training.load import OpenedRun

NORMAL = ("normal", "good", "0.normal")
"""Names of sub-folders of normal images, as anomaly detection data sets use them."""


class Scored(NamedTuple):
    """The images to score.

    ``names``: as files of PNG images; ``samples`` [N, C, H, W] uint8; ``labels``: a text for each;
    ``anomalous`` [N] bool, None where it is not known; ``normal``: samples [M, C, H, W] of other normal images,
    held out of training, that set the threshold; None where there are none. ``about``: what they are, in words.
    """

    names: list[str]
    samples: np.ndarray
    labels: list[str]
    anomalous: np.ndarray | None
    normal: np.ndarray | None
    about: str


def images_to_score(run: OpenedRun, cfg: DictConfig) -> Scored:
    """Those of ``input``, or of the run's held-out split. Raises UserError where there are none."""
    return _of_split(run, cfg) if cfg.input is None else _of_files(run, cfg)


def _of_split(run: OpenedRun, cfg: DictConfig) -> Scored:
    data = run.data()
    splits = list(run.source.held_out())
    if not splits:
        raise UserError(
            "input is missing: the run's data have no held-out split; set input=<folder>, or train with one "
            "(data=digits has one with data.split=train)"
        )
    asked = run.source.leave_out if cfg.anomalous is None else cfg.anomalous
    names = class_names("anomalous", asked, data.classes)
    if not names:
        raise UserError("anomalous is missing: this run leaves out no class; set anomalous=[<class>]")
    found = held_out(run.source, data, cfg.split, everything=True)
    others = [split for split in splits if split != found.split]
    rows = np.arange(len(found.data.samples))
    if others:
        normal = without(
            held_out(run.source, data, others[0], everything=True).data, names, paired=run.source.paired
        ).samples
        told = f"split {found.split}; threshold from the normal images of {others[0]}"
    else:
        seed = seed_for(cfg.seed, "images that set the threshold")
        drawn = np.random.default_rng(seed).permutation(np.flatnonzero(~shows_any(found.data, names)))
        drawn = np.sort(drawn[: len(drawn) // 2])
        rows, normal = np.setdiff1d(rows, drawn), np.ascontiguousarray(found.data.samples[drawn])
        told = f"split {found.split}, without the half of its normal images that sets the threshold"
    anomalous = shows_any(found.data, names)[rows]
    if anomalous.all() or not anomalous.any():
        raise UserError(f"anomalous={list(names)}: the split {found.split} needs images of these and of others")
    files = [f"{found.split}_{row:05}.png" for row in rows]
    labels = [_label(found.data, int(row)) for row in rows]
    return Scored(files, np.ascontiguousarray(found.data.samples[rows]), labels, anomalous, normal, told)


def _label(data: Arrays, row: int) -> str:
    label = data.labels[row]
    if data.labels.ndim == 1:
        return str(data.classes[label])
    return " ".join(name for name, value in zip(data.classes, label, strict=True) if value == 1)


def _of_files(run: OpenedRun, cfg: DictConfig) -> Scored:
    images = listed("input", cfg.input)
    names = output_names(images.names, "png")
    channels, side, _ = run.source.shape
    recipe = Recipe(channels, side, getattr(run.source, "crop", "centre"))
    samples = np.empty((len(names), channels, side, side), np.uint8)
    bar = tqdm(images.names, desc="reading", unit=" images", delay=1, disable=None, leave=False)
    for row, name in enumerate(bar):
        try:
            samples[row] = decode(images.tree.read(name), name, recipe)
        except UserError as error:
            raise UserError(f"{images.setting}: {error}; repair, enlarge or remove it") from None
    labels = [PurePosixPath(name).parts[0] if "/" in name else "" for name in images.names]
    return Scored(names, samples, labels, _flags(labels, cfg.anomalous), _held_out_normal(run), images.setting)


def _flags(labels: list[str], anomalous: Sequence[str | int] | None) -> np.ndarray | None:
    """Which of the files are anomalous; None where that does not follow from their folders."""
    known = sorted(set(labels))
    if anomalous is not None:
        named = set(class_names("anomalous", anomalous, known))
        flags = np.array([label in named for label in labels])
    elif set(known) & set(NORMAL):
        flags = np.array([label not in NORMAL for label in labels])
    else:
        return None
    return flags if flags.any() and not flags.all() else None


def _held_out_normal(run: OpenedRun) -> np.ndarray | None:
    """Held-out images of the classes that the run was trained on."""
    try:
        return held_out(run.source, run.data(), None).data.samples
    except UserError:
        return None
