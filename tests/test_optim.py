"""Optimisers get the settings that their YAML names; schedules are their formulas."""

import inspect
import subprocess
import sys
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import ENVIRONMENT, TINY, composed
from torch import nn

from ganexp.ema import EMA
from ganexp.errors import UserError
from ganexp.optim import (
    _SGD,
    SGD,
    Adam,
    Constant,
    Cosine,
    Linear,
    Optim,
    Ramp,
    RMSprop,
    _Adam,
    _RMSprop,
    _UnwrappedOptimizer,
)
from ganexp.training.build import build, build_game
from ganexp.training.model import make_optimisers
from ganexp.training.schedules import Schedules


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
    rising = Ramp(initial=0.0, final=1.1, until=0.5)
    assert [rising(done) for done in (0.0, 0.25, 0.5, 1.0)] == pytest.approx([0, 0.55, 1.1, 1.1])
    whole = Ramp(initial=1.0, final=0.25, until=1.0)
    assert [whole(done) for done in (0.0, 1 / 3, 1.0)] == pytest.approx([1, 0.8125, 0.25])


def test_ramps_of_beta2_and_halflife() -> None:
    """R3GAN's: beta2 rises from 0.9 to 0.99, the half-life from 0, of which the average is a copy."""
    players = {"d": torch.optim.Adam(nn.Linear(1, 1).parameters(), lr=0.1, betas=(0.0, 0.9))}
    game = build_game(composed(*TINY))
    ema = EMA(game.generator, 1000, 0.1)
    driven = {
        "ema": {"halflife": Ramp(initial=0.0, final=1.0, until=0.5)},
        "optim": {"beta2": Ramp(initial=1.0, final=1.1, until=0.5)},
    }
    made = Schedules(game, ema, dict(players), Constant(), driven)
    for done, beta2, halflife in ((0.0, 0.9, 0), (0.25, 0.945, 500), (0.5, 0.99, 1000), (1.0, 0.99, 1000)):
        made.set(done)
        assert players["d"].param_groups[0]["betas"] == pytest.approx((0, beta2))
        assert ema.halflife == pytest.approx(halflife)


def test_a_beta_of_1_is_refused_before_the_run() -> None:
    players = {"d": torch.optim.Adam(nn.Linear(1, 1).parameters(), lr=0.1, betas=(0.0, 0.9))}
    with pytest.raises(UserError, match=r"schedules.optim.beta2: 1.2 times 0.9 is 1.08.* below 1.11"):
        schedules(dict(players), optim={"beta2": Ramp(initial=1.0, final=1.2, until=1.0)})


def test_rates_follow_the_schedule_for_each_player() -> None:
    players: dict[str, torch.optim.Optimizer] = {
        name: torch.optim.SGD(nn.Linear(1, 1).parameters(), lr=lr) for name, lr in (("d", 0.4), ("g", 0.1))
    }
    rates = schedules(players)
    rates.set(0.75)
    assert rates.now() == pytest.approx({"d/lr": 0.1, "g/lr": 0.025})
    rates.set(0.0)
    assert rates.now() == pytest.approx({"d/lr": 0.4, "g/lr": 0.1})


def schedules(players: dict[str, torch.optim.Optimizer], *overrides: str, **driven: Any) -> Schedules:
    """Of a small game, whose learning rates fall to 0."""
    game = build_game(composed(*TINY, "penalties=r1", "penalties.r1.weight=2", *overrides))
    return Schedules(game, EMA(game.generator, 1000, 0.1), players, Linear(start=0.0, final=0.0), driven)


def test_schedules_drive_any_number() -> None:
    players: dict[str, torch.optim.Optimizer] = {
        name: torch.optim.Adam(nn.Linear(1, 1).parameters(), lr=0.1, betas=(0.5, 0.9)) for name in ("d", "g")
    }
    game = build_game(composed(*TINY, "penalties=r1", "penalties.r1.weight=2", "penalties.r1.every=3"))
    ema, half = EMA(game.generator, 1000, 0.1), Linear(start=0.0, final=0.5)
    driven = {
        "penalties": {"r1": {"weight": half}},
        "ema": {"halflife": half},
        "optim": {"beta2": half, "g": {"lr": Constant()}},
    }
    made = Schedules(game, ema, players, Linear(start=0.0, final=0.0), driven)
    made.set(1.0)
    assert game.parts.penalties["r1"].factor.item() == 3 and ema.halflife == 500
    assert players["d"].param_groups[0]["betas"] == (0.5, 0.45) == players["g"].param_groups[0]["betas"]
    assert made.now() == pytest.approx({"d/lr": 0.0, "g/lr": 0.1}), "a player's own schedule replaces the other"
    assert not made.graphable and schedules(players).graphable
    made.set(0.0)
    assert game.parts.penalties["r1"].factor.item() == 6 and ema.halflife == 1000


