"""The sentinel speaks up when a run goes wrong, once, and holds its tongue when it does not."""

import itertools
import json
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import TINY, Verb
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import ganexp.train as training
from ganexp.errors import Diverged
from ganexp.nets.mlp import Generator
from ganexp.runs.bitwise import differences
from ganexp.runs.manifest import Manifest
from ganexp.runs.run import Run
from ganexp.sentinel import Sentinel, SentinelConfig, rms_distance, rows_of_each_label
from ganexp.system.signals import Stopped
from ganexp.training.setup import Experiment

LIMITS = SentinelConfig(
    action="warn", every=200, gradient=0.01, diversity=0.05, fall=0.25, rollbacks=3, rate=0.5
)
ONE_LABEL = np.zeros(50, int)
FINE = {"d/gradient_norm": 1.0, "g/gradient_norm": 1.0}


def samples(scale: float, seed: int = 0) -> np.ndarray:
    return scale * np.random.default_rng(seed).standard_normal((50, 3, 4, 4))


def sentinel() -> Sentinel:
    return Sentinel(LIMITS, rms_distance(samples(1.0), ONE_LABEL), ONE_LABEL)


def kinds(guard: Sentinel, means: dict[str, float], scale: float) -> list[str]:
    adversarial = {name.replace("gradient_norm", "adversarial"): 0.5 for name in means if name[0] in "dg"}
    return [alarm.kind for alarm in guard.check_epoch(adversarial | means | guard.scalars(samples(scale)), 64)]


def test_spread_is_the_root_mean_squared_distance_of_pairs() -> None:
    points = samples(1.0)[:12]
    labels = np.arange(12) % 3
    by_label = []
    for label in range(3):
        group = points[labels == label].reshape(4, -1)
        by_label.append(np.mean([((a - b) ** 2).sum() for a, b in itertools.combinations(group, 2)]))
    assert rms_distance(points, labels) == pytest.approx(np.sqrt(np.mean(by_label)))
    assert rms_distance(np.ones((5, 2)), np.zeros(5)) == 0.0
    assert rms_distance(np.ones((2, 2)), np.arange(2)) == 0.0, "no pair at all"


def test_rows_to_compare_with_are_drawn_from_each_label() -> None:
    labels = np.arange(1000) % 10
    rows = rows_of_each_label(labels, [2, 5], seed=0, max_rows=40)
    assert sorted(labels[rows]) == [2] * 20 + [5] * 20 and len(set(rows)) == 40
    assert list(rows) == list(rows_of_each_label(labels, [2, 5], seed=0, max_rows=40)) == sorted(rows)
    assert list(rows) != list(rows_of_each_label(labels, [2, 5], seed=1, max_rows=40))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_what_is_not_finite_is_named(value: float) -> None:
    guard = sentinel()
    assert guard.check_finite(FINE, 64) is None
    alarm = guard.check_finite(FINE | {"d/adversarial": value}, 1234)
    assert alarm is not None and alarm.line.startswith(f"d/adversarial is {value} after 1,234 images")


def test_a_generator_that_was_never_diverse() -> None:
    guard = sentinel()
    assert [kinds(guard, FINE, 0.01) for _ in range(4)] == [[], ["collapsed"], [], []], "told once"


def test_a_generator_that_once_was_diverse() -> None:
    guard = sentinel()
    scales = [0.2, 0.1, 0.9, 0.5, 0.2, 0.2, 0.2, 0.9, 0.2, 0.2]
    told = [kinds(guard, FINE, scale) for scale in scales]
    assert told == [[], [], [], [], [], ["collapsed"], [], [], [], ["collapsed"]], "again after it recovered"


def test_one_bad_epoch_is_chance() -> None:
    guard = sentinel()
    assert [kinds(guard, FINE, scale) for scale in (1.0, 0.01, 1.0, 0.01, 1.0)] == [[]] * 5


def test_more_diverse_than_the_real_ones_is_no_measure() -> None:
    guard = sentinel()
    assert [kinds(guard, FINE, scale) for scale in (9.0, 0.4, 0.4, 0.4)] == [[]] * 4


