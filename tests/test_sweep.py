"""Sweeps: what is done is left alone, a failure stops nobody else, several at a time end as one at a time."""

import json
import os
import re
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import TINY, asked_to_stop, composed, runs_in, started, until, verb
from filelock import FileLock

from ganexp.runs.bitwise import differences
from ganexp.runs.manifest import status_of
from ganexp.runs.saved_run import SavedRun
from ganexp.sweeps.choice_sweep import as_choice_sweep
from ganexp.sweeps.process_pool import config_flags, slot_environment
from ganexp.sweeps.sweep import is_done
from ganexp.system.signals import Stopped

LOCAL = ["hydra/launcher=local", "hydra.launcher.slots=2"]
LONG = [*TINY, "device=cpu", "seed=1,2,3"]


def sessions(run: Path) -> int:
    found: int = json.loads((run / "run.json").read_text())["sessions"]
    return found


def test_all_members_are_checked_before_the_first_begins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = ["-m", *TINY[:4], "evaluate.every=null", "data.resolution=8,4", "max_steps=1", "name=s"]
    with pytest.raises(SystemExit):
        verb(monkeypatch, tmp_path, "train", *arguments, "+penalties.no={_target_:no_such_module.Penalty}")
    assert not (tmp_path / "outputs").exists()


@pytest.mark.parametrize("launcher", [[], LOCAL], ids=["one after another", "side by side"])
def test_a_failure_stops_nobody_else(
    launcher: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    settings = ["recipe=none", "data.resolution=33,16", "max_steps=1", "name=s", "evaluate.every=null"]
    with pytest.raises(SystemExit) as ended:
        verb(monkeypatch, tmp_path, "train", "-m", *launcher, *settings)
    assert ended.value.code == 1
    told = capfd.readouterr()
    assert re.search(r"resolution-33 +missing", told.out) and re.search(r"resolution-16 +finished", told.out)
    assert "2 runs: 1 missing, 1 finished" in told.out
    assert "data.resolution=33: arch=dcgan makes" in told.err
    assert "resolution-33 did not finish: " in told.err or not launcher
    assert "1 of the sweep's runs did not finish" in told.err
    folders = [path.name for path in (tmp_path / "outputs/s").iterdir() if path.is_dir()]
    assert folders == ["recipe-none+resolution-16"]


def test_the_same_line_again_runs_only_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    first = ["train", "-m", *TINY, "epochs=1", "name=s"]
    verb(monkeypatch, tmp_path, *first, "seed=1,2")
    capfd.readouterr()
    verb(monkeypatch, tmp_path, *first, "seed=1,2,3")
    told = capfd.readouterr().out
    assert "3 runs, 2 of them done already" in told and told.count("is done already") == 2
    assert [sessions(run) for run in runs_in(tmp_path / "outputs/s")] == [1, 1, 1]
    verb(monkeypatch, tmp_path, "train", "-m", *TINY, "epochs=2", "name=s", "seed=1,2,3")
    assert [sessions(run) for run in runs_in(tmp_path / "outputs/s")] == [2, 2, 2], "longer runs go on"


def test_what_is_done(train: Callable[..., Path]) -> None:
    folder = train(*TINY, "epochs=1", "sentinel.action=stop")
    assert is_done(folder, composed(*TINY, "epochs=1"))
    assert not is_done(folder, composed(*TINY, "epochs=2"))
    assert not is_done(folder, composed(*TINY, "epochs=1", "seed=7"))
    assert not is_done(folder / "samples", composed(*TINY, "epochs=1"))
    receipt = json.loads((folder / "run.json").read_text())
    for status, done in (("diverged", True), ("failed", False), ("interrupted", False), ("running", False)):
        (folder / "run.json").write_text(json.dumps(receipt | {"status": status}))
        assert is_done(folder, composed(*TINY, "epochs=1", "sentinel.action=stop")) == done
        assert not is_done(folder, composed(*TINY, "epochs=1", "sentinel.action=rollback")), "another ending"


def test_two_sweeps_of_one_name_keep_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "outputs/s").mkdir(parents=True)
    with FileLock(tmp_path / "outputs/s/.sweep.lock"), pytest.raises(SystemExit) as ended:
        verb(monkeypatch, tmp_path, "train", "-m", *TINY, "epochs=1", "seed=1,2", "name=s")
    assert ended.value.code == 2
    assert "another process runs a sweep in outputs/s" in capfd.readouterr().err
    assert not runs_in(tmp_path / "outputs/s")


