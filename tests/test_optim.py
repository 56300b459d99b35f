"""Optimisers get the settings that their YAML names; schedules are their formulas."""

import subprocess
import sys
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path

import pytest
import torch
from conftest import ENVIRONMENT, TINY, composed
from torch import nn

from ganexp.build import build
from ganexp.optim import SGD, Adam, Constant, Cosine, Linear, Optim, Rates, RMSprop


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


@pytest.mark.parametrize(
    ("ours", "torchs"),
    [
        (
            Adam(lr=1e-2, betas=[0.5, 0.9], eps=1e-8, weight_decay=0.1, ttur=1.0),
            lambda weights: torch.optim.Adam(weights, 1e-2, (0.5, 0.9), 1e-8, 0.1, fused=True),
        ),
        (
            RMSprop(lr=1e-2, alpha=0.9, eps=1e-8, momentum=0.5, weight_decay=0.1, ttur=1.0),
            lambda weights: torch.optim.RMSprop(weights, 1e-2, 0.9, 1e-8, 0.1, 0.5),
        ),
        (
            SGD(lr=1e-2, momentum=0.5, weight_decay=0.1, ttur=1.0),
            lambda weights: torch.optim.SGD(weights, 1e-2, 0.5, weight_decay=0.1, fused=True),
        ),
    ],
)
def test_steps_are_torchs_bit_for_bit(ours: Optim, torchs: Callable[..., torch.optim.Optimizer]) -> None:
    torch.manual_seed(0)
    one = torch.nn.Linear(5, 3)
    two = deepcopy(one)
    optimisers = [ours(one.parameters(), "g"), torchs(two.parameters())]
    for _ in range(5):
        x = torch.randn(4, 5)
        for net, optimiser in zip((one, two), optimisers, strict=True):
            optimiser.zero_grad(set_to_none=True)
            torch.autograd.backward(net(x).square().sum())
            optimiser.step()
    assert torch.equal(one.weight, two.weight) and torch.equal(one.bias, two.bias)
    states = [optimiser.state_dict()["state"] for optimiser in optimisers]
    assert str(states[0]) == str(states[1])


def test_a_run_does_not_wait_for_the_compiler(tmp_path: Path) -> None:
    told = "import sys; from ganexp.cli import main; main(); print('torch._dynamo' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", told, "train", *TINY, "max_steps=2", "device=cpu"],
        cwd=tmp_path,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines()[-1] == "False"
