"""Label maps against their targets, by hand."""

import numpy as np
import pytest

from ganexp.errors import UserError
from ganexp.metrics.label_maps import confusion, label_scores

RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)


def picture(*colours: tuple[int, int, int]) -> np.ndarray:
    """One image of one row: [1, 3, 1, W] uint8."""
    return np.array(colours, np.uint8).T[None, :, None]


def test_scores_by_hand() -> None:
    """Of four red pixels three are right; of two green ones one; one red and one green count as the other."""
    target = picture(RED, RED, RED, RED, GREEN, GREEN)
    output = picture(RED, (200, 30, 20), RED, (90, 140, 0), GREEN, (140, 120, 100))
    counts = confusion(output, target, 8)
    assert counts.tolist() == [[1, 1], [1, 3]], "colours in their order: green, red"
    found = label_scores(counts)
    assert found["pixel_accuracy"] == pytest.approx(4 / 6)
    assert found["class_accuracy"] == pytest.approx((3 / 4 + 1 / 2) / 2)
    assert found["mean_iou"] == pytest.approx((3 / 5 + 1 / 3) / 2)


def test_equal_maps_score_one() -> None:
    rng = np.random.default_rng(0)
    maps = np.array([RED, GREEN, BLUE], np.uint8)[rng.integers(3, size=(70, 4, 4))].transpose(0, 3, 1, 2)
    assert set(label_scores(confusion(maps, maps, 8)).values()) == {1.0}


def test_photos_are_refused() -> None:
    photos = np.random.default_rng(0).integers(256, size=(2, 3, 8, 8), dtype=np.uint8)
    with pytest.raises(UserError, match=r"the targets have 128 colours, and label maps have at most 64"):
        confusion(photos, photos, 64)
