"""How near outputs are to their targets, pixel by pixel: PSNR, SSIM and MS-SSIM, computed by torchmetrics.

Images are compared in 8 bits, mapped to [0, 1]: SSIM is not invariant to a shift of the values, so images in
[-1, 1] with a range of 2 would have other scores. Each score is the mean over the images' scores.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import torch
from torch import Tensor
from torchmetrics.functional.image import (
    multiscale_structural_similarity_index_measure,
    peak_signal_noise_ratio,
    structural_similarity_index_measure,
)

from ganexp.config.ranges import Count, Whole
from ganexp.data.source import Source
from ganexp.errors import UserError
from ganexp.metrics.directions import Direction
from ganexp.metrics.metric import EvalPair, Metric, Need, Scores
from ganexp.system.float32 import full_float32

Channel = Literal["rgb", "y"]

_BATCH = 32

_MOST_DECIBELS = 100.0
"""The most that an image counts: the PSNR of equal images is infinite, and so would be the mean."""

_WINDOW = 11
"""The side of SSIM's Gaussian window, of standard deviation 1.5 pixels: Wang et al. 2004, section III-B."""

_SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
"""From the finest scale to the coarsest: Wang, Simoncelli and Bovik 2003, section 3.2."""


@dataclass(frozen=True, kw_only=True)
class PSNR(Metric):
    """10 log10(1 / mean squared error) in decibels. Higher is better; an image counts at most 100.

    ``border``: so many pixels at each side are left out. ``channel``: ``y`` compares the luma, see ``luma``.
    """

    SCORES: ClassVar[Mapping[str, Direction]] = {"psnr": "higher"}
    needs: ClassVar[tuple[Need, ...]] = ("target",)

    border: Whole
    channel: Literal["rgb", "y"]

    def check(self, source: Source) -> None:
        check_images("psnr", source, 1, self.border)

    def __call__(self, pair: EvalPair) -> Scores:
        return {"psnr": mean_over_images(pair, _psnr, self.border, self.channel)}


@dataclass(frozen=True, kw_only=True)
class SSIM(Metric):
    """Structural similarity: Wang et al. 2004, in [-1, 1], 1 for equal images. The settings are PSNR's.

    The image is extended by reflection, so that a window is centred on every pixel; programs that take the
    windows inside of the image only have other scores.
    """

    SCORES: ClassVar[Mapping[str, Direction]] = {"ssim": "higher"}
    needs: ClassVar[tuple[Need, ...]] = ("target",)

    border: Whole
    channel: Literal["rgb", "y"]

    def check(self, source: Source) -> None:
        check_images("ssim", source, _WINDOW, self.border)

    def __call__(self, pair: EvalPair) -> Scores:
        return {"ssim": mean_over_images(pair, _ssim, self.border, self.channel)}


@dataclass(frozen=True, kw_only=True)
class MultiScaleSSIM(Metric):
    """SSIM of several resolutions: Wang, Simoncelli and Bovik 2003, in [0, 1]. ``border``, ``channel``: PSNR's.

    With fewer than five ``scales``, the paper's weights of the finest ones are divided by their sum.
    """

    SCORES: ClassVar[Mapping[str, Direction]] = {"ms_ssim": "higher"}
    needs: ClassVar[tuple[Need, ...]] = ("target",)

    border: Whole
    channel: Literal["rgb", "y"]
    scales: Count

    def check(self, source: Source) -> None:
        if self.scales > len(_SCALE_WEIGHTS):
            raise UserError(f"metrics.ms_ssim.scales={self.scales}: there are weights of 5 scales, say 1 to 5")
        needed = smallest_side(self.scales)
        fewer = "; lower metrics.ms_ssim.scales" if self.scales > 1 else ""
        check_images("ms_ssim", source, needed, self.border, fewer)

    def __call__(self, pair: EvalPair) -> Scores:
        weights = _SCALE_WEIGHTS[: self.scales]
        betas = tuple(weight / sum(weights) for weight in weights)

        def score(output: Tensor, target: Tensor) -> Tensor:
            return multiscale_structural_similarity_index_measure(
                output, target, data_range=1.0, reduction="none", betas=betas
            )

        return {"ms_ssim": mean_over_images(pair, score, self.border, self.channel)}


