"""Runs on disk are read whatever state they are in."""

import json
from pathlib import Path

import pytest
from conftest import TINY, Verb

from ganexp.cli.runs import facts
from ganexp.errors import UserError
from ganexp.runs import saved_run
from ganexp.runs.saved_run import SavedRun, find_runs


def test_a_run_is_read_as_it_was_written(train: Verb) -> None:
    folder = train(*TINY, "epochs=2", "optim.lr=3e-4")
    (run,) = find_runs(["outputs"])
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
    run = SavedRun(tmp_path)
    assert (run.config, run.manifest, run.status, run.choices) == ({}, {}, "unknown", {})
    assert [row["images"] for row in run.rows] == [1, 2] and run.series("x") == [(1, 0.5)]
    assert run.images == 2


def test_of_a_long_run_the_last_rows_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [{"epoch": n, "images": n, **({"score/fid": n / 2} if n % 5 == 0 else {})} for n in range(1, 1001)]
    (tmp_path / "metrics.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    (tmp_path / "config.yaml").write_text("a: 1")
    monkeypatch.setattr(saved_run, "_TAIL", 400)
    run = SavedRun(tmp_path)
    assert 5 < len(run.last_rows) < 20 and run.last_rows == rows[-len(run.last_rows) :]
    found = facts(run)
    assert found["images"] == 1000 and found["epoch"] == 1000 and found["fid"] == 500
    assert "rows" not in vars(run), "the whole file was not read"
    assert len(run.rows) == 1000


def test_runs_are_found_once_at_any_depth(tmp_path: Path) -> None:
    for name in ("b/two", "a/one", "a/three"):
        (tmp_path / name / "samples").mkdir(parents=True)
        for file in ("config.yaml", "run.json"):
            (tmp_path / name / file).touch()
    found = find_runs([tmp_path, tmp_path / "a", tmp_path / "a" / "one"])
    assert [str(run.folder.relative_to(tmp_path)) for run in found] == ["a/one", "a/three", "b/two"]
    for wrong, told in ((tmp_path / "c", "no such folder"), (tmp_path / "a/one/samples", "no run in it")):
        with pytest.raises(UserError, match=told):
            find_runs([wrong])
