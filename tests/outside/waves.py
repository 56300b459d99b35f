"""Sequences [N, C, L] of a made data set: each is a sum of waves, and says which of them it holds.

Their files are CSV, one row for each time.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
from PIL import Image, ImageDraw

from ganexp.config.ranges import Count
from ganexp.data.arrays import Arrays
from ganexp.data.source import LabelKind, Source

ATTRIBUTES = ("slow", "fast", "steep")
SIDE, MARGIN = 40, 4  # pixels of a curve, and around it
COLOURS = ((225, 95, 0), (0, 90, 180))


@dataclass(frozen=True, kw_only=True)
class Waves(Source):
    """``count`` sequences of two channels, the second a quarter of a wave behind the first."""

    length: Count
    count: Count
    mirror: Literal[False]

    preview_count: ClassVar[int] = 16
    label_kind: ClassVar[LabelKind] = "attributes"
    file_type: ClassVar[str | None] = "csv"

    def load(self) -> Arrays:
        rng = np.random.default_rng(0)
        labels = rng.integers(2, size=(self.count, 3))
        time = np.linspace(0, 2 * np.pi, self.length)[None, None]
        phase = rng.uniform(0, 2 * np.pi, (self.count, 1, 1)) + np.array([0, np.pi / 2])[None, :, None]
        slow, fast, steep = labels.T[:, :, None, None]
        samples = slow * np.sin(time + phase) + fast * np.sin(4 * time + phase) + steep * (time / np.pi - 1)
        return self.check_arrays(Arrays((samples / 3).astype(np.float32), labels.astype(np.int64), ATTRIBUTES))

    def draw(self, samples: np.ndarray, columns: int) -> Image.Image:
        rows, cell = -(-len(samples) // columns), SIDE + MARGIN
        picture = Image.new("RGB", (columns * cell + MARGIN, rows * cell + MARGIN), "white")
        pen = ImageDraw.Draw(picture)
        for number, sample in enumerate(samples):
            left, top = (MARGIN + cell * place for place in (number % columns, number // columns))
            for curve, colour in zip(sample, COLOURS, strict=True):
                x = left + np.linspace(0, SIDE, len(curve))
                y = top + SIDE / 2 * (1 - np.clip(curve, -1, 1))
                pen.line([*zip(x.tolist(), y.tolist(), strict=True)], fill=colour)
        return picture

    def save(self, samples: np.ndarray, files: Sequence[Path]) -> None:
        for sample, file in zip(samples, files, strict=True):
            np.savetxt(file, sample.T, "%.6g", ",")
