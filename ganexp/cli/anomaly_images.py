"""The images of ``ganexp anomaly``: what is scored, what is known of it, and what sets the threshold."""

from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import NamedTuple

import numpy as np
from omegaconf import DictConfig

from ganexp.cli.translate_files import decoded, listed, output_names
from ganexp.data.arrays import Arrays
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
    held out of training, that set the threshold; None where there are none. ``about``: what they are, in words;
    ``reason``: why there are no normal ones.
    """

    names: list[str]
    samples: np.ndarray
    labels: list[str]
    anomalous: np.ndarray | None
    normal: np.ndarray | None
    about: str
    reason: str = ""


def images_to_score(run: OpenedRun, cfg: DictConfig) -> Scored:
    """Those of ``input``, or of the run's held-out split. Raises UserError where there are none."""
    return _of_split(run, cfg) if cfg.input is None else _of_files(run, cfg)


def _of_split(run: OpenedRun, cfg: DictConfig) -> Scored:
    data, source = run.data(), run.source
    splits = list(source.held_out())
    if not splits:
        raise UserError(
            "input is missing: the run's data have no held-out split; set input=<folder>, or train with one "
            "(data=digits has one with data.split=train)"
        )
    found = held_out(source, data, cfg.split, everything=True)
    unseen = [*class_names("data.leave_out", source.leave_out, data.classes), *_unknown(found.data, data)]
    known = [*data.classes, *_unknown(found.data, data)]
    names = unseen if cfg.anomalous is None else class_names("anomalous", cfg.anomalous, known)
    if not names:
        raise UserError("anomalous is missing: this run leaves out no class; set anomalous=[<class>]")
    neither = [name for name in unseen if name not in names]
    scored = _part(found.data, neither, run)
    other = next((split for split in splits if split != found.split), None)
    rows = np.arange(len(scored.samples))
    if other is not None:
        whole = held_out(source, data, other, everything=True).data
        normal = _part(whole, [*names, *neither, *_unknown(whole, data)], run).samples
        told = f"split {found.split}; threshold from the normal images of {other}"
    else:
        seed = seed_for(cfg.seed, "images that set the threshold")
        drawn = np.random.default_rng(seed).permutation(np.flatnonzero(~shows_any(scored, names)))
        drawn = np.sort(drawn[: len(drawn) // 2])
        rows, normal = np.setdiff1d(rows, drawn), np.ascontiguousarray(scored.samples[drawn])
        told = f"split {found.split}, without the half of its normal images that sets the threshold"
    anomalous = shows_any(scored, names)[rows]
    if anomalous.all() or not anomalous.any():
        raise UserError(f"anomalous={list(names)}: the split {found.split} needs images of these and of others")
    files = [f"{found.split}_{row:05}.png" for row in rows]
    labels = [_label(scored, int(row)) for row in rows]
    return Scored(files, np.ascontiguousarray(scored.samples[rows]), labels, anomalous, normal, told)


def _unknown(found: Arrays, trained: Arrays) -> list[str]:
    """Classes of a split that the training data do not have, such as the defects of a set of products."""
    return [name for name in found.classes if name not in trained.classes]


def _part(arrays: Arrays, names: Sequence[str], run: OpenedRun) -> Arrays:
    """The samples that show none of these classes."""
    return without(arrays, [name for name in names if name in arrays.classes], paired=run.source.paired)


def _label(data: Arrays, row: int) -> str:
    label = data.labels[row]
    if data.labels.ndim == 1:
        return str(data.classes[label])
    return " ".join(name for name, value in zip(data.classes, label, strict=True) if value == 1)


def _of_files(run: OpenedRun, cfg: DictConfig) -> Scored:
    images = listed("input", cfg.input)
    names = output_names(images.names, "png")
    samples = decoded(images, run.source, "; repair, enlarge or remove it")
    labels = [PurePosixPath(name).parts[0] if "/" in name else "" for name in images.names]
    normal, reason = _held_out_normal(run, samples)
    return Scored(names, samples, labels, _flags(labels, cfg.anomalous), normal, images.setting, reason)


def _flags(labels: list[str], anomalous: Sequence[str | int] | None) -> np.ndarray | None:
    """Which of the files are anomalous; None where that does not follow from their folders."""
    known = sorted(set(labels))
    if anomalous is not None:
        named = set(class_names("anomalous", anomalous, known))
        return np.array([label in named for label in labels])
    if set(known) & set(NORMAL):
        return np.array([label not in NORMAL for label in labels])
    return None


def _held_out_normal(run: OpenedRun, scored: np.ndarray) -> tuple[np.ndarray | None, str]:
    """Held-out images of classes that the run was trained on, but for scored ones; or why there are none.

    ``scored``: the images [N, C, H, W] that are scored, which set no threshold.
    """
    try:
        data = run.data()
        found = held_out(run.source, data, None).data
        normal = _part(found, _unknown(found, data), run).samples
    except UserError as error:
        return None, str(error)
    known = {image.tobytes() for image in scored}
    others = [row for row, image in enumerate(normal) if image.tobytes() not in known]
    if not others:
        return None, "all held-out normal images are scored; without input, half of them set the threshold"
    return np.ascontiguousarray(normal[others]), ""