def test_the_critic_has_won_when_every_gradient_is_gone() -> None:
    guard = sentinel()
    for d, g in ((5.0, 9.0), (0.04, 9.0), (5.0, 0.08), (0.04, 0.08)):
        assert kinds(guard, {"d/gradient_norm": d, "g/gradient_norm": g}, 1.0) == []
    assert kinds(guard, {"d/gradient_norm": 0.04, "g/gradient_norm": 0.08}, 1.0) == ["vanished"]
    assert not guard.healthy
    for g in (9.0, 8.0):
        told = kinds(guard, {"d/gradient_norm": 5.0, "g/gradient_norm": g}, 1.0)
    assert guard.healthy
    told = [kinds(guard, {"d/gradient_norm": 0.0, "g/gradient_norm": 9.0}, 1.0) for _ in range(3)]
    assert told == [[], ["vanished"], []], "a discriminator that has nothing more to learn"
    assert kinds(guard, {"d/gradient_norm": 5.0, "g/gradient_norm": 9.0}, 1.0) == [] and guard.healthy


def test_a_regression_whose_gradient_falls_is_no_critic_that_has_won() -> None:
    """Only players with an adversarial loss are watched: an encoder's gradient is to vanish."""
    guard = sentinel()
    for norm in (10.0, 0.07, 0.07, 0.0):
        assert kinds(guard, {"e/gradient_norm": norm, "e/reconstruction": norm}, 1.0) == []


def test_it_remembers_across_a_checkpoint() -> None:
    one, two = sentinel(), sentinel()
    for scale in (0.9, 0.1):
        kinds(one, FINE, scale)
    two.load_state_dict(json.loads(json.dumps(one.state_dict())))
    assert kinds(two, FINE, 0.1) == kinds(one, FINE, 0.1) == ["collapsed"]


@pytest.fixture
def constant(monkeypatch: pytest.MonkeyPatch) -> None:
    """A generator that has collapsed."""
    real = Generator.forward

    def forward(net: Generator, z: torch.Tensor, y: torch.Tensor | None = None) -> torch.Tensor:
        return real(net, z, y) * 1e-3

    monkeypatch.setattr(Generator, "forward", forward)


def texts(folder: Path) -> list[int]:
    board = EventAccumulator(str(folder))
    board.Reload()
    return [event.step for event in board.Tensors("sentinel/text_summary")]


@pytest.mark.usefixtures("constant")
def test_a_collapse_is_warned_of(train: Verb, capfd: pytest.CaptureFixture[str]) -> None:
    folder = train(*TINY, "epochs=4")
    told = capfd.readouterr().out
    assert (
        told.count("warning: mode collapse after 3,648 images: the samples differ from one another by 0.") == 1
    )
    receipt = Manifest(folder / "run.json").content
    assert receipt["status"] == "finished"
    assert [(alarm["kind"], alarm["images"]) for alarm in receipt["alarms"]] == [("collapsed", 3648)]
    assert texts(folder) == [3648]
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert all(row["sentinel/diversity"] < 0.05 for row in rows)


