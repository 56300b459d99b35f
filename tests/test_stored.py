"""A stored configuration is bounded before anything is made of it."""

import os
from pathlib import Path

import pytest
from conftest import command, composed
from omegaconf import OmegaConf

from ganexp.config.stored import MAX_BYTES, MAX_DEPTH, MAX_VALUES, load_config, read_bounded_yaml
from ganexp.errors import UserError
from ganexp.runs.saved_run import SavedRun, find_runs

BOMB = "a0: &a0 {x: 1}\n" + "".join(f"a{n}: &a{n} {{x: *a{n - 1}, y: *a{n - 1}}}\n" for n in range(1, 33))
"""A kilobyte that stands for 4e9 values."""


def nested(levels: int) -> str:
    return "{a: " * levels + "1" + "}" * levels


HOSTILE = {
    "alias bomb": (BOMB, "aliases"),
    "self-recursive": ("a: &a [*a]", "aliases"),
    "deep maps": (nested(5_000), "deeper"),
    "deep blocks": ("".join(" " * n + "a:\n" for n in range(500)), "deeper"),
    "deep lists": ("a: " + "[" * 900, "deeper"),
    "many values": (f"a: [{'1,' * MAX_VALUES}]", "values"),
    "many bytes": ("a: 1\n" + "#" * MAX_BYTES, "larger"),
    "a tag": ("a: !!python/object/apply:pathlib.Path [1]", "tags"),
    "an interpolation": ("a: " + "${a:" * 1_000, "without"),
    "many digits": ("a: " + "9" * 5_000, "not YAML"),
    "one key twice": ("a: 1\na: 2", "not YAML"),
    "no text": ("\x00", "not YAML"),
    "a list": ("[1, 2]", "no settings"),
    "an odd key": ("? [1, 2]\n: 3", "not YAML"),
    "an empty key": ("null: 3\nb: {2.5: 1}", "cannot read its values"),
}


@pytest.mark.parametrize("content", HOSTILE)
def test_a_hostile_one_is_refused_in_one_line(tmp_path: Path, content: str) -> None:
    text, told = HOSTILE[content]
    file = tmp_path / "config.yaml"
    file.write_text(text)
    with pytest.raises(UserError, match=told) as raised:
        load_config(file)
    assert "\n" not in str(raised.value) and len(str(raised.value)) < 300 + len(str(file))


def test_at_the_bounds_it_is_read(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(f"a: {nested(MAX_DEPTH - 1)}\nb: [{'1,' * (MAX_VALUES - 2 * MAX_DEPTH - 10)}]")
    cfg = load_config(file)
    assert len(cfg.b) > MAX_VALUES // 2
    assert len(SavedRun(tmp_path).config) == 2


def test_it_is_read_as_omegaconf_reads_it(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(OmegaConf.to_yaml(composed("data=digits", "optim.lr=1e-05", "experiment=quick")))
    assert load_config(file) == OmegaConf.load(file)
    assert read_bounded_yaml(file)["optim"]["lr"] == 1e-5
    values = [
        "1e-5",
        "1e5",
        "-1.5e+3",
        "1.",
        ".5",
        "0x1f",
        "017",
        "1:30",
        "2026-01-01",
        "yes",
        "~",
        ".inf",
        "1e",
        "a",
    ]
    file.write_text("".join(f"k{n}: {value}\n" for n, value in enumerate(values)))
    assert read_bounded_yaml(file) == OmegaConf.to_container(OmegaConf.load(file))


def test_a_named_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "config.yaml")
    with pytest.raises(UserError, match="no regular file"):
        load_config(tmp_path / "config.yaml")


def test_one_bad_folder_does_not_hide_the_others(tmp_path: Path) -> None:
    for name, text in (("bad", BOMB), ("good", "seed: 7\n")):
        (tmp_path / "outputs" / name).mkdir(parents=True)
        (tmp_path / "outputs" / name / "config.yaml").write_text(text)
        (tmp_path / "outputs" / name / "run.json").write_text("{}")
    assert [run.config for run in find_runs([tmp_path / "outputs"])] == [{}, {"seed": 7}]
    done = command(tmp_path, "runs", "outputs", "columns=run,seed")
    assert done.returncode == 0 and "7" in done.stdout and "2 runs" in done.stdout
    (tmp_path / "nan").symlink_to("outputs/bad")
    done = command(tmp_path, "film", "run=nan")
    assert done.returncode == 2 and len(done.stderr.splitlines()) == 1 and "aliases" in done.stderr


def test_a_run_of_an_earlier_version_is_brought_up_to_date(tmp_path: Path) -> None:
    """What it did not write is added as it was then; what has been moved since is found where it is now."""
    file = tmp_path / "config.yaml"
    targets = "device: {_target_: ganexp.device.cpu}\nsentinel: {_target_: ganexp.sentinel.Limits}\n"
    file.write_text(targets + "evaluate: {every: 5}\n")
    cfg = load_config(file)
    assert cfg.device._target_ == "ganexp.training.device.cpu"
    assert cfg.sentinel._target_ == "ganexp.sentinel.SentinelConfig"
    assert cfg.start_from is None and cfg.evaluate == {"every": 5, "split": "training", "early": None}
    assert cfg.augment._target_ == "ganexp.augment.NoAugment"