def test_side_by_side_is_the_same_bit_for_bit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    line = ["train", "-m", *TINY, "device=cpu", "loss=gan,wgan_gp", "epochs=2"]
    verb(monkeypatch, tmp_path, *line, "name=one")
    capfd.readouterr()
    verb(monkeypatch, tmp_path, *line, *LOCAL, "name=two")
    told = capfd.readouterr().out
    assert "started in slot 1 of 2" in told and "started in slot 2 of 2" in told and "2 finished" in told
    for run in runs_in(tmp_path / "outputs/one"):
        other = tmp_path / "outputs/two" / run.name
        assert list(differences(run, other)) == []
        assert "finished 3,648 images" in other.with_name(f"{other.name}.log").read_text()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_all_and_the_same_line_goes_on(tmp_path: Path, number: int) -> None:
    process = started(tmp_path, "train", "-m", *LONG, *LOCAL, "name=s", "epochs=100000", start_new_session=True)
    folder = tmp_path / "outputs/s"
    until(lambda: len(list(folder.glob("*/checkpoints/last.pt"))) == 2)
    members = [json.loads((run / "run.json").read_text())["process"]["pid"] for run in runs_in(folder)]
    assert [os.getsid(member) for member in members] == members, "a terminal's Ctrl-C reaches them once"
    os.killpg(process.pid, number)
    out, errors = process.communicate(timeout=120)
    assert process.returncode == 128 + number and "Traceback" not in errors
    assert "2 interrupted" in out and "1 missing" in out
    receipts = {run: json.loads((run / "run.json").read_text()) for run in runs_in(folder)}
    at = {run: receipt["saved"] for run, receipt in receipts.items()}
    assert all(receipt["saved"] == receipt["images"] for receipt in receipts.values()), "each heard it once"
    assert [status_of(run) for run in at] == ["interrupted"] * 2
    epochs = max(at.values()) // 1797 + 2
    done = started(tmp_path, "train", "-m", *LONG, *LOCAL, "name=s", f"epochs={epochs}")
    out, errors = done.communicate(timeout=300)
    assert done.returncode == 0 and "3 finished" in out, errors
    assert [sessions(run) for run in at] == [2, 2] and len(runs_in(folder)) == 3


def test_a_sweep_that_is_killed_takes_its_runs_with_it(tmp_path: Path) -> None:
    """SIGKILL gives it no time to say anything: its runs notice, save and stop."""
    process = started(tmp_path, "train", "-m", *LONG, *LOCAL, "name=s", "epochs=100000")
    folder = tmp_path / "outputs/s"
    until(lambda: len(list(folder.glob("*/checkpoints/last.pt"))) == 2)
    process.kill()
    process.communicate()
    until(lambda: [status_of(run) for run in runs_in(folder)] == ["interrupted"] * 2)
    receipts = [json.loads((run / "run.json").read_text()) for run in runs_in(folder)]
    assert [receipt["reason"] for receipt in receipts] == ["SIGTERM"] * 2


def test_a_slots_share(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,6")
    assert [slot_environment(slot, 3)["CUDA_VISIBLE_DEVICES"] for slot in range(3)] == ["4", "6", "4"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    assert slot_environment(0, 3) == {"OMP_NUM_THREADS": "2"} and slot_environment(0, 20) == {
        "OMP_NUM_THREADS": "1"
    }
    monkeypatch.setenv("OMP_NUM_THREADS", "5")
    assert slot_environment(0, 3) == {}, "what the user has set stays"


def test_no_slots(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from ganexp.config.messages import explain

    with pytest.raises(BaseException) as ended:
        verb(monkeypatch, tmp_path, "train", "-m", *TINY, "seed=1,2", LOCAL[0], "hydra.launcher.slots=0")
    assert explain(ended.value)[0] == "hydra.launcher.slots=0: should be a whole number, at least 1"


def test_a_schedulers_warning_is_handed_on_once_the_run_is_saved(
    train: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever waits for SIGUSR2 would queue the job again; without anybody, it is no signal of ours."""
    folder = Path("outputs/run")
    saved = []

    def scheduler(number: int, frame: object) -> None:
        (run,) = runs_in(folder)
        saved.append((status_of(run), json.loads((run / "run.json").read_text())["saved"]))

    before = signal.signal(signal.SIGUSR2, scheduler)
    try:
        with asked_to_stop(after=40, number=signal.SIGUSR2), pytest.raises(Stopped):
            train(*TINY, "epochs=3")
    finally:
        signal.signal(signal.SIGUSR2, before)
    assert saved == [("interrupted", 40 * 64)]
    whole = train(*TINY, "epochs=3", name="whole")
    assert list(differences(whole, train(*TINY, "epochs=3"))) == []


def test_settings_that_only_the_members_have(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The default data would choose another architecture, and have no count."""
    settings = ["data.count=500", "arch.generator.widths=[8,8]", "evaluate.every=null", "epochs=1"]
    verb(monkeypatch, tmp_path, "train", "-m", "data=ring,grid", *settings, "name=s")
    found = runs_in(tmp_path / "outputs/s")
    assert len(found) == 2 and all("count-500" in run.name for run in found)
    for run in found:
        config = SavedRun(run).config
        assert config["data.count"] == 500 and config["arch.generator.widths"] == [8, 8]


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("arch.generator.widths=[8,8]", "arch.generator.widths=choice([8,8])"),
        ("data.root='a b, c'", "data.root=choice('a b, c')"),
        ("optim.lr=1e-3,1e-4", "optim.lr=1e-3,1e-4"),
        ("optim.lr=range(1,3)", "optim.lr=range(1,3)"),
        ("evaluate.every=5", "evaluate.every=5"),
        ("loss=gan", "loss=gan"),
        ("+loss.more=1", "+loss.more=1"),
        ("hydra.launcher.slots=2", "hydra.launcher.slots=2"),
        ("data.root=[", "data.root=["),
    ],
)
def test_what_is_said_to_each_member(said: str, meant: str) -> None:
    assert as_choice_sweep(said, frozenset({"arch", "data", "optim", "loss"})) == meant


def test_where_configurations_are_found_is_handed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    for said, meant in {
        "": [],
        "-m seed=1,2": [],
        "--config-dir mine seed=1": ["--config-dir", "mine"],
        "-m -cd mine": ["-cd", "mine"],
        "--config-dir=mine hydra.searchpath=[file://x]": ["--config-dir=mine", "hydra.searchpath=[file://x]"],
    }.items():
        monkeypatch.setattr(sys, "argv", ["ganexp", *said.split()])
        assert config_flags() == meant
