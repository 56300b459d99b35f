"""A named pipe in place of a file is never waited for: it is refused, left out or replaced."""

import os
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from conftest import TINY, verb
from PIL import Image

from ganexp.cli import main
from ganexp.errors import UserError

FILES = {
    "config.yaml": ["runs", "sample"],
    "run.json": ["runs", "verify"],
    "metrics.jsonl": ["runs", "film", "verify", "train"],
    "train.log": ["train"],
    "evaluations.jsonl": ["evaluate"],
    "samples/epoch_0001.png": ["compare", "film", "verify"],
    "samples/sample_4_seed_0.npz": ["sample"],
    "checkpoints/last.pt": ["sample", "train"],
}
"""Each with the verbs that open it."""


class Waits(BaseException):
    """No exception that a verb would put into words."""


@contextmanager
def not_waiting() -> Iterator[None]:
    """Ends a test that waits for a pipe, which it would do for ever."""

    def over(*signalled: object) -> None:
        raise Waits

    before = signal.signal(signal.SIGALRM, over)
    signal.alarm(60)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patch:
        verb(patch, folder, "train", *TINY, "epochs=2", "name=s")
    return next((folder / "outputs/s").iterdir())


@pytest.mark.parametrize("file", FILES)
def test_a_run_with_a_pipe(
    sound: Path, tmp_path: Path, file: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "outputs/s/run"
    shutil.copytree(sound, run)
    (run / file).unlink(missing_ok=True)
    os.mkfifo(run / file)
    monkeypatch.chdir(tmp_path)
    named = "run=outputs/s/run"
    lines = [
        ["runs", "outputs"],
        ["compare", "outputs"],
        ["film", named],
        ["sample", named, "n=4", "format=npz"],
        ["evaluate", named, "metrics=swd", "features=pixels", "count=10"],
        ["verify", named, f"against='{sound}'"],
        ["train", "resume=outputs/s/run", "epochs=3"],
    ]
    for verb_name, *arguments in [line for line in lines if line[0] in FILES[file]]:
        with not_waiting():
            try:
                if verb_name in ("runs", "compare"):
                    main._run_without_hydra(verb_name, arguments)
                else:
                    verb(monkeypatch, tmp_path, verb_name, *arguments)
            except UserError:
                pass
            except SystemExit as ended:
                assert ended.code in (0, 1, 2)
    assert "Traceback" not in capfd.readouterr().err


def test_a_data_set_with_a_pipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "set").mkdir()
    for number in range(3):
        Image.fromarray(np.zeros((8, 8), np.uint8)).save(tmp_path / f"set/{number}.png")
    os.mkfifo(tmp_path / "set/3.png")
    given = ["data=folder", "data.root=set"]
    with not_waiting():
        verb(monkeypatch, tmp_path, "data_prepare", *given, "data.on_error=skip")
        with pytest.raises(SystemExit):
            verb(monkeypatch, tmp_path, "data_prepare", *given, "data.on_error=raise")
