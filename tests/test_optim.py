"""Optimisers get the settings that their YAML names; schedules are their formulas."""

import pytest
import torch
from conftest import composed
from torch import nn

from ganexp.build import build
from ganexp.optim import Constant, Cosine, Linear, Rates


@pytest.mark.parametrize("name", ["adam", "rmsprop", "sgd"])
def test_each_optimiser_takes_a_step_at_its_rate(name: str) -> None:
    cfg = composed(f"optim={name}", "optim.lr=0.125", "optim.ttur=4")
    optim = build(cfg.optim)
    net = nn.Linear(2, 1)
    assert optim(net.parameters(), "g").param_groups[0]["lr"] == 0.125
    critic = optim(net.parameters(), "d")
    assert critic.param_groups[0]["lr"] == 0.5
    before = net.weight.detach().clone()
    net(torch.ones(1, 2)).sum().backward()
    critic.step()
    assert not torch.equal(before, net.weight)


def test_adams_settings_arrive() -> None:
    group = build(composed("loss=wgan_gp").optim)(nn.Linear(1, 1).parameters(), "d").param_groups[0]
    assert (group["lr"], group["betas"]) == (1e-4, (0.0, 0.9))


def test_schedules() -> None:
    assert [Constant()(done) for done in (0.0, 0.5, 1.0)] == [1, 1, 1]
    linear = Linear(start=0.5, final=0.2)
    assert [linear(done) for done in (0.0, 0.5, 0.75, 1.0)] == pytest.approx([1, 1, 0.6, 0.2])
    cosine = Cosine(final=0.0)
    assert [cosine(done) for done in (0.0, 0.5, 1.0)] == pytest.approx([1, 0.5, 0])


def test_rates_follow_the_schedule_for_each_player() -> None:
    players = {
        name: torch.optim.SGD(nn.Linear(1, 1).parameters(), lr=lr) for name, lr in (("d", 0.4), ("g", 0.1))
    }
    rates = Rates(players, Linear(start=0.0, final=0.0))
    rates.set(0.75)
    assert rates.now() == pytest.approx({"d/lr": 0.1, "g/lr": 0.025})
    rates.set(0.0)
    assert rates.now() == pytest.approx({"d/lr": 0.4, "g/lr": 0.1})
