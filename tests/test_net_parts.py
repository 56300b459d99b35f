"""Parts that several networks share: equalised layers, pixel norm, minibatch deviation, resampling."""

from pathlib import Path

import pytest
import torch
from conftest import composed
from torch import nn

from ganexp.errors import UserError
from ganexp.nets.deviation import MinibatchDeviation
from ganexp.nets.equalised import EqualisedConv2d, EqualisedLinear, PixelNorm
from ganexp.nets.resample import FilteredDouble, FilteredHalve


@pytest.mark.parametrize("rate", [1.0, 0.01])
def test_an_equalised_layers_weights_have_hes_variance(rate: float) -> None:
    torch.manual_seed(0)
    layer = EqualisedLinear(200, 300, gain=2**0.5, rate=rate, start=1.0)
    used = (layer(torch.eye(200)) - layer(torch.zeros(1, 200))).detach()
    assert used.std() == pytest.approx((2 / 200) ** 0.5, rel=0.02)
    assert layer.weight.detach().std() == pytest.approx(1 / rate, rel=0.02)
    assert torch.allclose(layer(torch.zeros(1, 200)), torch.ones(300))
    convolution = EqualisedConv2d(16, 64, 3, gain=2**0.5)
    assert (convolution.weight * convolution.factor).detach().std() == pytest.approx((2 / 144) ** 0.5, rel=0.03)
    assert convolution(torch.randn(2, 16, 5, 7)).shape == (2, 64, 5, 7)


@pytest.mark.parametrize("rate", [1.0, 0.01])
def test_adam_moves_each_used_weight_by_the_same_share(rate: float) -> None:
    """The first step of Adam is lr for every stored number: lr * rate * gain / sqrt(fan-in) for a used one."""
    for inputs in (4, 400):
        layer = EqualisedLinear(inputs, 3, rate=rate)
        before = layer(torch.eye(inputs)).detach()
        optimiser = torch.optim.Adam(layer.parameters(), lr=1e-3)
        layer(torch.eye(inputs)).sum().backward()
        optimiser.step()
        moved = before - layer(torch.eye(inputs)).detach() - 1e-3 * rate  # the bias moves by lr * rate
        assert torch.allclose(moved, torch.full_like(moved, 1e-3 * rate / inputs**0.5), rtol=0.05, atol=1e-7)


def test_pixel_norm() -> None:
    maps = PixelNorm()(torch.randn(3, 8, 4, 4) * 5)
    assert torch.allclose(maps.square().mean(1), torch.ones(3, 4, 4), atol=1e-4)


def test_the_deviation_of_a_group() -> None:
    """Worked out by hand: the biased deviations of the groups, one number for each sample of a group."""
    x = torch.tensor([0.0, 0, 3, 200, 0, 1, 4, 300, 0, 2, 100, 400]).view(12, 1, 1, 1).expand(12, 5, 2, 2)
    maps = MinibatchDeviation(4)(x)
    assert maps.shape == (12, 6, 2, 2) and torch.equal(maps[:, :5], x)
    expected = torch.tensor([86.178, 129.191, 163.557]).repeat_interleave(4)
    assert torch.allclose(maps[:, 5], expected.view(12, 1, 1).expand(12, 2, 2), atol=1e-3)


def test_equal_samples_have_a_deviation_of_1e_minus_4_and_finite_gradients() -> None:
    x = torch.ones(4, 2, 3, 3, requires_grad=True)
    deviation = MinibatchDeviation(4)(x)[:, 2]
    assert torch.allclose(deviation, torch.full((4, 3, 3), 1e-4))
    deviation.sum().backward()
    assert x.grad is not None and torch.isfinite(x.grad).all()


def test_members_of_a_group_can_be_exchanged() -> None:
    x = torch.randn(8, 3, 4, 4)
    order = torch.tensor([2, 0, 3, 1, 7, 6, 5, 4])
    layer = MinibatchDeviation(4)
    assert torch.allclose(layer(x)[order], layer(x[order]), atol=1e-6)
    assert not torch.allclose(layer(x)[:, 3], layer(x[torch.randperm(8)])[:, 3])


@pytest.mark.parametrize(("resample", "factor"), [(FilteredDouble(), 2.0), (FilteredHalve(), 0.5)])
def test_filters_keep_constants_inside(resample: nn.Module, factor: float) -> None:
    maps = resample(torch.ones(1, 2, 8, 8))
    assert maps.shape[-1] == 8 * factor
    assert torch.allclose(maps[..., 1:-1, 1:-1], torch.ones(()))
    corner = 0.5625 if factor == 2 else (7 / 8) ** 2
    assert float(maps[0, 0, 0, 0]) == pytest.approx(corner)


def test_filters_by_hand() -> None:
    """A point becomes [1, 3, 3, 1] / 4 by itself; halving weights [1, 3, 3, 1] / 8 by itself."""
    point = torch.zeros(1, 1, 4, 4)
    point[0, 0, 1, 1] = 1
    taps = torch.tensor([1.0, 3, 3, 1])
    assert torch.allclose(FilteredDouble()(point)[0, 0, 1:5, 1:5], torch.outer(taps, taps) / 16)
    x = torch.randn(1, 1, 8, 8)
    assert torch.allclose(
        FilteredHalve()(x)[0, 0, 1, 2], (torch.outer(taps, taps) / 64 * x[0, 0, 1:5, 3:7]).sum()
    )


def test_halving_is_a_quarter_of_doublings_adjoint() -> None:
    x, y = torch.randn(2, 3, 4, 4, dtype=torch.double), torch.randn(2, 3, 8, 8, dtype=torch.double)
    assert torch.allclose((FilteredDouble()(x) * y).sum(), 4 * (x * FilteredHalve()(y)).sum())


@pytest.mark.parametrize("resample", [FilteredDouble(), FilteredHalve()])
def test_derivatives_of_filters(resample: nn.Module) -> None:
    """First and second ones, against finite differences."""
    x = torch.randn(1, 2, 4, 4, dtype=torch.double, requires_grad=True)
    assert torch.autograd.gradcheck(resample, [x])
    assert torch.autograd.gradgradcheck(lambda maps: resample(maps).pow(3), [x])


UNIT = """
from ganexp.nets.mlp import Discriminator as MLP

class Discriminator(MLP):
    BATCH_UNIT = "group"

    def __init__(self, group: int) -> None: ...
"""


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        (["batch_size=6"], r"batch_size=6: it has to be a multiple of arch\.discriminator\.group=4"),
        (
            ["batch_size=12", "game=pacgan", "game.packing=2"],
            r"batch_size=12: it has to be a multiple of game\.packing=2 x arch\.discriminator\.group=4",
        ),
        (
            ["batch_size=12", "device=cpu", "device.count=2"],
            r"2 processes cannot split it in multiples of arch\.discriminator\.group=4",
        ),
    ],
)
def test_batches_that_do_not_fit_a_networks_groups(
    settings: list[str], told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "nets_with_a_unit.py").write_text(UNIT)
    monkeypatch.syspath_prepend(tmp_path)
    own = [
        "arch=mlp",
        "~arch.discriminator",
        "+arch.discriminator={_target_:nets_with_a_unit.Discriminator,group:4}",
    ]
    with pytest.raises(UserError, match=told):
        composed(*settings, *own)
