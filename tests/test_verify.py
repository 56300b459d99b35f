"""``ganexp verify`` finds the same weights again, and says what differs where it does not."""

import json
from pathlib import Path
from typing import Any

import pytest
from conftest import TINY, Verb, verb

from ganexp.runs.manifest import Manifest


def told(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], *overrides: str
) -> tuple[int, str]:
    """Exit status and output of ``ganexp verify``."""
    capfd.readouterr()
    try:
        verb(monkeypatch, Path.cwd(), "verify", *overrides)
    except SystemExit as ended:
        return int(ended.code or 0), "".join(capfd.readouterr())
    return 0, capfd.readouterr().out


def altered(folder: Path, *path: str, value: Any) -> None:
    """Writes something else into the receipt."""
    content = Manifest(folder / "run.json").content
    node = content
    for key in path[:-1]:
        node = node[key]
    node[path[-1]] = value
    (folder / "run.json").write_text(json.dumps(content))


def test_the_same(train: Verb, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    folder = train(*TINY, "loss=wgan_gp", "epochs=4")
    assert set(Manifest(folder / "run.json").content["weights"]) == {"0", "1", "10", "100"}
    before = {file: file.stat().st_mtime_ns for file in folder.rglob("*")}
    status, text = told(monkeypatch, capfd, f"run={folder}", "steps=100")
    assert status == 0 and text.count(": the same (") == 4 and "finished, 7,232 images" in text
    assert "input differs" not in text
    assert before == {file: file.stat().st_mtime_ns for file in folder.rglob("*")}, "it only looks"


def test_a_resumed_run_is_still_verified_from_its_beginning(
    train: Verb, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = train(*TINY, "epochs=1")
    train(f"resume={folder}", "epochs=4")
    status, text = told(monkeypatch, capfd, f"run={folder}", "steps=100")
    assert status == 0 and "weights after 100 steps: the same" in text


@pytest.mark.parametrize("changed", ["seed", "data", "lr"])
def test_another_configuration_is_named(
    train: Verb, changed: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = train(*TINY, "epochs=1")
    file = folder / "config.yaml"
    old, new = {
        "seed": ("seed: 0", "seed: 1"),
        "data": ("resolution: 8", "resolution: 7"),
        "lr": ("lr: 0.0002", "lr: 0.0003"),
    }[changed]
    text = file.read_text()
    if changed == "data":
        text = text.replace("- 8\n", "- 7\n")
    file.write_text(text.replace(old, new))
    status, text = told(monkeypatch, capfd, f"run={folder}")
    assert status == 1 and "input differs: config " in text and "weights after 1 step: different" in text
    assert ("weights after 0 steps: the same" in text) == (changed == "lr")
    assert ("input differs: seed 0 -> 1" in text) == (changed == "seed")
    assert ("input differs: data.fingerprint" in text) == (changed == "data")


def test_another_version_is_named(
    train: Verb, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = train(*TINY, "epochs=1")
    altered(folder, "versions", "torch", value="2.11.0")
    altered(folder, "weights", "10", value="0" * 64)
    status, text = told(monkeypatch, capfd, f"run={folder}")
    assert status == 1 and "input differs: versions.torch 2.11.0 -> " in text
    assert "weights after 1 step: the same" in text and "weights after 10 steps: different" in text


def test_no_input_differs(
    train: Verb, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = train(*TINY, "epochs=1")
    altered(folder, "weights", "1", value="0" * 64)
    status, text = told(monkeypatch, capfd, f"run={folder}")
    assert status == 1 and "all inputs in run.json are the same" in text


def test_a_receipt_without_hashes(
    train: Verb, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = train(*TINY, "epochs=1")
    altered(folder, "weights", value={})
    status, text = told(monkeypatch, capfd, f"run={folder}")
    assert status == 2 and "holds no hashes of weights" in text


def test_two_runs_side_by_side(
    train: Verb, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    one, two, other = (
        train(*TINY, "epochs=1", f"seed={seed}", name=f"n{i}") for i, seed in enumerate((1, 1, 2))
    )
    assert told(monkeypatch, capfd, f"run={one}", f"against={two}")[0] == 0
    status, text = told(monkeypatch, capfd, f"run={one}", f"against={other}")
    assert status == 1 and "last.pt: /game/generator." in text and "samples/epoch_0001.png" in text


def test_a_run_that_went_back_is_verified_from_its_beginning(
    train: Verb, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    limits = ["sentinel.action=rollback", "sentinel.rate=1e-5", "sentinel.every=5", "sentinel.gradient=0"]
    folder = train(*TINY, "loss=lsgan", "optim=sgd", "optim.lr=1e4", *limits, "epochs=4")
    assert "rollback 1 of 3" in capfd.readouterr().out
    status, text = told(monkeypatch, capfd, f"run={folder}", "steps=10")
    assert "weights after 1 step: the same" in text
    assert status == 0 or "weights after 10 steps: different" in text


def test_two_runs_of_which_one_is_damaged(
    train: Verb, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    one, two = (train(*TINY, "epochs=1", name=name) for name in ("one", "two"))
    (two / "metrics.jsonl").write_text("{")
    status, text = told(monkeypatch, capfd, f"run={one}", f"against={two}")
    assert status == 2 and "metrics.jsonl cannot be read" in text
    (two / "checkpoints/last.pt").unlink()
    status, text = told(monkeypatch, capfd, f"run={one}", f"against={two}")
    assert status == 2 and "last.pt is not there" in text
