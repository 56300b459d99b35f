"""Nothing from outside reaches the terminal with its control characters."""

import shlex
import subprocess
from pathlib import Path

import numpy as np
import pytest
from conftest import TINY, Verb, verb
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import QuotedString
from omegaconf import OmegaConf
from PIL import Image

from ganexp.cli import main
from ganexp.errors import print_to_stderr, readable, readable_lines
from ganexp.runs.log import RunLog
from ganexp.system.tensor_file import read, write
from ganexp.system.terminal import quoted_override

RED = "\x1b[31m\x07\x9b2J\u202e"


def test_control_characters_are_marked() -> None:
    assert readable(f"a{RED}b\r\nc") == "a\ufffd[31m\ufffd\ufffd2J\ufffdb\ufffd\ufffdc"
    assert readable_lines("é 中\nb\tc") == "é 中\nb\ufffdc"
    assert readable("\udcff") == "\ufffd", "the name of a file may be no text at all"


PATHS = [
    "outputs/run/loss-gan+seed-1",
    "/abs/a.b_c-d@e%f",
    "a b",
    "a=b",
    "[a],{b}(c)",
    "it's",
    'the "best"',
    "a\\",
    "${x}",
    "a\\${x}\\\\${y}$",
    "$HOME `id` ; & | < > ! # ~ * ?",
    "~/a",
    "1e3",
    "nan",
    "Null",
    "-1",
    "été 中",
    ".",
]


@pytest.mark.parametrize("path", PATHS)
def test_a_hint_can_be_pasted(path: str) -> None:
    """Through a shell, Hydra's grammar and OmegaConf it is the same path again."""
    typed = subprocess.run(
        ["sh", "-c", f"printf '%s\\n' {quoted_override('resume', path)}"], capture_output=True, text=True
    )
    (word,) = typed.stdout.splitlines()
    value = OverridesParser.create().parse_override(word).value()
    assert OmegaConf.create({"resume": str(value)}).resume == path
    assert isinstance(value, str | QuotedString)


def test_plain_paths_are_not_quoted() -> None:
    assert quoted_override("resume", Path("outputs/r/seed-1+lr-1e-5")) == "resume=outputs/r/seed-1+lr-1e-5"
    assert quoted_override("resume", "a b") == "'resume=\"a b\"'"


def test_a_run_with_an_awkward_name_is_resumed_by_its_hint(
    train: Verb, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    awkward = tmp_path / 'it\'s [a], b=c "d"'
    train(*TINY, "max_steps=2").rename(awkward)
    capfd.readouterr()
    verb(monkeypatch, tmp_path, "train", *shlex.split(quoted_override("resume", awkward)))
    told = capfd.readouterr().out
    assert "is finished already" in told
    words = shlex.split(told.rpartition("images: ")[2].removesuffix(" goes on\n"))
    verb(monkeypatch, tmp_path, "train", *words)
    assert "finished 256 images" in capfd.readouterr().out
    main._run_without_hydra("runs", [awkward.name])
    assert "1 run\n" in capfd.readouterr().out


def harmless(told: str) -> bool:
    return all(letter.isprintable() or letter == "\n" for letter in told) and "\ufffd" in told


def test_what_is_told_and_what_a_run_says(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    print_to_stderr(f"bad {RED}")
    journal = RunLog(tmp_path)
    journal.info(f"one {RED}\ntwo")
    journal.debug(f"three {RED}")
    journal.close()
    told = capfd.readouterr()
    assert harmless(told.err) and harmless(told.out) and harmless((tmp_path / "train.log").read_text())
    assert "one" in told.out and "\ntwo\n" in told.out and "three" in told.out


def test_class_and_file_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    for name in (f"x{RED}", "y\nsamples 5"):
        (tmp_path / "set" / name).mkdir(parents=True)
        for number in range(2):
            Image.fromarray(np.zeros((8, 8), np.uint8)).save(tmp_path / "set" / name / f"{number}.png")
    (tmp_path / "set" / f"x{RED}" / f"bad{RED}.png").write_text("no picture")
    given = ["data=folder", "data.root=set", "data.on_error=skip", "data.resolution=8"]
    verb(monkeypatch, tmp_path, "data_info", *given)
    told = capfd.readouterr()
    assert harmless(told.out) and harmless(told.err) and "\nsamples 5" not in told.out
    assert "cannot be used" in told.err and "left out" in told.out
    with pytest.raises(SystemExit):
        verb(monkeypatch, tmp_path, "data_info", *given[:2], "data.on_error=raise", "data.resolution=8")
    assert harmless(capfd.readouterr().err)


def test_a_runs_settings_and_its_checkpoint(
    train: Verb, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    run, other = train(*TINY, "max_steps=1"), train(*TINY, "max_steps=1", name="other")
    content = read(run / "checkpoints/last.pt")
    write(content | {f"more{RED}": 1}, run / "checkpoints/last.pt")
    capfd.readouterr()
    with pytest.raises(SystemExit):
        verb(monkeypatch, tmp_path, "verify", f"run='{run}'", f"against='{other}'")
    assert harmless(capfd.readouterr().out)
    text = (run / "config.yaml").read_text()
    quoted = RED.encode("unicode_escape").decode().replace("\\x1b", "\\e")
    (run / "config.yaml").write_text(f'{text}"more{quoted}": 1\n')
    with pytest.raises(SystemExit):
        main._report_errors(lambda: verb(monkeypatch, tmp_path, "sample", f"run='{run}'"))
    assert harmless(capfd.readouterr().err)
