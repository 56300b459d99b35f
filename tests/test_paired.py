"""Scores of outputs against their targets: by hand, against torchmetrics, and what is refused."""

import math
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import TINY, composed
from torch import Tensor, nn
from torchmetrics.functional.image import (
    multiscale_structural_similarity_index_measure as torch_ms_ssim,
)
from torchmetrics.functional.image import (
    peak_signal_noise_ratio as torch_psnr,
)
from torchmetrics.functional.image import (
    structural_similarity_index_measure as torch_ssim,
)

from ganexp.data.source import Source
from ganexp.errors import UserError
from ganexp.metrics import perceptual
from ganexp.metrics.colour import Colourfulness, colourfulness
from ganexp.metrics.features import SampleFeatures
from ganexp.metrics.metric import EvalPair
from ganexp.metrics.paired import PSNR, SSIM, MultiScaleSSIM, luma, smallest_side
from ganexp.metrics.perceptual import LPIPS, Identity, cosine_similarity
from ganexp.runs.best_checkpoint import BestCheckpoint
from ganexp.training.setup import build_experiment

CPU = torch.device("cpu")


class _Doubled:
    """Features that are the samples' means, doubled."""

    suffix, identity, about = "_doubled", "doubled", "means, doubled"

    def __call__(self, samples: np.ndarray) -> SampleFeatures:
        return SampleFeatures(samples, 2 * samples.mean((2, 3)).astype(np.float32), None)


def source(*shape: int, image: bool = True) -> Source:
    found = Source(shape=list(shape), bounded=True, classes=1, mirror=False)
    object.__setattr__(found, "is_image", image)
    return found


def pair(output: np.ndarray, target: np.ndarray | None) -> EvalPair:
    compute = _Doubled()
    fake = compute(output)._replace(target=target)
    reference: Any = None
    return EvalPair(source(*output.shape[1:]), fake, fake, compute.suffix, CPU, reference, compute)


