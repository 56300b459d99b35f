"""Runs on disk are read whatever state they are in."""

import json
from pathlib import Path

import pytest
from conftest import TINY, Verb

from ganexp.archive import Record, find
from ganexp.errors import UserError


def test_a_run_is_read_as_it_was_written(train: Verb) -> None:
    folder = train(*TINY, "epochs=2", "optim.lr=3e-4")
    (run,) = find(["outputs"])
    assert run.folder.name == folder.name
    assert (run.status, run.images, run.choices["loss"]) == ("finished", 3648, "gan")
    assert run.config["optim.lr"] == 3e-4 and run.config["arch.generator.widths"] == [16]
    assert [images for images, _ in run.series("d/adversarial")] == [1856, 3648]
    assert run.series("score/none") == []


def test_what_is_damaged_reads_as_empty(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("a: [1, 2")
    (tmp_path / "run.json").write_text("{")
    (tmp_path / "metrics.jsonl").write_text(
        json.dumps({"images": 2, "x": None}) + "\nhalf\n[1]\n" + json.dumps({"images": 1, "x": 0.5}) + "\n{"
    )
    run = Record(tmp_path)
    assert (run.config, run.receipt, run.status, run.choices) == ({}, {}, "unknown", {})
    assert [row["images"] for row in run.rows] == [1, 2] and run.series("x") == [(1, 0.5)]
    assert run.images == 2


def test_runs_are_found_once_at_any_depth(tmp_path: Path) -> None:
    for name in ("b/two", "a/one", "a/three"):
        (tmp_path / name / "samples").mkdir(parents=True)
        for file in ("config.yaml", "run.json"):
            (tmp_path / name / file).touch()
    found = find([tmp_path, tmp_path / "a", tmp_path / "a" / "one"])
    assert [str(run.folder.relative_to(tmp_path)) for run in found] == ["a/one", "a/three", "b/two"]
    for wrong, told in ((tmp_path / "c", "no such folder"), (tmp_path / "a/one/samples", "no run in it")):
        with pytest.raises(UserError, match=told):
            find([wrong])