@pytest.mark.usefixtures("constant")
@pytest.mark.parametrize("game", ["gan", "cgan"])
def test_a_collapse_can_stop_a_run(train: Verb, game: str, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        train(*TINY, "epochs=9", f"game={game}", "sentinel.action=stop")
    assert ended.value.code == Diverged.status and "mode collapse" in capfd.readouterr().err
    (file,) = Path().glob("outputs/run/*/run.json")
    assert (
        Manifest(file).content["status"] == "diverged" and "mode collapse" in Manifest(file).content["reason"]
    )
    assert len((file.parent / "metrics.jsonl").read_text().splitlines()) == 2, "what it saw can be looked at"


def poisoned(monkeypatch: pytest.MonkeyPatch, at: int, times: int = 1, stop: int | None = None) -> None:
    """A weight is no number after step ``at``, until the run has gone back ``times``; a signal at ``stop``."""
    real, taken = training.train_step, []

    def step(experiment: Experiment, *rest: Any) -> None:
        taken.append(1)
        if len(taken) == stop:
            signal.raise_signal(signal.SIGTERM)
        real(experiment, *rest)
        if experiment.state.progress.step == at and experiment.state.progress.rollbacks < times:
            with torch.no_grad():
                next(iter(experiment.state.game.parameters())).fill_(float("nan"))

    monkeypatch.setattr(training, "train_step", step)


def test_what_is_not_finite_is_seen_within_an_epoch(
    train: Verb, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    poisoned(monkeypatch, at=11)
    with pytest.raises(SystemExit):
        train(*TINY, "epochs=9", "sentinel.every=5")
    assert "is nan after 960 images" in capfd.readouterr().err, "at the 15th of 29 steps"


def test_nothing_bad_is_ever_saved(train: Verb, monkeypatch: pytest.MonkeyPatch) -> None:
    poisoned(monkeypatch, at=40)
    with pytest.raises(SystemExit):
        train(*TINY, "epochs=9", "checkpoint.every.minutes=1e-9")
    (folder,) = Path().glob("outputs/run/*")
    saved = torch.load(folder / "checkpoints/last.pt", weights_only=True)["content"]
    assert saved["progress"]["step"] == 39, "what the 40th step left behind was seen before it was saved"


def test_rollback_goes_back_and_on(
    train: Verb, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    poisoned(monkeypatch, at=40, times=2)
    folder = train(*TINY, "epochs=3", "sentinel.action=rollback")
    told = capfd.readouterr().out
    assert "rollback 1 of 3: back to 1,856 images, with every learning rate times 0.5" in told
    assert "rollback 2 of 3: back to 1,856 images, with every learning rate times 0.25" in told
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert [row["epoch"] for row in rows] == [1, 2, 3]
    assert [row["g/lr"] for row in rows] == pytest.approx([2e-4, 5e-5, 5e-5])
    assert Manifest(folder / "run.json").content["status"] == "finished" and texts(folder)[-1] == 1857


def test_rollback_goes_back_to_before_it_looked_wrong(
    train: Verb, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Two bad epochs make an alarm; the first of them is no good epoch to go back to."""

    def diversity(guard: Sentinel, samples: np.ndarray) -> dict[str, float]:
        return {"sentinel/diversity": 0.01 if not gone_back and next(looks) >= 2 else 1.0}

    looks, gone_back = itertools.count(), []
    real = Run.rollback

    def rollback(run: Run, *rest: Any) -> None:
        gone_back.append(1)
        real(run, *rest)

    monkeypatch.setattr(Sentinel, "scalars", diversity)
    monkeypatch.setattr(Run, "rollback", rollback)
    folder = train(*TINY, "epochs=5", "sentinel.action=rollback")
    told = capfd.readouterr().out
    assert "mode collapse after 7,232 images" in told and "back to 3,648 images" in told
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert [row["epoch"] for row in rows] == [1, 2, 3, 4, 5] and gone_back == [1]


def test_rollback_before_the_first_epoch_is_over(train: Verb, monkeypatch: pytest.MonkeyPatch) -> None:
    poisoned(monkeypatch, at=5)
    folder = train(*TINY, "epochs=1", "sentinel.action=rollback")
    row = json.loads((folder / "metrics.jsonl").read_text())
    assert row["images"] == 1856 and row["g/lr"] == pytest.approx(1e-4)


def test_rollback_ends_after_so_many_times(
    train: Verb, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    poisoned(monkeypatch, at=40, times=99)
    with pytest.raises(SystemExit) as ended:
        train(*TINY, "epochs=3", "sentinel.action=rollback", "sentinel.rollbacks=2")
    assert ended.value.code == Diverged.status and "(after 2 rollbacks)" in capfd.readouterr().err


def test_a_run_that_went_back_resumes_bit_for_bit(train: Verb, monkeypatch: pytest.MonkeyPatch) -> None:
    overrides = [*TINY, "epochs=4", "sentinel.action=rollback", "sentinel.every=1"]
    with monkeypatch.context() as patch:
        poisoned(patch, at=40, times=2)
        whole = train(*overrides, name="whole")
    for stop in (35, 44, 90):
        name = f"cut_{stop}"
        with monkeypatch.context() as patch:
            poisoned(patch, at=40, times=2, stop=stop)
            with pytest.raises(Stopped):
                train(*overrides, name=name)
        with monkeypatch.context() as patch:
            poisoned(patch, at=40, times=2)
            cut = train(*overrides, name=name)
        assert list(differences(whole, cut)) == []
