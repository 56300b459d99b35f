"""Captured steps come to the same as steps: shown on a CPU, where ``emulated.py`` stands in for CUDA's graphs."""

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import TINY, Verb, composed
from emulated import EmulatedRecorder
from torch import Tensor

from ganexp import graphs, lab
from ganexp.build import build
from ganexp.checkpoint import digest, read
from ganexp.cli import conf_folder
from ganexp.data.batches import Batch
from ganexp.graphs import WARM_UP, Captured
from ganexp.lab import Lab, assemble
from ganexp.losses import NonSaturating
from ganexp.nets.layers import one_hot
from ganexp.train import one_step

STEPS = 16
LOSSES = sorted(path.stem for path in Path(conf_folder(), "loss").glob("*.yaml"))
GAMES = sorted(path.stem for path in Path(conf_folder(), "game").glob("*.yaml"))
CHANGING = ["schedule=linear", "schedule.start=0", f"max_steps={STEPS}", "optim.lr=0.0009765625"]
"""Another learning rate in each step, and each a float32 exactly: a graph's rate is one."""


@pytest.fixture(autouse=True)
def rmsprop_on_a_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    """Torch's RMSprop refuses to be captured on a CPU; nothing else stands in the way."""
    module = import_module("torch.optim.rmsprop")
    monkeypatch.setattr(module, "_get_capturable_supported_devices", lambda *_: ["cpu"])


def laboratory(*overrides: str) -> Lab:
    return assemble(composed(*TINY, "batch_size=8", *CHANGING, *overrides))


def captured(*overrides: str, deaf: bool = False) -> tuple[Lab, EmulatedRecorder]:
    made = laboratory(*overrides)
    recorder = EmulatedRecorder(made.state, deaf=deaf)
    return made._replace(perform=Captured(recorder, made.state.game, made.state.optimisers, made.notes)), recorder


def batches(made: Lab) -> Iterator[Batch]:
    for batch in made.deck.epoch(made.state.progress.images):
        if made.state.progress.step == STEPS:
            return
        yield batch


def trained(made: Lab, steps: int = STEPS) -> dict[str, str]:
    """What there is after so many steps, hashed part by part."""
    for batch in batches(made):
        one_step(made, batch, 1.0)
        if made.state.progress.step == steps:
            break
    return {name: digest(part) for name, part in made.state.snapshot().items()} | {"lr": str(made.rates.now())}