def smallest_side(scales: int) -> int:
    """The side of the smallest images that MS-SSIM takes: a window has to fit into the coarsest scale.

    torchmetrics divides by (scales - 1)^2, not by 2^(scales - 1), when it checks that.
    """
    return _WINDOW * int(max(2 ** (scales - 1), (scales - 1) ** 2))


def check_images(name: str, source: Source, smallest: int, border: int = 0, advice: str = "") -> None:
    """Raises UserError where samples are no images of at least ``smallest`` pixels inside of the border."""
    if not source.is_image:
        raise UserError(f"metrics={name} compares images, and this data set has none: leave it out")
    side = min(source.shape[1:])
    if side - 2 * border < smallest:
        inside = f" with a border of {border} left out" if border else ""
        lower = f"; lower metrics.{name}.border" if border and side >= smallest else advice
        raise UserError(
            f"metrics={name} needs images of at least {smallest} pixels, and these have {side}{inside}"
            f"{lower or '; leave it out'}"
        )


@torch.no_grad()
@full_float32()
def mean_over_images(
    pair: EvalPair, score: Callable[[Tensor, Tensor], Tensor], border: int, channel: Channel
) -> float:
    """The mean over images of ``score(output, target)``: batches [N, C, H, W] in [0, 1] to scores [N]."""
    assert pair.fake.target is not None, "needs says so"
    found = []
    for start in range(0, len(pair.fake.samples), _BATCH):
        output, target = (
            _prepared(images[start : start + _BATCH], border, channel, pair.device)
            for images in (pair.fake.samples, pair.fake.target)
        )
        found.append(score(output, target).cpu().double())
    return float(torch.cat(found).mean())


def luma(images: Tensor) -> Tensor:
    """Y of Y'CbCr of RGB or grey images [N, C, H, W] in [0, 1]: [N, 1, H, W] in [16 / 255, 235 / 255].

    ITU-R BT.601 in its range for video, as the papers on super-resolution take it (MATLAB's ``rgb2ycbcr``),
    without rounding. Its range is smaller than that of RGB, which makes PSNR 1.3 dB higher by itself.
    """
    red, green, blue = images.expand(-1, 3, -1, -1).split(1, 1)
    found: Tensor = (16 + 65.481 * red + 128.553 * green + 24.966 * blue) / 255
    return found


def psnr_of_each(one: np.ndarray, two: np.ndarray, value_range: float = 255.0) -> np.ndarray:
    """PSNR of each pair of stored samples [N, ...], in decibels, at most 100: [N] float64."""
    errors = ((one.astype(np.float64) - two.astype(np.float64)) / value_range).reshape(len(one), -1)
    found: np.ndarray = -10 * np.log10(np.maximum((errors**2).mean(1), 10 ** (-_MOST_DECIBELS / 10)))
    return found


def _prepared(images: np.ndarray, border: int, channel: Channel, device: torch.device) -> Tensor:
    """uint8 [N, C, H, W] as [N, C or 1, H - 2 border, W - 2 border] in [0, 1]."""
    height, width = images.shape[2:]
    inside = np.ascontiguousarray(images[:, :, border : height - border, border : width - border])
    scaled = torch.from_numpy(inside).to(device).float() / 255
    return luma(scaled) if channel == "y" else scaled


def _psnr(output: Tensor, target: Tensor) -> Tensor:
    """Of each image: torchmetrics' default would be that of all pixels of the batch together."""
    decibels: Tensor = peak_signal_noise_ratio(output, target, data_range=1.0, dim=(1, 2, 3), reduction="none")
    return decibels.clamp(max=_MOST_DECIBELS)


def _ssim(output: Tensor, target: Tensor) -> Tensor:
    similarity = structural_similarity_index_measure(output, target, data_range=1.0, reduction="none")
    assert isinstance(similarity, Tensor)  # a pair, if the map of similarities is asked for too
    return similarity
