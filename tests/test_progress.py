"""What a run tells: how far it is, how long it took, and what to do with it."""

import re
import shlex
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from conftest import TINY, Verb, composed, verb
from PIL import Image

from ganexp.cli import main
from ganexp.runs import progress as progress_module
from ganexp.runs.progress import ProgressLines
from ganexp.system.terminal import duration
from ganexp.training import setup
from ganexp.training.state import Progress
from ganexp.training.summary import ending, next_commands


class Clock:
    """Takes the place of the module ``time``."""

    now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock()
    monkeypatch.setattr(progress_module, "time", found)
    return found


def test_a_line_every_thirty_seconds(clock: Clock) -> None:
    lines = ProgressLines(total=60_000, done=0)
    lines.begin_epoch(1, 0)
    told = {}
    for second in range(1, 101):
        clock.now += 1
        line = lines.advance(100)
        if line is not None:
            told[second] = line
    assert list(told) == [30, 60, 90]
    assert told[60] == "epoch 1  6,000 of 60,000 images  100 images/s  about 9 min left"


def test_the_rest_of_the_run_counts_the_ends_of_epochs(clock: Clock) -> None:
    lines = ProgressLines(total=12_000, done=0)
    lines.begin_epoch(1, 0)
    clock.now += 20
    assert lines.advance(2_000) is None
    clock.now += 60  # scores
    lines.begin_epoch(2, 2_000)
    clock.now += 20
    assert lines.advance(2_000) is None, "the epoch's own line was 20 seconds ago"
    clock.now += 20
    told = lines.advance(2_000)
    assert told == "epoch 2  6,000 of 12,000 images  100 images/s  about 2 min left"
    lines.begin_epoch(1, 0)  # a rollback
    clock.now += 300
    assert lines.advance(11_900) == "epoch 1  11,900 of 12,000 images  40 images/s  less than a minute left"


def test_a_pipe_is_told_in_long_epochs_only(
    train: Verb, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    train(*TINY, "epochs=2", name="short")
    assert "left" not in capfd.readouterr().out
    monkeypatch.setattr(progress_module, "INTERVAL", 0.0)
    folder = train(*TINY, "epochs=2", name="long")
    told = capfd.readouterr().out
    assert re.search(r"^epoch 1  64 of 3,648 images  [\d,]+ images/s  less than a minute left$", told, re.M)
    assert told.count(" of 3,648 images") == 57, "one after each step"
    assert (folder / "train.log").read_text().count(" of 3,648 images") == 57


def test_an_epoch_tells_what_the_discriminator_gives(train: Verb, capfd: pytest.CaptureFixture[str]) -> None:
    train(*TINY, "epochs=1")
    line = r"epoch 1/1  1,856 images  [\d,]+ images/s  D\(x\) N  D\(G\(z\)\) N  d N  g N"
    assert re.search(rf"^{line}$".replace("N", r"\d\.\d{3}"), capfd.readouterr().out, re.M)


@pytest.mark.parametrize(
    ("elapsed", "trained", "before", "told"),
    [
        (12.4, 9.0, 0.0, "12 s"),
        (700.0, 600.0, 0.0, "11 min 40 s"),
        (123.0, 1.0, 0.0, "2 min 3 s, 1 s of it training"),
        (8000.0, 4000.0, 0.0, "2 h 13 min, 1 h 6 min of it training"),
        (30.0, 100.0, 80.0, "30 s since it was resumed, 1 min 40 s of training in all"),
    ],
)
def test_the_time_of_a_run(elapsed: float, trained: float, before: float, told: str) -> None:
    line = ending(Path("outputs/a/b"), Progress(images=5440, seconds=trained), elapsed, before)
    assert line == f"finished 5,440 images in {told}: outputs/a/b"


def test_durations() -> None:
    assert [duration(seconds) for seconds in (0.4, 59.6, 3599, 86400)] == [
        "0 s",
        "1 min 0 s",
        "59 min 59 s",
        "24 h 0 min",
    ]


def test_a_run_counts_from_where_it_is_built(
    train: Verb, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(setup, "time", SimpleNamespace(monotonic=lambda: time.monotonic() - 600))
    folder = train(*TINY, "epochs=1")
    assert re.search(r"finished 1,856 images in 10 min \d+ s, \d+ s of it training: ", capfd.readouterr().out)
    train(f"resume={folder}", "epochs=2")
    assert re.search(
        r"in 10 min \d+ s since it was resumed, \d+ s of training in all: ", capfd.readouterr().out
    )


def test_the_commands_can_be_pasted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    verb(monkeypatch, tmp_path, "train", *TINY, "epochs=2", 'hydra.run.dir="it\'s [a]/b=c d"')
    told = capfd.readouterr().out
    assert (tmp_path / "it's [a]/b=c d/samples/epoch_0002.png").is_file()
    commands = [shlex.split(line)[1:] for line in re.findall(r"  (ganexp .*)$", told, re.M)]
    assert [words[0] for words in commands] == ["sample", "film", "compare"]
    for name, *words in commands[:2]:
        verb(monkeypatch, tmp_path, name, *words)
    main._run_without_hydra("compare", commands[2][1:])
    made = sorted(file.name for file in (tmp_path / "it's [a]/b=c d/samples").iterdir())
    assert made == ["epoch_0001.png", "epoch_0002.png", "film.webp", "sample_64_seed_0.png"]
    assert (tmp_path / "it's [a]/report.html").is_file()


def test_commands_of_a_run_with_code_of_its_own(tmp_path: Path) -> None:
    cfg = composed(*TINY)
    assert "trust" not in next_commands(tmp_path, cfg)
    cfg.loss = {"_target_": "mine.Loss"}
    assert f"ganexp sample run={tmp_path} trust=true\n" in next_commands(tmp_path, cfg)
    assert "film" not in next_commands(tmp_path, cfg), "there is no grid"
    assert "last grid" not in next_commands(tmp_path, cfg)


def test_the_last_grid_is_shown_but_in_a_sweep(
    train: Verb, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    shown: list[Image.Image] = []
    monkeypatch.setattr("ganexp.cli.last_grid.show", shown.append)
    folder = train(*TINY, "epochs=2")
    with Image.open(folder / "samples/epoch_0002.png") as last:
        (picture,) = shown
        assert picture.tobytes() == last.convert("RGB").tobytes()
    verb(monkeypatch, tmp_path, "train", "-m", *TINY, "max_steps=2", "seed=1,2", "name=sweep")
    assert len(shown) == 1


@pytest.mark.parametrize(("wanted", "needed"), [(57, None), (58, 3), (85, 3), (2900, 104)])
def test_steps_that_epochs_cut_off_are_told(
    train: Verb, wanted: int, needed: int | None, capfd: pytest.CaptureFixture[str]
) -> None:
    """57 steps of 64 are two passes over 1,797 digits, and a few images more."""
    train(*TINY, "epochs=2", f"max_steps={wanted}")
    told = re.findall(r"^max_steps.*$", capfd.readouterr().out, re.M)
    why = "the run ends before, after 57 steps, because epochs=2; so many steps need epochs="
    assert told == ([] if needed is None else [f"max_steps={wanted}: {why}{needed}"])
    if needed is not None:
        steps = build_steps(needed, wanted)
        assert steps[0] == wanted and steps[1] < wanted, "as many epochs, and no fewer"


def build_steps(epochs: int, wanted: int) -> list[int]:
    """The steps of runs with so many epochs, and with one less."""
    given = [composed(*TINY, f"epochs={count}", f"max_steps={wanted}") for count in (epochs, epochs - 1)]
    return [setup.build_experiment(cfg).steps for cfg in given]
