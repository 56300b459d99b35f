"""What is no part of the package is trained, resumed, sampled and scored like what is: one file, one YAML."""

from pathlib import Path

import numpy as np
import pytest
from conftest import Verb, asked_to_stop, verb
from outside_runs import CONFIG_DIR, FEW, SYSTEMS, join

from ganexp.runs.bitwise import differences
from ganexp.system.signals import Stopped

STEPS = "max_steps=12"
ONE_FOR_ALL = ["game=unrolled", "augment=ada", "penalties=[seeking,lecam]"]
IN_TWO = ["device=cpu", "device.count=2"]


@pytest.fixture(autouse=True)
def joined(monkeypatch: pytest.MonkeyPatch) -> None:
    join(monkeypatch)


def refused(capfd: pytest.CaptureFixture[str], module: str) -> None:
    """One line, which names a class of the module and what to add."""
    (line,) = capfd.readouterr().err.splitlines()
    assert f"would run {module}." in line or f"would run {SYSTEMS['waves'].module}." in line
    assert line.endswith(": if you trust that code, add trust=true")


def resumed_like_one_left_alone(train: Verb, *overrides: str) -> tuple[Path, Path]:
    """Stopped twice; gone on with by ``resume``, and by the same command, which needs no trust."""
    whole = train(*CONFIG_DIR, *FEW, *overrides, STEPS, name="whole")
    with asked_to_stop(after=5), pytest.raises(Stopped):
        train(*CONFIG_DIR, *FEW, *overrides, STEPS, name="cut")
    (cut,) = (whole.parents[1] / "cut").iterdir()
    with asked_to_stop(after=3), pytest.raises(Stopped):
        train(f"resume={cut}", "trust=true", name="cut")
    train(*CONFIG_DIR, *FEW, *overrides, STEPS, name="cut")
    return whole, cut


@pytest.mark.parametrize("name", SYSTEMS)
def test_resumed_bit_for_bit(name: str, train: Verb, capfd: pytest.CaptureFixture[str]) -> None:
    whole, cut = resumed_like_one_left_alone(train, *SYSTEMS[name].overrides)
    assert list(differences(whole, cut)) == []
    capfd.readouterr()
    with pytest.raises(SystemExit) as ended:
        train(f"resume={cut}", "max_steps=13", name="cut")
    assert ended.value.code == 2
    refused(capfd, SYSTEMS[name].module)


@pytest.mark.parametrize("name", SYSTEMS)
def test_sampled_and_scored(
    name: str, train: Verb, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    system = SYSTEMS[name]
    run = train(*CONFIG_DIR, *FEW, *system.overrides, "max_steps=2")
    for form in ("grid", "npz", "files"):
        verb(monkeypatch, tmp_path, "sample", f"run={run}", "trust=true", "n=6", f"format={form}", "out=made")
    assert (tmp_path / "made.png").is_file()
    (samples,) = (value for key, value in np.load(tmp_path / "made.npz").items() if key != "labels")
    assert {file.suffix for file in (tmp_path / "made").iterdir()} == {f".{system.file_type}"}
    assert len(samples) == 6 == len(list((tmp_path / "made").iterdir()))
    capfd.readouterr()
    scored = ["evaluate", f"run={run}", "features=pixels", "metrics=[fid]", "count=20", "checks=null"]
    verb(monkeypatch, tmp_path, *scored, "trust=true")
    assert "fid_pixels" in capfd.readouterr().out
    for reader in (scored, ["sample", f"run={run}"]):
        with pytest.raises(SystemExit) as ended:
            verb(monkeypatch, tmp_path, *reader)
        assert ended.value.code == 2
        refused(capfd, system.module)


def test_in_two_processes(train: Verb) -> None:
    run = train(*CONFIG_DIR, *FEW, *SYSTEMS["unrolled"].overrides, *ONE_FOR_ALL, *IN_TWO, "max_steps=2")
    assert "2 x cpu" in (run / "run.json").read_text()


@pytest.mark.slow
@pytest.mark.parametrize("name", SYSTEMS)
def test_resumed_bit_for_bit_in_two_processes(name: str, train: Verb, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ganexp.distributed.stop_sync._MAX_STEPS", 1)  # each step asks whether to stop
    assert list(differences(*resumed_like_one_left_alone(train, *SYSTEMS[name].overrides, *IN_TWO))) == []
