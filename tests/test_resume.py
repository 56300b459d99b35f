"""Going on where it was, from within an epoch too: the same bits as a run that nobody stopped."""

import json
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import ENVIRONMENT, OF_GAME, TINY, WITHOUT_LOSS, Verb, asked_to_stop, verb
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from ganexp.config.targets import conf_folder
from ganexp.data.store import MemoryMap
from ganexp.runs.bitwise import TIMES, differences
from ganexp.runs.manifest import Manifest, status_of
from ganexp.system import tensor_file
from ganexp.system.signals import Stopped
from ganexp.training import experiment_data

LOSSES = sorted(file.stem for file in (conf_folder() / "loss").glob("*.yaml") if file.stem != "none")
OTHERS = {"none", "r1_lazy", "path_length"}  # the last needs styles: test_stylegan2_runs.py
PENALTIES = sorted({file.stem for file in (conf_folder() / "penalties").glob("*.yaml")} - OTHERS)
GAMES = sorted(file.stem for file in (conf_folder() / "game").glob("*.yaml"))
CASES = {
    **{f"loss={loss}": [f"loss={loss}"] for loss in LOSSES},
    **{f"penalties={p}, lazy": ["loss=hinge", f"penalties={p}", f"penalties.{p}.every=3"] for p in PENALTIES},
    **{
        f"game={game}": ["loss=none" if game in WITHOUT_LOSS else "loss=lsgan", f"game={game}"]
        for game in GAMES
    },
    "mirrored, dropout, linear schedule, SGD": [
        "data.mirror=true",
        "arch.discriminator.dropout=0.3",
        "schedule=linear",
        "optim=sgd",
    ],
    "points": ["data=ring", "data.count=1000"],
}


def curves(folder: Path) -> dict[str, list[tuple[int, float]]]:
    board = EventAccumulator(str(folder), size_guidance={"scalars": 0})
    board.Reload()
    tags = set(board.Tags()["scalars"]) - {*TIMES}
    return {tag: [(point.step, point.value) for point in board.Scalars(tag)] for tag in tags}


def rows(folder: Path) -> list[str]:
    file = folder / "metrics.jsonl"
    return file.read_text().splitlines() if file.is_file() else []


@pytest.mark.parametrize("case", CASES)
def test_stopped_within_an_epoch(case: str, train: Verb) -> None:
    game = case.removeprefix("game=")
    base = OF_GAME.get(game, TINY)
    overrides = [*(base if "data=ring" not in CASES[case] else ["arch.generator.widths=[8]"]), *CASES[case]]
    overrides.append("epochs=3")
    whole = train(*overrides, name="whole")
    with asked_to_stop(after=20), pytest.raises(Stopped):
        train(*overrides, name="cut")
    (cut,) = (whole.parents[1] / "cut").iterdir()
    assert status_of(cut) == "interrupted"
    with asked_to_stop(after=9), pytest.raises(Stopped):
        train(f"resume={cut}", name="cut")
    train(*overrides, name="cut")
    assert list(differences(whole, cut)) == []
    assert curves(whole) == curves(cut), "TensorBoard has no gap, no repeat"
    assert Manifest(cut / "run.json").content["sessions"] == 3


