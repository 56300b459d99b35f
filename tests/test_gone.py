"""A run whose folder is taken away says so and ends; what cannot be written leaves nothing behind."""

import errno
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from conftest import TINY, Verb, verb

import ganexp.train as training
from ganexp.cli import main
from ganexp.system import atomic
from ganexp.system.atomic import replacing


@contextmanager
def at_step(number: int, act: Callable[[], object]) -> Iterator[None]:
    """Does something in the middle of a training."""
    real, steps = training.train_step, []

    def step(*arguments: Any) -> None:
        steps.append(1)
        if len(steps) == number:
            act()
        real(*arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "train_step", step)
        yield


def removed(folder: Path) -> None:
    while folder.exists():  # a checkpoint may be written into it meanwhile
        shutil.rmtree(folder, ignore_errors=True)


def removed_with_its_name(run: Path) -> None:
    removed(run.parent)


def moved(run: Path) -> None:
    run.rename(run.with_name("elsewhere"))


def replaced(run: Path) -> None:
    removed(run)
    run.mkdir()
    (run / ".lock").touch()


@pytest.mark.parametrize("take", [removed, removed_with_its_name, moved, replaced])
@pytest.mark.parametrize("steps", [5, 40])
def test_a_folder_that_is_gone_is_not_made_again(
    tmp_path: Path,
    take: Callable[[Path], None],
    steps: int,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    def act() -> None:
        (run,) = (tmp_path / "outputs/r").iterdir()
        take(run)

    with at_step(steps, act), pytest.raises(SystemExit) as ended:
        verb(monkeypatch, tmp_path, "train", *TINY, "epochs=3", "name=r", "checkpoint.every.minutes=0.00001")
    told = capfd.readouterr()
    assert ended.value.code == 1
    assert "is gone: it was removed or moved" in told.err and len(told.err.splitlines()) == 1
    assert "make room" not in told.err + told.out and "no checkpoint" not in told.out
    left = {file.name for file in tmp_path.glob("outputs/r/*/*")} if take is not moved else set()
    assert left <= {".lock"}


def test_only_the_lock_removed_does_no_harm(train: Verb) -> None:
    with at_step(5, lambda: next(Path("outputs/run").glob("*/.lock")).unlink()):
        folder = train(*TINY, "epochs=1")
    assert (folder / "checkpoints/last.pt").is_file()


def test_a_first_checkpoint_that_fails_leaves_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def block() -> None:
        (run,) = (tmp_path / "outputs/r").iterdir()
        (run / "checkpoints").write_text("in the way")

    with at_step(1, block), pytest.raises(SystemExit) as ended:
        verb(monkeypatch, tmp_path, "train", *TINY, "epochs=1", "name=r", "checkpoint.every.minutes=0.00001")
    told = capfd.readouterr()
    assert ended.value.code == 1 and "there is none yet" in told.out and "the one at 0" not in told.out
    assert "begins anew" in told.err


def test_what_fails_takes_its_folders_away(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), replacing(tmp_path / "a/b/c.png"):
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "a").mkdir()
    with pytest.raises(RuntimeError), replacing(tmp_path / "a/b/c.png") as beside:
        (tmp_path / "a/b/other").touch()
        beside.touch()
        raise RuntimeError
    assert [path.name for path in (tmp_path / "a/b").iterdir()] == ["other"]
    with pytest.raises(OSError), replacing(tmp_path / "x/y/z.png", tmp_path / "x"):
        pass
    assert not (tmp_path / "x").exists()


def test_images_that_cannot_be_written_leave_no_folder(
    train: Verb, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    folder = train(*TINY, "max_steps=1")
    monkeypatch.setattr(atomic, "sync", full)
    with pytest.raises(SystemExit) as ended:
        main._report_errors(
            lambda: verb(monkeypatch, tmp_path, "sample", f"run='{folder}'", "format=png", "out=made/here")
        )
    assert ended.value.code == 2 and not (tmp_path / "made").exists()


def test_a_picture_that_cannot_be_written_hides_no_facts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "outputs").write_text("in the way")
    verb(monkeypatch, tmp_path, "data_info", "data=digits")
    out = capfd.readouterr().out
    assert "fingerprint" in out and "picture" in out and "cannot be written" in out
    with pytest.raises(SystemExit) as ended:
        verb(monkeypatch, tmp_path, "data_info", "data=digits", "out=outputs/a.png")
    told = capfd.readouterr()
    assert ended.value.code == 2 and "fingerprint" in told.out and "out=outputs/a.png: cannot" in told.err
    assert [path.name for path in tmp_path.iterdir()] == ["outputs"]
