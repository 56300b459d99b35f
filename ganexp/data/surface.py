"""A critic of points in the plane as a picture: its logits in colours, their gradient in arrows.

Colours go from blue, at the lowest logits (fake), over white to green, at the highest (real). White is the
middle of the values in the picture, and not 0: the zero of a critic without probabilities (WGAN) means nothing.
Arrows point to where the logit rises, which is where the generator is drawn; the longest is of the steepest
place.
"""

import numpy as np
from PIL import Image, ImageDraw

from ganexp.data.picture import lattice
from ganexp.data.source import SampleCritic

_SIDE, _PIXELS = 128, 512
"""Cells per side where the logits are computed, and pixels of the picture."""

_ARROWS = 20
_FAKE, _MIDDLE, _REAL = np.array([96, 140, 214]), np.array([255, 255, 255]), np.array([104, 190, 120])
_OUTLIERS = 2
"""Percentiles of the logits at either end that have the outermost colours."""


def surface(critic: SampleCritic, extent: float) -> Image.Image | None:
    """The picture of [-extent, extent] squared; None where the critic cannot judge points alone."""
    cells = lattice(extent, _SIDE).reshape(-1, 2).astype(np.float32)
    places = lattice(extent, _ARROWS).reshape(-1, 2).astype(np.float32)
    judged = critic(np.concatenate([cells, places]))
    if judged is None:
        return None
    logits, gradients = judged
    picture = Image.fromarray(_colours(logits[: len(cells)].reshape(_SIDE, _SIDE)))
    picture = picture.resize((_PIXELS, _PIXELS), Image.Resampling.BILINEAR)
    _draw_arrows(ImageDraw.Draw(picture), places / extent, gradients[len(cells) :])
    return picture


def _colours(logits: np.ndarray) -> np.ndarray:
    """Logits [H, W] as colours [H, W, 3] uint8. Values that are not finite are white."""
    finite = logits[np.isfinite(logits)]
    low, high = np.percentile(finite, (_OUTLIERS, 100 - _OUTLIERS)) if finite.size else (0.0, 0.0)
    position = (logits - (low + high) / 2) / max((high - low) / 2, 1e-12)
    position = np.clip(np.nan_to_num(position, posinf=0.0, neginf=0.0), -1, 1)[..., None]
    end = np.where(position < 0, _FAKE, _REAL)
    colours: np.ndarray = np.rint(_MIDDLE + (end - _MIDDLE) * np.abs(position)).astype(np.uint8)
    return colours


def _draw_arrows(pen: ImageDraw.ImageDraw, places: np.ndarray, gradients: np.ndarray) -> None:
    """Arrows at places [N, 2] in [-1, 1]. A square root of their lengths keeps the short ones visible."""
    steepness = np.linalg.norm(gradients, axis=1)
    steepest = float(steepness.max())
    if not 0 < steepest < np.inf:
        return
    longest = 0.9 * _PIXELS / _ARROWS
    for place, gradient, length in zip(places, gradients, steepness, strict=True):
        if length == 0:
            continue
        along = np.array([gradient[0], -gradient[1]]) / length  # the picture's rows go downwards
        reach = longest * (length / steepest) ** 0.5
        middle = (1 + np.array([place[0], -place[1]])) / 2 * _PIXELS
        tip, across = middle + along * reach / 2, np.array([-along[1], along[0]])
        barbs = [tip - reach / 3 * along + side * reach / 5 * across for side in (1, -1)]
        for start in (middle - along * reach / 2, *barbs):
            pen.line([*start, *tip], fill=(90, 98, 110))
