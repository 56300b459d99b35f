r"""How near outputs come to a style image, and how far they go from their photos: see ``games/style.py``.

    style_distance    mean over images of sum_l |A_l(y) - A_l(s)|^2 / C_l^2,   divided by the same of x for y
    content_distance  mean over images of |phi_k(y) - phi_k(x)|^2,             divided by that of |phi_k(x)|^2

x: a photo; y: what is made of it; s: the style image; phi_l [C_l, H_l, W_l]: level l of a network with random
weights; A_l: its Gram matrix. The photo itself has a style distance of 1 and a content distance of 0. The
features are the metric's own, always the same, so that runs with other features can be compared.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from ganexp.config.ranges import Count, FilePaths, Whole, Widths
from ganexp.data.source import Source
from ganexp.data.style_image import read_style_image
from ganexp.errors import UserError
from ganexp.metrics.directions import Direction
from ganexp.metrics.metric import EvalPair, Metric, Need, Scores
from ganexp.metrics.paired import check_images
from ganexp.nets.fixed_convolutions import Levels, gram, random_levels
from ganexp.system.float32 import full_float32

_BATCH = 16


@dataclass(frozen=True, kw_only=True)
class StyleDistance(Metric):
    """The two distances. ``image``, ``size``: as ``game.image`` and ``game.style_size`` of ``game=style``.

    Raises UserError where there is no image or where it cannot be read.
    """

    SCORES: ClassVar[Mapping[str, Direction]] = {"style_distance": "lower", "content_distance": "lower"}
    needs: ClassVar[tuple[Need, ...]] = ("source",)

    image: FilePaths | None
    size: Count | None
    seed: Whole
    widths: Widths
    level: Count

    def check(self, source: Source) -> None:
        check_images("style", source, self._smallest)
        if self.level > len(self.widths):
            raise UserError(f"metrics.style.level={self.level}: there are levels 1 to {len(self.widths)}")
        self._style_images(source.shape[0])

    @torch.no_grad()
    @full_float32()
    def __call__(self, pair: EvalPair) -> Scores:
        photos = pair.fake.source
        assert photos is not None, "needs says so"
        if photos.shape != pair.fake.samples.shape:
            raise UserError("metrics=style: photos and outputs have different shapes: leave it out")
        channels = photos.shape[1]
        network = random_levels(channels, self.widths, [1] * len(self.widths), self.seed).to(pair.device)
        images = self._style_images(channels)
        each = [[gram(f) for f in network.levels(_tensor(image[None], pair.device))] for image in images]
        style = [torch.cat(level).mean(0) for level in zip(*each, strict=True)]
        sums = torch.zeros(4, dtype=torch.float64)
        for start in range(0, len(photos), _BATCH):
            made, given = (
                _tensor(part[start : start + _BATCH].astype(np.float32) / 127.5 - 1, pair.device)
                for part in (pair.fake.samples, photos)
            )
            sums += self._sums(network, made, given, style).cpu().double()
        styles, unchanged, contents, squares = sums.tolist()
        return {
            "style_distance": styles / max(unchanged, _TINY),
            "content_distance": contents / max(squares, _TINY),
        }

    def _sums(self, network: Levels, made: Tensor, photos: Tensor, style: Sequence[Tensor]) -> Tensor:
        """Sums over images of outputs' and photos' style distances, of content distances, of squares: [4]."""
        outputs, inputs = network.levels(made), network.levels(photos)
        output, content = outputs[self.level - 1], inputs[self.level - 1]
        return torch.stack(
            [
                _from_style(outputs, style),
                _from_style(inputs, style),
                (output - content).square().sum(),
                content.square().sum(),
            ]
        )

    @property
    def _smallest(self) -> int:
        return int(2 ** (len(self.widths) - 1))

    def _style_images(self, channels: int) -> list[np.ndarray]:
        if self.image is None:
            raise UserError("metrics.style.image is required: set metrics.style.image=<the style image>")
        files = [self.image] if isinstance(self.image, str) else self.image
        setting, smallest = "metrics.style.image", self._smallest
        return [read_style_image(setting, Path(file), channels, self.size, smallest) for file in files]


_TINY = 1e-30


def _tensor(images: np.ndarray, device: torch.device) -> Tensor:
    return torch.from_numpy(images).to(device)


def _from_style(levels: Sequence[Tensor], style: Sequence[Tensor]) -> Tensor:
    """The sum over images and levels of the mean squared difference of Gram matrices: a scalar."""
    apart = [(gram(f) - wanted).square().mean((1, 2)).sum() for f, wanted in zip(levels, style, strict=True)]
    return torch.stack(apart).sum()
