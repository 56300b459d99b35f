"""The averaged generator against its closed form."""

import pytest
from torch import nn

from ganexp.ema import EMA


def constant(value: float) -> nn.Linear:
    net = nn.Linear(1, 1)
    nn.init.constant_(net.weight, value)
    nn.init.constant_(net.bias, value)
    return net


def weight(ema: EMA) -> float:
    return float(dict(ema.module.named_parameters())["weight"].item())


def test_after_a_halflife_an_old_weight_counts_half() -> None:
    ema = EMA(constant(0.0), halflife=1000, rampup=1.0)
    before = 10**9
    for images in range(before + 100, before + 1100, 100):
        before = ema.update(constant(1.0), images, before)
    assert weight(ema) == pytest.approx(0.5) and before == 10**9 + 1000


def test_small_steps_are_taken_in_together() -> None:
    """The same average, but for at most an eighth of a half-life that is still to come."""
    ema, taken, before = EMA(constant(0.0), halflife=1600, rampup=1.0), [], 10**9
    for images in range(before + 64, before + 1601, 64):
        taken.append(ema.update(constant(1.0), images, before) > before)
        before = images if taken[-1] else before
    assert taken == [False, False, False, True] * 6 + [False]
    assert weight(ema) == pytest.approx(1 - 0.5 ** (24 * 64 / 1600))


def test_the_start_is_forgotten_early() -> None:
    ema = EMA(constant(0.0), halflife=10**6, rampup=0.1)
    ema.update(constant(1.0), images=1000, previous=900)  # a half-life of 100 images, for now
    assert weight(ema) == pytest.approx(0.5)


def test_a_halflife_of_zero_copies() -> None:
    ema = EMA(constant(0.0), halflife=0, rampup=0.1)
    ema.update(constant(1.0), images=64, previous=0)
    assert weight(ema) == 1.0


def test_statistics_are_averaged_and_counters_copied() -> None:
    live = nn.BatchNorm1d(2)
    ema = EMA(live, halflife=100, rampup=1.0)
    buffers = dict(live.named_buffers())
    buffers["running_mean"].fill_(1.0)
    buffers["num_batches_tracked"].fill_(7)
    ema.update(live, images=10**9, previous=10**9 - 100)
    averaged = dict(ema.module.named_buffers())
    assert averaged["running_mean"].tolist() == pytest.approx([0.5, 0.5])
    assert averaged["num_batches_tracked"].item() == 7


def test_it_is_a_copy_in_evaluation_mode() -> None:
    live = constant(0.0)
    ema = EMA(live, halflife=100, rampup=1.0)
    live.weight.data.fill_(3.0)
    assert weight(ema) == 0.0
    assert not ema.module.training and not any(p.requires_grad for p in ema.module.parameters())
