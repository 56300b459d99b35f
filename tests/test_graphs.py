"""GraphedTurns steps come to the same as steps: on a CPU, where ``emulated.py`` stands in for CUDA's graphs."""

from collections.abc import Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from conftest import TINY, WITHOUT_LOSS, Verb, asked_to_stop, composed, tiny
from emulated import EmulatedRecorder
from torch import Tensor, nn

import ganexp.train as training
from ganexp.config.targets import conf_folder
from ganexp.data.batches import Batch
from ganexp.losses import NonSaturating
from ganexp.nets.layers import label_vectors
from ganexp.system.signals import Stopped
from ganexp.system.tensor_file import digest, read
from ganexp.train import train_step
from ganexp.training import graphed_turns, model, setup
from ganexp.training.build import build
from ganexp.training.graphed_turns import WARM_UP, GraphedTurns
from ganexp.training.setup import Experiment, build_experiment
from ganexp.training.state import State

STEPS = 16
LOSSES = sorted(path.stem for path in Path(conf_folder(), "loss").glob("*.yaml") if path.stem != "none")
GAMES = sorted(path.stem for path in Path(conf_folder(), "game").glob("*.yaml"))
CHANGING = ["schedule=linear", "schedule.start=0", f"max_steps={STEPS}", "optim.lr=0.0009765625"]
"""Another learning rate in each step, and each a float32 exactly: a graph's rate is one."""


@pytest.fixture(autouse=True)
def rmsprop_on_a_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    """Torch's RMSprop refuses to be captured on a CPU; nothing else stands in the way."""
    module = import_module("torch.optim.rmsprop")
    monkeypatch.setattr(module, "_get_capturable_supported_devices", lambda *_: ["cpu"])


@pytest.fixture(autouse=True)
def gradients_measured_in_each_move(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "GRAD_NORM_EVERY", 1)


class Pair(NamedTuple):
    """The same laboratory twice: one runs its steps as they are, one captures them."""

    plain: Experiment
    made: Experiment
    recorder: EmulatedRecorder


def pair(*overrides: str, base: Sequence[str] = TINY, deaf: bool = False) -> Pair:
    cfg = composed(*base, "batch_size=8", *CHANGING, *overrides)
    plain, made = build_experiment(cfg), build_experiment(cfg)
    recorder = EmulatedRecorder(made.state, deaf=deaf)
    runner = GraphedTurns(recorder, made.state.optimisers, made.notes)
    return Pair(plain, made._replace(run_step=runner), recorder)


def batches(made: Experiment) -> Iterator[Batch]:
    for batch in made.data.loader.epoch():
        if made.state.progress.step == STEPS:
            return
        yield batch


def trained(made: Experiment, steps: int = STEPS) -> dict[str, str]:
    """What there is after so many steps, hashed part by part."""
    if made.state.progress.step == 0:
        torch.manual_seed(0)
    for batch in batches(made):
        train_step(made, batch, 1.0)
        if made.state.progress.step == steps:
            break
    return {name: digest(part) for name, part in made.state.snapshot().items()} | {
        "lr": str(made.schedules.now())
    }


def never_captured(plain: Experiment, monkeypatch: pytest.MonkeyPatch) -> Experiment:
    """With optimisers that expect a capture, which does not come: RMSprop then rounds otherwise."""
    monkeypatch.setattr(graphed_turns, "WARM_UP", STEPS + 1)
    state = plain.state
    return plain._replace(run_step=GraphedTurns(EmulatedRecorder(state), state.optimisers, plain.notes))


@pytest.mark.parametrize(
    ("game", "loss"),
    [(game, loss) for game in GAMES for loss in (["none"] if game in WITHOUT_LOSS else LOSSES)],
)
def test_every_loss_in_every_game(game: str, loss: str, monkeypatch: pytest.MonkeyPatch) -> None:
    plain, made, recorder = pair(f"loss={loss}", base=tiny(game))
    found = trained(made)
    assert recorder.recorded >= 1 and recorder.played >= STEPS - 2 * WARM_UP - 2
    fused = next(iter(made.state.optimisers.values())).param_groups[0].get("fused")
    assert found == trained(plain if fused else never_captured(plain, monkeypatch))


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


@pytest.mark.parametrize("name", CASES)
def test_what_else_a_step_may_hold(name: str) -> None:
    own_arch = CASES[name][0].startswith("arch=")
    plain, made, recorder = pair(*CASES[name], base=["evaluate.every=null"] if own_arch else TINY)
    assert trained(made) == trained(plain)
    assert recorder.recorded >= 1 and recorder.played >= 3


@pytest.mark.parametrize(("pace", "kinds"), [(1, 2), (2, 3)])
def test_gradients_are_measured_now_and_then(pace: int, kinds: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "GRAD_NORM_EVERY", 2)
    plain, made, recorder = pair(f"game.n_critic={pace}")
    assert trained(made) == trained(plain)
    assert recorder.recorded == kinds, "one for each set of players that moves, measured or not"


@pytest.mark.parametrize("momentum", [0.0, 0.5])
def test_rmsprop(momentum: float, monkeypatch: pytest.MonkeyPatch) -> None:
    plain, made, recorder = pair("optim=rmsprop", f"optim.momentum={momentum}", "optim.weight_decay=0.01")
    found = trained(made)
    assert recorder.played == STEPS - WARM_UP
    assert found == trained(never_captured(plain, monkeypatch))


