"""What is particular to networks, games, penalties and augmentations that join from outside."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import ENVIRONMENT, Verb, asked_to_stop, differences_between_processes
from emulated import EmulatedRecorder
from outside_runs import CONFIG_DIR, FEW, OUTSIDE, SYSTEMS, composed, join
from torch import Tensor, nn

import ganexp.train as training
from ganexp.data.batches import Batch
from ganexp.games.game import Game
from ganexp.penalties import Penalty, PlayerCall
from ganexp.runs.bitwise import differences
from ganexp.system.signals import Stopped
from ganexp.system.tensor_file import digest, read
from ganexp.train import player_step, train_step
from ganexp.training.build import build_game
from ganexp.training.graphed_turns import WARM_UP, GraphedTurns
from ganexp.training.setup import Experiment, build_experiment

GROWING, UNROLLED = SYSTEMS["growing"].overrides, SYSTEMS["unrolled"].overrides
PENALISED, ADA = SYSTEMS["regularisers"].overrides, SYSTEMS["ada"].overrides
CHANGES = (2, 7)  # steps of 8 images before which a level begins: at 16 and at 56 images


@pytest.fixture(autouse=True)
def joined(monkeypatch: pytest.MonkeyPatch) -> None:
    join(monkeypatch)


def trained(made: Experiment, steps: int) -> dict[str, str]:
    """What there is after so many steps, hashed part by part."""
    torch.manual_seed(0)
    for batch in made.data.loader.epoch():
        train_step(made, batch, 1.0)
        if made.state.progress.step == steps:
            break
    return {name: digest(part) for name, part in made.state.snapshot().items()}


def content(folder: Path) -> dict[str, Any]:
    return read(folder / "checkpoints/last.pt")


# A growing network


def test_a_new_level_reaches_the_average_and_begins_with_empty_moments(
    train: Verb, monkeypatch: pytest.MonkeyPatch
) -> None:
    step, turn = training.train_step, training.player_step
    levels: list[int] = []
    remembered: list[tuple[int, int]] = []

    def watched_step(experiment: Experiment, batch: Batch, rate: float) -> None:
        step(experiment, batch, rate)
        own, averaged = (
            {name: float(buffer) for name, buffer in net.named_buffers()}
            for net in (experiment.state.game.generator, experiment.state.ema.module)
        )
        assert own == averaged
        levels.append(int(own["growth.level"]))

    def watched_turn(game: Game, name: str, optimisers: Any, *rest: Any, **more: Any) -> dict[str, Tensor]:
        remembered.append((len(levels), len(optimisers[name].state)))
        return turn(game, name, optimisers, *rest, **more)

    monkeypatch.setattr(training, "train_step", watched_step)
    monkeypatch.setattr(training, "player_step", watched_turn)
    train(*CONFIG_DIR, *FEW, *GROWING, "max_steps=12")
    assert levels == [0] * 2 + [1] * 5 + [2] * 5
    assert {number for number, count in remembered if count == 0} == {0, *CHANGES}
    assert len(remembered) == 24


@pytest.mark.parametrize(("after", "level", "fading"), [(2, 0, False), (4, 1, True), (7, 1, False)])
def test_stopped_in_a_fade_and_right_at_a_change(after: int, level: int, fading: bool, train: Verb) -> None:
    arguments = [*CONFIG_DIR, *FEW, *GROWING, "max_steps=9"]
    with asked_to_stop(after=after), pytest.raises(Stopped):
        train(*arguments, name="cut")
    (cut,) = Path("outputs/cut").iterdir()
    found = content(cut)["game"]
    assert int(found["generator.growth.level"]) == level
    assert (float(found["generator.growth.share"]) < 1) == fading
    whole, cut = train(*arguments, name="whole"), train(f"resume={cut.absolute()}", "trust=true", name="cut")
    assert list(differences(whole, cut)) == []


@pytest.mark.parametrize("name", ["growing", "unrolled", "regularisers", "ada"])
def test_captured_steps_come_to_the_same(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "GRAD_NORM_EVERY", 1)
    cfg = composed(*SYSTEMS[name].overrides, "max_steps=12", "optim.lr=0.0009765625")
    plain, made = build_experiment(cfg), build_experiment(cfg)
    recorder = EmulatedRecorder(made.state)
    made = made._replace(run_step=GraphedTurns(recorder, made.state.optimisers, made.notes))
    assert trained(made, 12) == trained(plain, 12)
    played = {"growing": 4}.get(name, 12 - WARM_UP)  # of the first level there are two steps only
    assert recorder.played == played


# Unrolled


def one_batch(made: Experiment) -> Batch:
    return next(iter(made.data.loader.epoch()))


def gradient_of_generator(*overrides: str) -> tuple[Tensor, Experiment]:
    made = build_experiment(composed(*UNROLLED, *overrides))
    torch.manual_seed(0)
    player_step(made.state.game, "g", made.state.optimisers, one_batch(made), made.state.precision)
    grads = [weight.grad for weight in made.state.game.generator.parameters() if weight.grad is not None]
    return torch.cat([grad.flatten() for grad in grads]), made


@pytest.mark.parametrize("norm", ["none", "batch"])
def test_the_generators_turn_leaves_the_discriminator_alone(norm: str) -> None:
    overrides = [f"arch.discriminator.norm={norm}"]
    before = (
        build_experiment(composed(*UNROLLED, *overrides)).state.game.parts.nets["discriminator"].state_dict()
    )
    _, made = gradient_of_generator(*overrides)
    net = made.state.game.parts.nets["discriminator"]
    after = net.state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items())
    assert all(weight.grad is None for weight in net.parameters())


def test_no_step_ahead_is_the_plain_game(train: Verb) -> None:
    common = [*CONFIG_DIR, *FEW, *UNROLLED[:-1], "max_steps=5"]
    none = train(*common, "game=unrolled", "game.unrolled=0", name="none")
    plain = train(*common, "game=gan", name="plain")
    assert list(differences(none, plain)) == []


def test_steps_ahead_change_the_generators_gradient() -> None:
    plain, one, two, slow = (
        gradient_of_generator(*settings)[0]
        for settings in (
            ["game.unrolled=0"],
            ["game.unrolled=1"],
            ["game.unrolled=2"],
            ["game.unrolled=2", "game.inner_rate=1e-6"],
        )
    )
    assert not torch.allclose(plain, one, rtol=0.01) and not torch.allclose(one, two, rtol=0.01)
    torch.testing.assert_close(slow, plain, rtol=1e-3, atol=1e-6)


@contextmanager
def double() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)


def test_the_gradient_flows_through_the_steps_ahead() -> None:
    """It is the derivative of the loss after them, by differences."""
    with double():
        torch.manual_seed(0)
        game = build_game(composed(*UNROLLED, "game.inner_rate=1.0", "arch.generator.norm=none"))
        batch = Batch(torch.rand(8, 1, 8, 8) * 2 - 1, torch.zeros(8, dtype=torch.int64))

        def loss() -> Tensor:
            torch.manual_seed(1)
            return game.players["g"].turn(batch).losses["adversarial"]

        weight = game.generator.get_parameter("out.bias")
        (found,) = torch.autograd.grad(loss(), weight)
        step = torch.zeros_like(weight)
        step[3] = 1e-6
        values = []
        for sign in (1, -1):
            with torch.no_grad():
                weight.add_(sign * step)
            values.append(loss().item())
            with torch.no_grad():
                weight.sub_(sign * step)
        assert (values[0] - values[1]) / 2e-6 == pytest.approx(found[3].item(), rel=1e-5)


# Penalties


def test_penalties_are_written_under_the_right_player(train: Verb) -> None:
    run = train(*CONFIG_DIR, *FEW, *PENALISED, "max_steps=3")
    row = json.loads((run / "metrics.jsonl").read_text().splitlines()[-1])
    assert row["d/lecam"] > 0 and row["g/seeking"] > 0
    assert not {"g/lecam", "d/seeking"} & row.keys()
    real, fake = content(run)["game"]["penalties.lecam.anchors"]
    assert real != 0 and fake != 0 and real != fake


def test_penalties_of_no_samples_gradient_leave_the_critic_its_batch_norm() -> None:
    small = ["recipe=none", "data.resolution=16", "arch.generator.width=4", "arch.discriminator.width=4"]
    cfg = composed(*small, "penalties=[seeking,lecam]")
    assert cfg.arch.discriminator.norm == "batch"
    assert composed(*small, "penalties=[seeking,lecam,r1]").arch.discriminator.norm == "none"
    made = build_experiment(cfg)
    train_step(made, one_batch(made), 1.0)
    net = made.state.game.parts.nets["discriminator"]
    assert any(isinstance(layer, nn.BatchNorm2d) for layer in net.modules())


def test_a_schedule_drives_a_penalty_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    linear = "{_target_:ganexp.optim.Linear,start:0.0,final:0.0}"
    made = build_experiment(composed(*PENALISED, f"+schedules.penalties.lecam.weight={linear}", "max_steps=4"))
    lecam = made.state.game.parts.penalties["lecam"]
    plain, terms, losses = lecam.term, [], []

    def term(call: PlayerCall) -> Tensor:
        terms.append(plain(call))
        return terms[-1]

    monkeypatch.setattr(lecam, "term", term)
    lecam.register_forward_hook(lambda *found: losses.append(found[2].detach()))
    for batch in made.data.loader.epoch():
        train_step(made, batch, 1.0)
        if made.state.progress.step == 4:
            break
    shares = [float(loss / term.detach()) for loss, term in zip(losses, terms, strict=True)]
    assert shares == pytest.approx([0.3, 0.225, 0.15, 0.075])


# Augmentation


class Plain(Penalty):
    """Asks the critic with augmentation and without."""

    def __init__(self) -> None:
        super().__init__(1.0, 1)

    def term(self, call: PlayerCall) -> Tensor:
        return call.plain_critic(call.real).mean() + call.critic(call.real).mean()


@pytest.mark.parametrize("norm", ["none", "batch"])
def test_real_and_generated_samples_are_augmented_and_plain_ones_not(norm: str) -> None:
    """Every sample is mirrored here. ``norm``: judged in one pass, and apart."""
    made = build_experiment(
        composed(*ADA, "augment.start=1", "augment.images=1e9", f"arch.discriminator.norm={norm}")
    )
    game, batch = made.state.game, one_batch(made)
    game.parts.penalties["plain"] = Plain()
    shown: list[Tensor] = []
    generated: list[Tensor] = []
    game.parts.nets["discriminator"].register_forward_pre_hook(lambda _, given: shown.extend(given[0].split(8)))
    game.generator.register_forward_hook(lambda _, given, found: generated.append(found.detach()))
    game.players["d"].turn(batch)
    game.players["g"].turn(batch)
    x, (first, second) = batch.x, generated
    expected = [x.flip(-1), first.flip(-1), x, x.flip(-1), second.flip(-1)]
    assert len(shown) == len(expected)
    for found, wanted in zip(shown, expected, strict=True):
        assert torch.equal(found.detach(), wanted)
    assert not torch.equal(x, x.flip(-1))


def test_the_probability_follows_the_sign_of_real_logits(train: Verb) -> None:
    augment = build_experiment(composed(*ADA)).state.game.augment
    found = []
    for sign in (1, 1, -1, -1, -1):
        augment.observe(sign * torch.ones(20))  # type: ignore[operator]
        found.append(round(float(augment.probability), 4))  # type: ignore[arg-type]
    assert found == [0.7, 0.9, 0.7, 0.5, 0.3], "20 of the 100 images that it takes"
    run = train(*CONFIG_DIR, *FEW, *ADA, "max_steps=3")
    probability = float(content(run)["game"]["augment.probability"])
    assert abs(probability - 0.5) == pytest.approx(0.08) or abs(probability - 0.5) == pytest.approx(0.24)


# Two processes

CASES = {
    "growing": GROWING,
    "unrolled": [*UNROLLED, "arch.generator.norm=none"],
    "regularisers": [*PENALISED, "arch.generator.norm=none"],
    "ada": [  # with batch norm real and generated samples are augmented apart, as the numbers are drawn here
        *[*ADA, "device=cpu", "device.sync_batch_norm=true"],
        *["arch.discriminator.norm=batch", "augment.target=0"],
    ],
}


@pytest.fixture(scope="module")
def apart(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, dict[str, float]]]:
    """The largest differences of each case, as each of two processes sees them."""
    with pytest.MonkeyPatch.context() as patch:
        join(patch)
        cases = {name: composed(*overrides) for name, overrides in CASES.items()}
    path = ":".join([str(OUTSIDE), *filter(None, [ENVIRONMENT.get("PYTHONPATH")])])
    return differences_between_processes(tmp_path_factory.mktemp("worker"), cases, PYTHONPATH=path)


@pytest.mark.parametrize("case", CASES)
def test_two_processes_compute_what_one_does(case: str, apart: list[dict[str, dict[str, float]]]) -> None:
    for process in apart:
        assert process[case]["gradient"] < 1e-12
        assert process[case]["weight"] < 1e-12, "buffers, such as anchors and probabilities, too"