def recurs(made: Lab, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The same optimisers, told that they will be captured, which they never are."""
    with monkeypatch.context() as patch:
        patch.setattr(graphs, "WARM_UP", STEPS + 1)
        return trained(made)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("game", GAMES)
def test_every_loss_in_every_game(game: str, loss: str, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = [f"game={game}", f"loss={loss}"]
    made, recorder = captured(*arguments)
    found = trained(made)
    assert recorder.recorded >= 1 and recorder.played >= STEPS - 2 * WARM_UP - 2
    if made.state.optimisers["d"].param_groups[0].get("fused"):
        assert found == trained(laboratory(*arguments))
    else:
        assert found == recurs(captured(*arguments)[0], monkeypatch), "torch rounds otherwise for a capture"


CASES = {
    "lazy": ["penalties=[r1,r2]", "penalties.r1.every=3", "penalties.r2.every=2", "loss=rpgan"],
    "lazy critic": ["loss=wgan_gp", "penalties.gradient.every=3", "game.n_critic=2"],
    "fake": ["game.reuse_fake=true"],
    "lazy fake": ["game.reuse_fake=true", "penalties=r1", "penalties.r1.every=3"],
    "fake once": ["game.reuse_fake=true", "game.n_generator=2"],
    "fake batch norm": ["game.reuse_fake=true", "arch.generator.norm=batch", "game=pacgan"],
    "dropout": ["arch.discriminator.dropout=0.3", "arch.generator.dropout=0.2", "game=cgan"],
    "uniform": ["game.noise=uniform"],
    "sgd": ["optim=sgd"],
    "sgd without momentum": ["optim=sgd", "optim.momentum=0", "optim.weight_decay=0.01"],
    "weight decay": ["optim.weight_decay=0.01", "optim.ttur=2"],
    "bf16": ["device=cpu", "device.precision=bf16", "penalties=gradient"],
    "dcgan": ["arch=dcgan", "data.resolution=16", "arch.generator.width=4", "arch.discriminator.width=4"],
    "maxout": ["arch=maxout", "data=ring", "arch.generator.widths=[8]", "arch.discriminator.widths=[8]"],
}


def case(name: str) -> list[str]:
    return CASES[name]


@pytest.mark.parametrize("name", CASES)
def test_what_else_a_step_may_hold(name: str) -> None:
    own = case(name)
    kept = [] if any(choice.startswith("arch=") for choice in own) else own
    if not kept:  # an architecture of its own, which knows none of TINY's settings
        own = [*own, "evaluate.every=null", "batch_size=8", *CHANGING]
        plain, made = assemble(composed(*own)), assemble(composed(*own))
        recorder = EmulatedRecorder(made.state)
        perform = Captured(recorder, made.state.game, made.state.optimisers, made.notes)
        made = made._replace(perform=perform)
    else:
        plain, (made, recorder) = laboratory(*own), captured(*own)
    assert trained(made) == trained(plain)
    assert recorder.recorded >= 1 and recorder.played >= 3


@pytest.mark.parametrize("momentum", [0.0, 0.5])
def test_rmsprop(momentum: float, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = ["optim=rmsprop", f"optim.momentum={momentum}", "optim.weight_decay=0.01"]
    made, recorder = captured(*arguments)
    assert trained(made) == recurs(captured(*arguments)[0], monkeypatch)
    assert recorder.played == STEPS - WARM_UP
    plain = laboratory(*arguments)
    trained(plain)
    for ours, theirs in zip(made.state.game.parameters(), plain.state.game.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-6)


def test_a_step_that_rests_and_one_that_does_not_are_two_graphs() -> None:
    made, recorder = captured("penalties=r1", "penalties.r1.every=3", "game.n_critic=2")
    trained(made)
    assert recorder.recorded == 2, "of four kinds, those that came more than three times"
    assert recorder.played == STEPS - 2 * WARM_UP - 3 - 2
    assert recorder.restarts == 2, "only what optimisers load makes them begin anew"


class Looking(NonSaturating):
    """Waits for the device, for no good reason."""

    def g(self, *, real: Tensor | None, fake: Tensor) -> Tensor:
        loss = super().g(real=real, fake=fake)
        assert loss.item() > 0
        return loss


@pytest.mark.parametrize("deaf", [False, True])
@pytest.mark.parametrize("critics", [1, 2])
def test_what_cannot_be_captured_runs_as_it_is(
    deaf: bool, critics: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is heard in the last step before the capture; where it is not, the capture fails and leaves no trace."""
    monkeypatch.setattr("ganexp.losses.NonSaturating", Looking)
    arguments = [f"game.n_critic={critics}", "arch.discriminator.dropout=0.5"]
    plain, (made, recorder) = laboratory(*arguments), captured(*arguments, deaf=deaf)
    said: list[str] = []
    made.notes.to(said.append)
    assert trained(made) == trained(plain)
    (line,) = said
    assert line.startswith("device.graphs=true, but kernels are launched one by one: a step of d, g ")
    assert ("cannot be captured (operation not permitted" if deaf else "waits for the device (") in line
    assert recorder.recorded == critics - 1, "a step of the critic alone can be captured"
    assert recorder.played == (critics - 1) * (2 if deaf else STEPS // 2 - WARM_UP)


def test_going_back_to_a_snapshot_forgets_the_graphs() -> None:
    """What an optimiser has loaded is other memory than its graphs know."""
    arguments = ["penalties=r1", "penalties.r1.every=2"]
    (made, recorder), (whole, _) = captured(*arguments), captured(*arguments)
    trained(made, 9)
    snapshot = made.state.snapshot()
    once = trained(made, STEPS)
    made.state.restore(snapshot)
    assert trained(made) == once == trained(whole) == trained(laboratory(*arguments))
    assert recorder.recorded == 4


@pytest.mark.parametrize("optim", ["adam", "sgd", "rmsprop"])
def test_what_is_saved_knows_nothing_of_graphs(optim: str) -> None:
    (made, _), plain = captured(f"optim={optim}"), laboratory(f"optim={optim}")
    trained(made), trained(plain)
    ours, theirs = made.state.snapshot(), plain.state.snapshot()
    for name in ("d", "g"):
        assert ours["optimisers"][name]["param_groups"] == theirs["optimisers"][name]["param_groups"]
    for found, other in ((ours, laboratory(f"optim={optim}")), (theirs, captured(f"optim={optim}")[0])):
        other.state.restore(found)
        assert digest(other.state.snapshot()["optimisers"]) == digest(found["optimisers"])
        assert other.state.progress.step == STEPS
        other.state.progress.step, other.state.progress.images = 0, 0
        trained(other, 2 * WARM_UP)


def test_a_killed_run_with_graphs_goes_on_bit_for_bit(train: Verb, monkeypatch: pytest.MonkeyPatch) -> None:
    """After going on, the first steps run as they are again: it must make no difference."""

    def performer(hardware: Any, game: Any, optimisers: Any, notes: Any) -> Captured:
        state: Any = type("Parts", (), {"game": game, "optimisers": optimisers})
        return Captured(EmulatedRecorder(state), game, optimisers, notes)

    monkeypatch.setattr(lab, "_performer", performer)
    arguments = [*TINY, "penalties=r1", "penalties.r1.every=2", "schedule=cosine", "epochs=2"]
    whole = train(*arguments, name="whole")
    first = train(*arguments, "max_steps=20", name="cut")
    cut = train(f"resume={first}", "max_steps=null", name="cut")
    found = [read(folder / "checkpoints" / "last.pt") for folder in (whole, cut)]
    for part in ("game", "ema", "optimisers", "random", "meter"):
        assert digest(found[0][part]) == digest(found[1][part]), part


def test_labels_become_vectors_without_waiting() -> None:
    y = torch.tensor([2, 0, 1])
    recorder = EmulatedRecorder(laboratory().state)
    with recorder.aside() as waits:
        found = one_hot(y, 4)
    assert not waits and torch.equal(found, torch.eye(4)[y])
    with pytest.raises(RuntimeError):
        one_hot(torch.tensor([4]), 4)


def test_a_device_says_how_it_runs_steps() -> None:
    hardware = build(composed("device=cpu", "device.compile=true").device)
    assert str(hardware).endswith(", compiled)")
    assert str(hardware._replace(graphs=True)).endswith(", compiled, graphs)")


def test_fp16_is_not_captured_and_says_so() -> None:
    made = laboratory("device=cpu", "device.precision=fp16")
    said: list[str] = []
    hardware = made.hardware._replace(graphs=True)
    notes = made.notes
    notes.to(said.append)
    perform = lab._performer(hardware, made.state.game, made.state.optimisers, notes)
    assert perform is graphs.directly
    assert said == ["no CUDA graphs: device.precision=fp16 waits for the device in each step"]