def images(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def near(target: np.ndarray, seed: int, noise: float) -> np.ndarray:
    moved = target + np.random.default_rng(seed).normal(0, noise, target.shape)
    return moved.clip(0, 255).round().astype(np.uint8)


def unit(stored: np.ndarray) -> Tensor:
    return torch.from_numpy(stored).double() / 255


def one_value(found: Tensor | tuple[Tensor, Tensor]) -> float:
    assert isinstance(found, Tensor)
    return float(found)


def test_psnr_by_hand() -> None:
    target = np.full((2, 3, 8, 8), 100, np.uint8)
    output = target.copy()
    output[0] += 10
    output[1, :, :, :4] += 20  # half of the pixels
    expected = [20 * math.log10(255 / 10), 10 * math.log10(255**2 / 200)]
    found = PSNR(border=0, channel="rgb")(pair(output, target))["psnr"]
    assert found == pytest.approx(sum(expected) / 2, abs=1e-4)


def test_psnr_of_images_is_not_that_of_all_pixels_together() -> None:
    target = images(0, 4, 3, 16, 16)
    output = np.concatenate([near(target[:3], 1, 2.0), near(target[3:], 2, 60.0)])
    found = PSNR(border=0, channel="rgb")(pair(output, target))["psnr"]
    pooled = float(torch_psnr(unit(output), unit(target), data_range=1.0))
    each = torch_psnr(unit(output), unit(target), data_range=1.0, dim=(1, 2, 3))
    assert found == pytest.approx(float(each), abs=1e-4) and found > pooled + 10


def test_equal_images_count_100_and_a_score_is_finite() -> None:
    target = images(0, 2, 3, 16, 16)
    assert PSNR(border=0, channel="rgb")(pair(target, target))["psnr"] == 100
    output = target.copy()
    output[1] = near(target, 1, 20.0)[1]
    one = PSNR(border=0, channel="rgb")(pair(output[1:], target[1:]))["psnr"]
    assert PSNR(border=0, channel="rgb")(pair(output, target))["psnr"] == pytest.approx((100 + one) / 2)
    assert SSIM(border=0, channel="rgb")(pair(target, target))["ssim"] == pytest.approx(1, abs=1e-6)


def test_ssim_is_that_of_images_in_0_to_1() -> None:
    target = images(3, 3, 3, 24, 24) // 32 + 124
    output = near(target + np.uint8(4), 4, 2.0)
    found = SSIM(border=0, channel="rgb")(pair(output, target))["ssim"]
    assert found == pytest.approx(one_value(torch_ssim(unit(output), unit(target), data_range=1.0)), abs=1e-4)
    shifted = one_value(torch_ssim(unit(output) * 2 - 1, unit(target) * 2 - 1, data_range=2.0))
    assert abs(found - shifted) > 0.01, "of images in [-1, 1] it is another score"


def test_ssim_by_hand_of_constant_images() -> None:
    """Without structure, what remains is (2 a b + C1) / (a^2 + b^2 + C1), C1 = 0.01^2."""
    target, output = np.full((2, 1, 16, 16), 51, np.uint8), np.full((2, 1, 16, 16), 102, np.uint8)
    expected = (2 * 0.2 * 0.4 + 1e-4) / (0.2**2 + 0.4**2 + 1e-4)
    assert SSIM(border=0, channel="rgb")(pair(output, target))["ssim"] == pytest.approx(expected, abs=1e-5)


def test_the_mean_over_images_is_that_of_several_batches() -> None:
    target = images(5, 70, 1, 12, 12)
    output = near(target, 6, 15.0)
    for metric in (PSNR(border=0, channel="rgb"), SSIM(border=0, channel="rgb")):
        (whole,) = metric(pair(output, target)).values()
        singles = [next(iter(metric(pair(output[n:][:1], target[n:][:1])).values())) for n in range(70)]
        assert whole == pytest.approx(np.mean(singles), abs=1e-5)


def test_a_border_is_left_out() -> None:
    target = images(7, 2, 3, 24, 24)
    output = near(target, 8, 10.0)
    inside = np.s_[:, :, 4:-4, 4:-4]
    for kind in (PSNR, SSIM):
        cropped = kind(border=0, channel="rgb")(pair(output[inside], target[inside]))
        worse = output.copy()
        worse[:, :, :4] = worse[:, :, -4:] = worse[..., :4] = worse[..., -4:] = 0
        assert kind(border=4, channel="rgb")(pair(worse, target)) == cropped


def test_luma_is_that_of_bt_601() -> None:
    colours = torch.tensor([[0.0, 0, 0], [1, 1, 1], [1, 0, 0], [0, 1, 0], [0, 0, 1]])
    levels = luma(colours[:, :, None, None]).flatten() * 255
    torch.testing.assert_close(levels, torch.tensor([16, 235, 81.481, 144.553, 40.966]))
    grey = luma(torch.full((1, 1, 2, 2), 0.5)) * 255
    torch.testing.assert_close(grey, torch.full((1, 1, 2, 2), 16 + 219 / 2))


def test_psnr_of_the_luma() -> None:
    target = images(9, 2, 3, 16, 16)
    output = near(target, 10, 10.0)
    expected = torch_psnr(luma(unit(output)), luma(unit(target)), data_range=1.0, dim=(1, 2, 3))
    found = PSNR(border=0, channel="y")(pair(output, target))["psnr"]
    assert found == pytest.approx(float(expected), abs=1e-4)
    assert abs(found - PSNR(border=0, channel="rgb")(pair(output, target))["psnr"]) > 1


def test_ms_ssim() -> None:
    target = np.kron(images(11, 2, 3, 22, 22), np.ones((1, 1, 8, 8), np.uint8))
    output = near(target, 12, 40.0)
    five = MultiScaleSSIM(border=0, channel="rgb", scales=5)(pair(output, target))["ms_ssim"]
    assert five == pytest.approx(float(torch_ms_ssim(unit(output), unit(target), data_range=1.0)), abs=1e-4)
    one = MultiScaleSSIM(border=0, channel="rgb", scales=1)(pair(output, target))["ms_ssim"]
    assert one == pytest.approx(SSIM(border=0, channel="rgb")(pair(output, target))["ssim"], abs=1e-6)
    two = MultiScaleSSIM(border=0, channel="rgb", scales=2)(pair(output, target))["ms_ssim"]
    betas = (0.0448 / 0.3304, 0.2856 / 0.3304)
    expected = torch_ms_ssim(unit(output), unit(target), data_range=1.0, betas=betas)
    assert two == pytest.approx(float(expected), abs=1e-4) and len({one, two, five}) == 3


@pytest.mark.parametrize("scales", [1, 2, 3, 4, 5])
def test_the_smallest_image_of_ms_ssim(scales: int) -> None:
    side = smallest_side(scales)
    metric = MultiScaleSSIM(border=1, channel="rgb", scales=scales)
    metric.check(source(3, side + 2, side + 2))
    target = images(13, 1, 1, side + 2, side + 2)
    assert 0 < metric(pair(near(target, 14, 5.0), target))["ms_ssim"] < 1
    with pytest.raises(UserError, match=f"ms_ssim needs images of at least {side} pixels, and these have"):
        metric.check(source(3, side + 1, side + 1))


def test_what_is_refused_before_training() -> None:
    def line(metric: Any, of: Source) -> str:
        with pytest.raises(UserError) as caught:
            metric.check(of)
        return str(caught.value)

    points = source(2, image=False)
    assert line(PSNR(border=0, channel="rgb"), points) == (
        "metrics=psnr compares images, and this data set has none: leave it out"
    )
    assert line(SSIM(border=4, channel="rgb"), source(3, 16, 16)) == (
        "metrics=ssim needs images of at least 11 pixels, and these have 16 with a border of 4 left out; "
        "lower metrics.ssim.border"
    )
    assert line(MultiScaleSSIM(border=0, channel="rgb", scales=5), source(3, 64, 64)) == (
        "metrics=ms_ssim needs images of at least 176 pixels, and these have 64; lower metrics.ms_ssim.scales"
    )
    assert "say 1 to 5" in line(MultiScaleSSIM(border=0, channel="rgb", scales=6), source(3, 512, 512))
    assert "needs images in colour" in line(Colourfulness(), source(1, 16, 16))


def test_a_run_checks_its_metrics_before_it_trains(tmp_path: Path) -> None:
    experiment = build_experiment(composed(*TINY, "evaluate.every=1", "metrics=[fid,ssim]"))
    with pytest.raises(UserError, match="metrics=ssim needs images of at least 11 pixels, and these have 8"):
        experiment.evaluation.periodic.prepare(BestCheckpoint(tmp_path / "best.pt"))


def test_colourfulness() -> None:
    grey = np.repeat(images(15, 2, 1, 8, 8), 3, 1)
    assert colourfulness(grey).tolist() == [0, 0]
    halves = np.zeros((1, 3, 4, 4), np.uint8)
    halves[:, 0, :, :2] = 200  # rg: 200 or 0; yb: 100 or 0
    expected = math.hypot(100, 50) + 0.3 * math.hypot(100, 50)
    np.testing.assert_allclose(colourfulness(halves), [expected])
    both = np.concatenate([halves, np.zeros_like(halves)])
    assert Colourfulness()(pair(both, None)) == {"colourfulness": pytest.approx(expected / 2)}
    assert Colourfulness().floor(pair(both, None)) == Colourfulness()(pair(both, None))


def test_identity_is_the_cosine_of_features() -> None:
    one, two = (
        np.array([[3.0, 4], [1, 0], [0, 0]], np.float32),
        np.array([[6.0, 8], [0, 5], [1, 1]], np.float32),
    )
    assert cosine_similarity(one, two) == pytest.approx(1 / 3)
    output, target = np.zeros((1, 2, 4, 4), np.uint8), np.zeros((1, 2, 4, 4), np.uint8)
    output[:, 0], target[:] = 90, 40
    assert Identity()(pair(output, target)) == {"identity_doubled": pytest.approx(math.sqrt(0.5))}
    assert Identity().floor(pair(output, target)) == {}


class _Distance(nn.Module):
    """In place of the package's network: the mean absolute difference of images in [-1, 1]."""

    def __init__(self, net: str, verbose: bool) -> None:
        super().__init__()
        assert net == "alex" and not verbose
        self.seen: list[float] = []

    def forward(self, one: Tensor, two: Tensor) -> Tensor:
        assert one.shape[1] == two.shape[1] == 3 and not self.training
        return (one - two).abs().mean((1, 2, 3), keepdim=True)


def test_lpips_gives_its_network_images_of_three_channels(monkeypatch: pytest.MonkeyPatch) -> None:
    perceptual.lpips_network.cache_clear()
    package: Any = types.ModuleType("lpips")
    package.LPIPS = _Distance
    monkeypatch.setitem(sys.modules, "lpips", package)
    target, output = np.zeros((40, 1, 32, 32), np.uint8), np.zeros((40, 1, 32, 32), np.uint8)
    output[:20] = 255
    LPIPS(network="alex").check(source(1, 32, 32))
    assert LPIPS(network="alex")(pair(output, target)) == {"lpips": pytest.approx(1)}
    perceptual.lpips_network.cache_clear()


def test_lpips_names_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    perceptual.lpips_network.cache_clear()
    monkeypatch.setitem(sys.modules, "lpips", None)
    with pytest.raises(UserError, match=r"pip install -e '\.\[lpips\]'; torchvision downloads"):
        LPIPS(network="alex").check(source(3, 64, 64))

    def offline(net: str, verbose: bool) -> nn.Module:
        raise OSError("no route\nto the host")

    package: Any = types.ModuleType("lpips")
    package.LPIPS = offline
    monkeypatch.setitem(sys.modules, "lpips", package)
    with pytest.raises(UserError, match="could not download the weights of alex"):
        LPIPS(network="alex").check(source(3, 64, 64))