def test_with_batches_fetched_ahead_from_disk(train: Verb, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(experiment_data, "store", MemoryMap)
    whole = train(*TINY, "epochs=2", "data.mirror=true", name="whole")
    with asked_to_stop(after=13), pytest.raises(Stopped):
        train(*TINY, "epochs=2", "data.mirror=true", name="cut")
    cut = train(*TINY, "epochs=2", "data.mirror=true", name="cut")
    assert list(differences(whole, cut)) == []


def test_a_sweep_that_died(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sweep = ["-m", *TINY, "loss=gan,wgan_gp", "epochs=2"]
    verb(monkeypatch, tmp_path, "train", *sweep, "name=whole")
    with asked_to_stop(after=75, number=signal.SIGINT), pytest.raises(Stopped):
        verb(monkeypatch, tmp_path, "train", *sweep, "name=cut")
    assert len(list((tmp_path / "outputs/cut").glob("*/run.json"))) == 2, "the second had begun"
    verb(monkeypatch, tmp_path, "train", *sweep, "name=cut")
    for whole in (tmp_path / "outputs/whole").glob("*/"):
        if (whole / "run.json").is_file():
            assert list(differences(whole, tmp_path / "outputs/cut" / whole.name)) == []


def test_numpys_and_pythons_random_numbers_go_on_too(train: Verb, monkeypatch: pytest.MonkeyPatch) -> None:
    """A loss or a penalty of somebody's own may draw from them."""
    import random

    import numpy as np

    from ganexp.games.gan import GAN

    real = GAN.latents

    def shifted(game: GAN, batch: Any) -> torch.Tensor:
        return real(game, batch) + random.random() + float(np.random.rand()) + float(np.random.normal())

    monkeypatch.setattr(GAN, "latents", shifted)
    whole = train(*TINY, "epochs=2", name="whole")
    with asked_to_stop(after=11), pytest.raises(Stopped):
        train(*TINY, "epochs=2", name="cut")
    cut = train(*TINY, "epochs=2", name="cut")
    assert list(differences(whole, cut)) == []


def test_preparing_data_draws_none_of_the_trainings_numbers(
    train: Verb, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A library drew one of Python's when it was imported, which only the first run on a set did."""
    import random

    import numpy as np

    from ganexp.data.digits import Digits

    cached = train(*TINY, "max_steps=2", name="cached")
    real = Digits.load

    def drawing(source: Digits) -> Any:
        random.random(), np.random.rand(), torch.rand(1)
        return real(source)

    monkeypatch.setattr(Digits, "load", drawing)
    assert list(differences(cached, train(*TINY, "max_steps=2", name="drawn"))) == []


def test_checkpoints_by_the_minute_change_nothing(train: Verb) -> None:
    whole = train(*TINY, "epochs=2", name="whole")
    often = train(*TINY, "epochs=2", "checkpoint.every.minutes=1e-9", "checkpoint.keep=null", name="often")
    assert list(differences(whole, often)) == []
    assert len(list((often / "checkpoints").glob("step_*.pt"))) == 56, "one after each of the 57 steps"


def test_checkpoints_every_second_epoch(train: Verb) -> None:
    folder = train(*TINY, "epochs=5", "checkpoint.every.epochs=2", "checkpoint.keep=null")
    names = sorted(file.name for file in (folder / "checkpoints").iterdir())
    assert [re.sub(r"step_\d+_", "", name) for name in names] == ["last.pt", "epoch_0002.pt", "epoch_0004.pt"]


def test_records_that_came_after_the_checkpoint_come_again(train: Verb) -> None:
    """Stopped dead in the fourth epoch, with a checkpoint of the second and the records of three."""
    overrides = [*TINY, "epochs=5", "checkpoint.every.epochs=2"]
    whole = train(*overrides, name="whole")
    with pytest.MonkeyPatch.context() as patch, pytest.raises(SystemExit):
        patch.setattr("ganexp.runs.run.Run.should_save", lambda run: len(rows(run.folder)) == 3 and 1 / 0)
        train(*overrides, name="cut")
    (cut,) = (whole.parents[1] / "cut").iterdir()
    assert len(rows(cut)) == 3
    train(*overrides, name="cut")
    assert list(differences(whole, cut)) == [] and curves(whole) == curves(cut)


def test_asked_to_stop_in_its_last_step_a_sweep_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with asked_to_stop(after=29), pytest.raises(Stopped):
        verb(monkeypatch, tmp_path, "train", "-m", *TINY, "seed=1,2", "epochs=1", "name=sweep")
    (first,) = (tmp_path / "outputs/sweep").glob("*/run.json")
    assert status_of(first.parent) == "finished"


def test_nothing_of_a_run_that_never_saved_remains(train: Verb) -> None:
    """Killed after its first epoch's records, before its first checkpoint: it begins anew."""
    whole = train(*TINY, "epochs=2", name="whole")
    again = train(*TINY, "epochs=1", name="again")
    shutil.rmtree(again / "checkpoints")
    note = json.loads((again / "run.json").read_text())
    (again / "run.json").write_text(json.dumps(note | {"status": "running", "saved": 0}))
    train(*TINY, "epochs=2", name="again")
    assert list(differences(whole, again)) == [] and curves(whole) == curves(again)
    assert len(list(again.glob("events.out.tfevents.*"))) == 1


def test_a_run_whose_checkpoints_are_gone_is_not_begun_anew(
    train: Verb, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = train(*TINY, "epochs=2")
    (folder / "checkpoints").rename(folder / "elsewhere")
    with pytest.raises(SystemExit) as ended:
        train(*TINY, "epochs=3")
    assert ended.value.code == 2
    assert "has no checkpoint, but run.json records one at 3,648 images" in capfd.readouterr().err
    assert len(rows(folder)) == 2 and list(folder.glob("events.out.tfevents.*"))


def test_damaged_lines_of_metrics_are_told_and_kept(train: Verb, capfd: pytest.CaptureFixture[str]) -> None:
    folder = train(*TINY, "epochs=3")
    first, _, third = rows(folder)
    (folder / "metrics.jsonl").write_text(f'{first}\n{{"epo\n{third}\n')
    train(f"resume={folder}", "epochs=4")
    assert "warning: 1 lines of" in capfd.readouterr().out and len(rows(folder)) == 3
    assert (folder / "metrics.damaged.jsonl").read_text() == f'{first}\n{{"epo\n{third}\n'


def test_killed_after_its_last_checkpoint_a_run_is_finished(train: Verb) -> None:
    folder = train(*TINY, "epochs=1")
    file = folder / "run.json"
    file.write_text(file.read_text().replace('"finished"', '"running"'))
    train(*TINY, "epochs=1")
    assert status_of(folder) == "finished"


def test_a_change_of_machine_is_told(train: Verb, capfd: pytest.CaptureFixture[str]) -> None:
    folder = train(*TINY, "epochs=1")
    file = folder / "run.json"
    file.write_text(file.read_text().replace("1 threads", "64 threads"))
    train(f"resume={folder}", "epochs=2")
    assert "no longer bit for bit: cpu (x86_64, 64 threads) -> cpu (x86_64, 1 thread" in capfd.readouterr().out


def test_a_killed_process_is_not_shown_as_running(train: Verb, capfd: pytest.CaptureFixture[str]) -> None:
    from filelock import FileLock

    folder = train(*TINY, "epochs=1")
    file = folder / "run.json"
    file.write_text(file.read_text().replace('"finished"', '"running"'))  # as a killed process leaves it
    assert status_of(folder) == "interrupted"
    with FileLock(folder / ".lock"):
        assert status_of(folder) == "running"
    train(f"resume={folder}", "epochs=2")
    assert "the previous process of this run was killed: going on from image 1,856" in capfd.readouterr().out


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_asked_to_stop_in_a_process_of_its_own(tmp_path: Path, number: int, status: int) -> None:
    process = begun(tmp_path)
    process.send_signal(number)
    told, errors = process.communicate(timeout=60)
    (folder,) = (tmp_path / "outputs/run").iterdir()
    assert process.returncode == status
    assert re.search(
        rf"interrupted: resume=outputs/run/{re.escape(folder.name)} goes on from image [1-9]", told
    )
    assert "saving after this step" in errors and "Traceback" not in errors
    note = Manifest(folder / "run.json").content
    assert note["status"] == "interrupted" and note["reason"] == signal.Signals(number).name
    assert f"from image {note['images']:,}" in told, "the very step that it ended with is saved"


def test_a_second_signal_ends_it_at_once(tmp_path: Path) -> None:
    process = begun(tmp_path, "batch_size=4000", "arch.generator.widths=[4000,4000,4000]")  # steps of seconds
    process.send_signal(signal.SIGTERM)
    time.sleep(0.3)
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=60)
    (folder,) = (tmp_path / "outputs/run").iterdir()
    assert process.returncode == 143 and "Traceback" not in errors
    assert not (folder / "checkpoints/last.pt").exists(), "it did not wait for the step"
    assert status_of(folder) == "interrupted"


def begun(folder: Path, *overrides: str) -> "subprocess.Popen[str]":
    """A long run in a process of its own, that has come to its first step."""
    process = subprocess.Popen(
        [sys.executable, "-m", "ganexp", "train", *TINY, "epochs=100000", "name=run", *overrides],
        cwd=folder,
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 120
    while not list(folder.glob("outputs/run/*/run.json")) and time.monotonic() < deadline:
        time.sleep(0.01)
    return process


@pytest.mark.parametrize("shape", [(0,), (), (3, 1000)])
def test_an_optimiser_of_another_shape_is_refused(train: Verb, shape: tuple[int, ...]) -> None:
    """torch's fused Adam does not look: with an empty tensor it ends the process with SIGSEGV."""
    run = train(*TINY, "max_steps=2")
    file = run / "checkpoints/last.pt"
    content = tensor_file.read(file)
    content["optimisers"]["g"]["state"][1]["exp_avg_sq"] = torch.zeros(shape)
    tensor_file.save_tensors(content, file)
    with pytest.raises(SystemExit) as ended:
        train(f"resume={run}", "max_steps=4")
    assert ended.value.code == 2