@pytest.mark.parametrize(
    ("driven", "told"),
    [
        ({"penalties": {"r3": {"weight": Constant()}}}, r"schedules.penalties.r3.weight: this run has no such"),
        ({"emma": {"halflife": Constant()}}, r"schedules.emma.halflife: did you mean ema"),
        ({"optim": {"x": {"lr": Constant()}}}, r"schedules.optim.x.lr: this game has no player x"),
        ({"optim": {"momentum": Constant()}}, r"schedules.optim.momentum: .*beta1"),
    ],
)
def test_what_no_schedule_can_drive(driven: dict[str, Any], told: str) -> None:
    players = {name: torch.optim.SGD(nn.Linear(1, 1).parameters(), lr=0.1) for name in ("d", "g")}
    with pytest.raises(UserError, match=told):
        schedules(dict(players), **driven)


def test_a_player_may_have_an_optimiser_of_its_own() -> None:
    sgd = "{_target_:ganexp.optim.SGD,lr:0.5,momentum:0,weight_decay:0,ttur:1}"
    cfg = composed(*TINY, "optim.lr=0.1", "optim.ttur=3", "+optim.d.betas=[0.1,0.2]", f"+optim.g={sgd}")
    made = make_optimisers(cfg.optim, build_game(cfg))
    assert isinstance(made["d"], torch.optim.Adam) and isinstance(made["g"], torch.optim.SGD)
    assert made["d"].param_groups[0]["lr"] == pytest.approx(0.3)
    assert made["d"].param_groups[0]["betas"] == (0.1, 0.2) and made["g"].param_groups[0]["lr"] == 0.5
    with pytest.raises(UserError, match=r"optim.e: this game has no player e"):
        make_optimisers(composed(*TINY, "+optim.e.lr=0.1").optim, build_game(cfg))
    with pytest.raises(UserError, match=r"optim.d.lr=-1"):
        composed(*TINY, "+optim.d.lr=-1")


def test_ttur_is_for_the_discriminator_alone() -> None:
    """An encoder, or any other player, keeps the rate that was said."""
    optim = build(composed("optim.lr=0.125", "optim.ttur=4").optim)
    assert optim(nn.Linear(1, 1).parameters(), "e").param_groups[0]["lr"] == 0.125


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


def decorators(method: Callable[..., object]) -> list[str]:
    """What a method is wrapped in, from outside in; the profiler's hook, which every optimiser gets, aside."""
    found = []
    while hasattr(method, "__wrapped__"):
        if not hasattr(method, "hooked"):
            found.append(method.__code__.co_name)
        method = method.__wrapped__
    return found


@pytest.mark.parametrize("name", ["add_param_group", "zero_grad", "state_dict", "load_state_dict"])
def test_only_what_keeps_the_compiler_out_is_stripped(name: str) -> None:
    """Another decorator of torch's, or an optimiser's own method, would be lost with it."""
    assert decorators(getattr(torch.optim.Optimizer, name)) == ["inner"], "of torch._disable_dynamo"
    assert decorators(getattr(_UnwrappedOptimizer, name)) == []
    for ours in _UnwrappedOptimizer.__subclasses__():
        torchs = ours.__mro__[2]
        assert torchs.__module__.startswith("torch.optim.") and name not in vars(torchs)
        assert getattr(ours, name) is getattr(_UnwrappedOptimizer, name)


@pytest.mark.parametrize(
    ("ours", "torchs"),
    [(_Adam, torch.optim.Adam), (_RMSprop, torch.optim.RMSprop), (_SGD, torch.optim.SGD)],
)
def test_only_what_breaks_the_compilers_graph_is_stripped_from_a_step(ours: Any, torchs: Any) -> None:
    assert decorators(torchs.step) == ["_use_grad"], "of _use_grad_for_differentiable"
    assert decorators(ours.step) == ["decorate_context"], "of torch.no_grad"
    assert inspect.unwrap(ours.step) is inspect.unwrap(torchs.step)


def test_a_run_does_not_wait_for_the_compiler(tmp_path: Path) -> None:
    told = "import sys; from ganexp.cli.main import main; main(); print('torch._dynamo' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", told, "train", *TINY, "max_steps=2", "device=cpu"],
        cwd=tmp_path,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines()[-1] == "False"


def test_a_beta_that_is_written_as_an_integer() -> None:
    cfg = composed(*TINY, "optim.betas=[0,0.99]")
    made = make_optimisers(cfg.optim, build_game(cfg))
    assert made["d"].param_groups[0]["betas"] == (0.0, 0.99)
