"""Outputs that are label maps, such as a street's classes in colours, compared with their targets.

Pixel accuracy, class accuracy and IoU of Long et al. 2015, section 5, as Isola et al. 2017 report them for
photo -> labels. Each pixel of an output counts as the label of the nearest colour of the targets. Of photos
made of label maps the papers' score needs a segmentation network with its weights, and is not this one.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from scipy.spatial import KDTree

from ganexp.config.ranges import Count
from ganexp.errors import UserError
from ganexp.metrics.directions import Direction
from ganexp.metrics.metric import EvalPair, Metric, Need, Scores

_CHUNK = 64  # images at a time


@dataclass(frozen=True, kw_only=True)
class LabelMaps(Metric):
    """Shares in [0, 1]; higher is better. ``most``: targets of more colours are refused, as no label maps."""

    SCORES: ClassVar[Mapping[str, Direction]] = {
        "pixel_accuracy": "higher",
        "class_accuracy": "higher",
        "mean_iou": "higher",
    }
    needs: ClassVar[tuple[Need, ...]] = ("target",)

    most: Count

    def __call__(self, pair: EvalPair) -> Scores:
        if not pair.source.is_image:
            raise UserError("metrics=label_maps compares images, and this data has none")
        assert pair.fake.target is not None
        return label_scores(confusion(pair.fake.samples, pair.fake.target, self.most))


def confusion(outputs: np.ndarray, targets: np.ndarray, most: int) -> np.ndarray:
    """[K, K] int64: how many pixels of each label of the targets (rows) have each label in the outputs.

    ``outputs``, ``targets``: [N, C, H, W] uint8. Raises UserError for targets of more than ``most`` colours.
    """
    channels = targets.shape[1]
    colours = np.unique(targets.transpose(0, 2, 3, 1).reshape(-1, channels), axis=0)
    if len(colours) > most:
        raise UserError(
            f"metrics=label_maps: the targets have {len(colours):,} colours, and label maps have at most "
            f"{most}: are they photos, or JPEGs?"
        )
    nearest = KDTree(colours)
    counts = np.zeros((len(colours), len(colours)), np.int64)
    for start in range(0, len(targets), _CHUNK):
        labels = [
            nearest.query(images[start : start + _CHUNK].transpose(0, 2, 3, 1).reshape(-1, channels))[1]
            for images in (targets, outputs)
        ]
        flat = labels[0] * len(colours) + labels[1]
        counts += np.bincount(flat, minlength=counts.size).reshape(counts.shape)
    return counts


def label_scores(counts: np.ndarray) -> Scores:
    """The three scores of a confusion [K, K]; each label of the targets counts the same in the last two."""
    right, target, output = np.diag(counts), counts.sum(1), counts.sum(0)
    return {
        "pixel_accuracy": float(right.sum() / counts.sum()),
        "class_accuracy": float((right / target).mean()),
        "mean_iou": float((right / (target + output - right)).mean()),
    }
