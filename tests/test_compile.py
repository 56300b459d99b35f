"""``device.compile=true``: networks that torch.compile has translated train, and a killed run goes on."""

import shutil
from pathlib import Path
from typing import Any

import pytest
from conftest import TINY, Verb, asked_to_stop, composed
from torch import nn

from ganexp.system.signals import Stopped
from ganexp.system.tensor_file import digest, read
from ganexp.training.setup import build_experiment

COMPILED = [*TINY, "device=cpu", "device.compile=true"]


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler")
def test_a_compiled_generator_trains(train: Verb, capfd: pytest.CaptureFixture[str]) -> None:
    """The critic is left alone here: each network takes the compiler half a minute."""
    folder = train(*COMPILED, "penalties=r1", "arch.generator.norm=none", "max_steps=3")
    assert "torch.compile translates g; not d, whose penalty" in capfd.readouterr().out
    assert read(folder / "checkpoints" / "last.pt")["progress"]["step"] == 3


def test_a_killed_run_goes_on_bit_for_bit(train: Verb, monkeypatch: pytest.MonkeyPatch) -> None:
    """All of torch.compile but its last stage, which takes minutes for both networks."""
    real = nn.Module.compile

    def quickly(net: nn.Module, *_: Any, **options: Any) -> None:
        real(net, backend="aot_eager", **options)

    monkeypatch.setattr(nn.Module, "compile", quickly)
    whole = train(*COMPILED, "max_steps=12", name="whole")
    with asked_to_stop(after=5), pytest.raises(Stopped):
        train(*COMPILED, "max_steps=12", name="cut")
    (first,) = Path("outputs/cut").glob("*/")
    cut = train(f"resume={first}", name="cut")
    plain = train(*TINY, "max_steps=12", name="plain")
    contents = [read(folder / "checkpoints" / "last.pt") for folder in (whole, cut, plain)]
    for part in ("game", "ema", "optimisers", "random"):
        assert digest(contents[0][part]) == digest(contents[1][part]), part
    assert list(contents[0]["game"]) == list(contents[2]["game"]), "weights keep their names"


def test_a_critic_that_is_differentiated_twice_is_left_alone() -> None:
    made = build_experiment(composed(*COMPILED, "penalties=r1"))
    said: list[str] = []
    made.notes.to(said.append)
    (line,) = said
    assert line.startswith("torch.compile translates g; not d, whose penalty needs a second derivative: ")
    players = made.state.game.players
    assert players["d"].net._compiled_call_impl is None and players["g"].net._compiled_call_impl is not None
    assert made.state.ema.module._compiled_call_impl is None
    build_experiment(composed(*COMPILED)).notes.to(said.append)
    assert said[1].startswith("torch.compile translates d, g: ")