def test_rmsprop_that_can_be_captured_is_rmsprop() -> None:
    _, made, recorder = pair()
    nets = [nn.Linear(3, 2), nn.Linear(3, 2)]
    nets[1].load_state_dict(nets[0].state_dict())
    optim = build(composed("optim=rmsprop", "optim.momentum=0.5").optim)
    optimisers = [optim(net.parameters(), "d") for net in nets]
    GraphedTurns(recorder, {"d": optimisers[1]}, made.notes)
    for _ in range(5):
        for net, optimiser in zip(nets, optimisers, strict=True):
            optimiser.zero_grad()
            net(torch.ones(1, 3)).square().sum().backward()
            optimiser.step()
    for ours, theirs in zip(nets[1].parameters(), nets[0].parameters(), strict=True):
        torch.testing.assert_close(ours, theirs)


def test_a_step_that_rests_and_one_that_does_not_are_two_graphs() -> None:
    _, made, recorder = pair("penalties=r1", "penalties.r1.every=3", "game.n_critic=2")
    trained(made)
    assert recorder.recorded == 2, "those that rest came five times, the two others three times"
    assert recorder.played == 2 * (5 - WARM_UP)
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
    """It is heard in the last step before the capture; if not, the capture fails and leaves no trace."""
    monkeypatch.setattr("ganexp.losses.NonSaturating", Looking)
    arguments = [f"game.n_critic={critics}", "arch.discriminator.dropout=0.5"]
    plain, made, recorder = pair(*arguments, deaf=deaf)
    said: list[str] = []
    made.notes.to(said.append)
    assert trained(made) == trained(plain)
    (line,) = said
    assert line.startswith("device.graphs=true, but kernels are launched one by one: a step of d, g ")
    assert ("cannot be captured (operation not permitted" if deaf else "waits for the device (") in line
    assert recorder.recorded == critics - 1, "a step of the critic alone can be captured"
    assert recorder.played == (critics - 1) * (1 if deaf else STEPS // 2 - WARM_UP)


def test_going_back_to_a_snapshot_forgets_the_graphs() -> None:
    """What an optimiser has loaded is other memory than its graphs know."""
    plain, made, recorder = pair("penalties=r1", "penalties.r1.every=2")
    trained(made, 9)
    snapshot = made.state.snapshot()
    once = trained(made)
    made.state.restore(snapshot)
    assert trained(made) == once == trained(plain)
    assert recorder.recorded == 4 and recorder.restarts == 4, "two kinds, twice; two optimisers, twice"


@pytest.mark.parametrize("optim", ["adam", "sgd", "rmsprop"])
def test_what_is_saved_knows_nothing_of_graphs(optim: str) -> None:
    plain, made, _ = pair(f"optim={optim}")
    trained(made), trained(plain)
    ours, theirs = made.state.snapshot(), plain.state.snapshot()
    for name in ("d", "g"):
        assert ours["optimisers"][name]["param_groups"] == theirs["optimisers"][name]["param_groups"]
    for state, found in ((plain.state, ours), (made.state, theirs)):
        state.restore(found)
        assert digest(state.snapshot()["optimisers"]) == digest(found["optimisers"])
    for one in (plain, made):
        one.state.progress.step = one.data.loader.position = 0
        trained(one, 2 * WARM_UP)


def test_a_killed_run_with_graphs_goes_on_bit_for_bit(train: Verb, monkeypatch: pytest.MonkeyPatch) -> None:
    """After going on, the first steps run as they are again: it must make no difference."""

    def runner(hardware: Any, optimisers: Any, schedules: Any, notes: Any) -> GraphedTurns:
        return GraphedTurns(EmulatedRecorder(made[0]), optimisers, notes)

    def state(**parts: Any) -> State:
        made.insert(0, State(**parts))
        return made[0]

    made: list[State] = []
    monkeypatch.setattr(setup, "State", state)
    monkeypatch.setattr(setup, "step_runner", runner)
    arguments = [*TINY, "penalties=r1", "penalties.r1.every=2", "schedule=cosine", "epochs=2"]
    whole = train(*arguments, name="whole")
    with asked_to_stop(after=20), pytest.raises(Stopped):
        train(*arguments, name="cut")
    (first,) = Path("outputs/cut").glob("*/")
    cut = train(f"resume={first}", name="cut")
    found = [read(folder / "checkpoints" / "last.pt") for folder in (whole, cut)]
    for part in ("game", "ema", "optimisers", "random", "meter"):
        assert digest(found[0][part]) == digest(found[1][part]), part


def test_labels_become_vectors_without_waiting() -> None:
    y = torch.tensor([2, 0, 1])
    recorder = EmulatedRecorder(build_experiment(composed(*TINY)).state)
    with recorder.warmup() as waits:
        found = label_vectors(y, 4)
    assert not waits and torch.equal(found, torch.eye(4)[y])
    with pytest.raises(RuntimeError):
        label_vectors(torch.tensor([4]), 4)


def test_a_device_says_how_it_runs_steps() -> None:
    hardware = build(composed("device=cpu", "device.compile=true").device)
    assert str(hardware).endswith(", compiled)")
    assert str(hardware._replace(graphs=True)).endswith(", compiled, graphs)")


def test_fp16_is_not_captured_and_says_so() -> None:
    made = build_experiment(composed(*TINY, "device=cpu", "device.precision=fp16"))
    said: list[str] = []
    hardware = made.hardware._replace(graphs=True)
    notes = made.notes
    notes.to(said.append)
    runner = model.step_runner(hardware, made.state.optimisers, made.schedules, notes)
    assert runner is graphed_turns.eager
    assert said == ["no CUDA graphs: device.precision=fp16 waits for the device in each step"]
