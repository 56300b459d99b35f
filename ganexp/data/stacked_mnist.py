"""Stacked MNIST (Che et al. 2017): three digits in the colour channels, 1,000 known modes.

As in PacGAN (Lin et al. 2018, section 4.2) 128,000 triples are drawn once. They are drawn from MNIST's training
images; PacGAN's code draws from training and test images together.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np

from ganexp.config.ranges import Count, FilePath
from ganexp.data.arrays import Arrays
from ganexp.data.images import ImageArrays
from ganexp.data.mnist import MNIST
from ganexp.data.source import Source

_SEED = 20180  # fixed: the triples are a data set, the same for every run
_HELD_OUT = 10000  # triples of test digits; MNIST has 10,000 of those


@dataclass(frozen=True, kw_only=True)
class StackedMNIST(ImageArrays):
    """``count`` colour images; the label is 100 * red + 10 * green + blue digit."""

    terms: ClassVar[str] = (
        "Of MNIST (LeCun, Cortes & Burges): CC BY-SA 3.0, as Keras' documentation quotes its owners."
    )

    root: FilePath
    split: Literal["train", "test"]
    count: Count

    def files(self) -> list[Path]:
        return self.digits().files()

    def read(self) -> Arrays:
        digits = self.digits().read()
        triples = np.random.default_rng(_SEED).integers(len(digits.samples), size=(self.count, 3))
        labels = digits.labels[triples] @ np.array([100, 10, 1])
        return Arrays(digits.samples[triples, 0], labels, tuple(f"{number:03d}" for number in range(1000)))

    def held_out(self) -> dict[str, Source]:
        count = min(self.count, _HELD_OUT)
        return {"test": replace(self, split="test", count=count)} if self.split == "train" else {}

    def digits(self) -> MNIST:
        """The MNIST split that the triples are drawn from."""
        return MNIST(
            root=self.root,
            split=self.split,
            resolution=self.resolution,
            shape=[1, self.resolution, self.resolution],
            classes=10,
            bounded=True,
            mirror=False,
        )
