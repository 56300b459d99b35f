"""Run folders of strangers, damaged or made to harm: they are listed, compared and filmed all the same."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import TINY, composed, verb

from ganexp.cli.main import _run_without_hydra
from ganexp.config.resolvers import overrides_name
from ganexp.sweeps.sweep import is_done

HUGE = 10**400
DEEP = "[" * 100_000


def receipt(**changes: Any) -> Callable[[Path], None]:
    def change(run: Path) -> None:
        file = run / "run.json"
        file.write_text(json.dumps(json.loads(file.read_text()) | changes))

    return change


def metrics(line: str | bytes) -> Callable[[Path], None]:
    def change(run: Path) -> None:
        with (run / "metrics.jsonl").open("ab") as stream:
            stream.write(line if isinstance(line, bytes) else line.encode())

    return change


def whole(name: str, text: str) -> Callable[[Path], None]:
    def change(run: Path) -> None:
        (run / name).write_text(text)

    return change


DAMAGE = {
    "a status": receipt(status="\x1b[31mdone"),
    "no status": receipt(status=["x"]),
    "git": receipt(git="x"),
    "alarms": receipt(alarms=[1, "a", {"kind": 3}, {"kind": "\x1b[31m", "line": None}]),
    "huge seconds": receipt(seconds=HUGE, images_per_second=HUGE, images=HUGE),
    "versions": receipt(versions={"torch": {"a": "\x1b[31m"}}),
    "a huge score": metrics(json.dumps({"epoch": 9, "images": 9, "score/swd": HUGE}) + "\n"),
    "the largest score": metrics(
        "".join(json.dumps({"epoch": 9, "images": n, "score/swd": 1.7e308}) + "\n" for n in (7188, 7189))
    ),
    "huge images": metrics(json.dumps({"epoch": HUGE, "images": HUGE}) + "\n"),
    "images in words": metrics(json.dumps({"epoch": 1, "images": "many"}) + "\n"),
    "an odd name": metrics(json.dumps({"epoch": 9, "images": 9, "score/\x1b[31m": 1.5}) + "\n"),
    "no text": metrics(b"\xff\xfe\x00"),
    "deep metrics": metrics(DEEP),
    "a deep receipt": whole("run.json", DEEP),
    "a deep config": whole("config.yaml", "a: " + "[" * 5_000),
}


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patch:
        arguments = [*TINY[:5], "features=random", "metrics=swd", "evaluate.count=50", "epochs=2", "name=s"]
        verb(patch, folder, "train", "-m", *arguments, "seed=1,2")
    return folder


@pytest.mark.parametrize("damage", DAMAGE)
def test_it_is_looked_at_all_the_same(
    sound: Path,
    tmp_path: Path,
    damage: str,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    shutil.copytree(sound / "outputs", tmp_path / "outputs")
    one, two = sorted(file.parent for file in tmp_path.glob("outputs/s/*/run.json"))
    DAMAGE[damage](one)
    monkeypatch.chdir(tmp_path)
    for look in (["runs", "sort=seconds"], ["diff", str(one), str(two)], ["compare", "outputs/s"]):
        _run_without_hydra(look[0], look[1:])
    if damage != "a deep config":
        verb(monkeypatch, tmp_path, "film", f"run={one}")
    told = capfd.readouterr()
    assert "\x1b" not in told.out and "2 runs" in told.out


def test_a_finished_run_without_its_checkpoint_is_not_done(sound: Path, tmp_path: Path) -> None:
    shutil.copytree(sound / "outputs", tmp_path / "outputs")
    (run,) = tmp_path.glob("outputs/s/*seed-1")
    arguments = [*TINY[:5], "features=random", "metrics=swd", "evaluate.count=50", "epochs=2", "seed=1"]
    assert is_done(run, composed(*arguments))
    (run / "checkpoints/last.pt").unlink()
    assert not is_done(run, composed(*arguments))
    (run / "checkpoints/last.pt").touch()
    (run / "config.yaml").write_text("a: [")
    assert not is_done(run, composed(*arguments)), "the run itself tells what is wrong with it"


@pytest.mark.parametrize(
    ("value", "name"),
    [
        ("1e-05", "1e-5"),
        ("1e-5", "1e-5"),
        ("1e+30", "1e30"),
        ("1e30", "1e30"),
        ("1E-3", "1e-3"),
        ("me-05", "me-05"),
    ],
)
def test_a_number_has_one_name(value: str, name: str) -> None:
    assert overrides_name([f"optim.lr={value}"]) == f"lr-{name}"


def test_a_grid_by_class_is_a_picture_of_its_own(
    sound: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (run,) = sound.glob("outputs/s/*seed-2")
    capfd.readouterr()
    for more in ([], ["format=classes"], ["checkpoint=best"]):
        verb(monkeypatch, sound, "sample", f"run={run}", "n=20", *more)
    files = re.findall(r"20 samples: (\S+)", capfd.readouterr().out)
    assert len(set(files)) == 3
