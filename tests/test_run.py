"""A run from end to end: what its folder holds, and that it goes on where it was."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import ENVIRONMENT, TINY, Verb, command, composed, verb
from omegaconf import OmegaConf
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from ganexp.config.stored import read_run
from ganexp.data.folder import _labelled, _tree
from ganexp.data.picture import save_png
from ganexp.errors import Diverged, UserError
from ganexp.runs.bitwise import differences
from ganexp.system.tensor_file import read, save_tensors


def metrics(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def receipt(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / "run.json").read_text())
    return content


def weights(folder: Path) -> dict[str, torch.Tensor]:
    content: dict[str, torch.Tensor] = read(folder / "checkpoints/last.pt")["game"]
    return content


def assert_same(one: Path, two: Path) -> None:
    """Checkpoints, metrics and grids of two runs are equal, bit for bit."""
    assert list(differences(one, two)) == []


def events(folder: Path) -> EventAccumulator:
    board = EventAccumulator(str(folder), size_guidance={"scalars": 0, "images": 0})
    board.Reload()
    return board


def test_the_folder_says_what_happened(train: Verb, capfd: pytest.CaptureFixture[str]) -> None:
    folder = train(*TINY, "epochs=2", "loss=wgan_gp", "seed=7")
    assert folder.name.startswith("arch-mlp+") and folder.name.endswith("+resolution-8+seed-7")
    cfg = read_run(str(folder), trust=False)
    assert (cfg.seed, cfg.epochs, cfg.data.resolution) == (7, 2, 8)
    assert "${" not in (folder / "config.yaml").read_text()
    note = receipt(folder)
    assert note["status"] == "finished" and note["seed"] == 7 and note["sessions"] == 1
    assert note["device"].startswith("cpu") and len(note["data"]["fingerprint"]) == 64
    assert note["images"] == 57 * 64 and note["images_per_second"] > 0 and note["seconds"] > 0
    assert note["versions"]["torch"] == torch.__version__.split("+")[0] and note["end"] >= note["start"]
    rows = metrics(folder)
    assert [row["epoch"] for row in rows] == [1, 2]
    assert [row["images"] for row in rows] == [29 * 64, 57 * 64], "every image once an epoch, full batches"
    for name in ("d/adversarial", "d/gradient", "d/D_x", "d/D_G_z", "d/gradient_norm", "d/lr"):
        assert name in rows[1]
    for name in ("g/adversarial", "g/gradient_norm", "g/lr", "speed/images_per_second"):
        assert name in rows[1]
    for number in (1, 2):
        assert Image.open(folder / f"samples/epoch_{number:04d}.png").size == (8 * 80 + 16, 8 * 80 + 16)
    told = capfd.readouterr().out
    assert "D(x)" not in told, "a Wasserstein critic's outputs are no probabilities"
    run = f"outputs/run/{folder.name}"
    assert told.splitlines()[-6].startswith("finished 3,648 images in ")
    assert told.splitlines()[-6].endswith(f": {run}")
    assert [re.split("  +", line) for line in told.splitlines()[-5:]] == [
        ["last grid:", f"{run}/samples/epoch_0002.png"],
        ["more samples:", f"ganexp sample run={run}"],
        ["a film of its grids:", f"ganexp film run={run}"],
        ["compare runs:", "ganexp compare outputs/run"],
        ["curves:", "tensorboard --logdir outputs"],
    ]
    log = [line.split(" ", 2)[2] for line in (folder / "train.log").read_text().splitlines()]
    assert log == told.splitlines()


def test_tensorboard_has_what_the_metrics_have(train: Verb) -> None:
    folder = train(*TINY, "epochs=2")
    board = events(folder)
    rows = metrics(folder)
    assert set(board.Tags()["scalars"]) == set(rows[0]) - {"epoch", "step", "images"}
    for name in board.Tags()["scalars"]:
        points = board.Scalars(name)
        assert [point.step for point in points] == [row["images"] for row in rows]
        assert [point.value for point in points] == pytest.approx([row[name] for row in rows])
    assert board.Tags()["images"] == ["samples"] and len(board.Images("samples")) == 2
    for epoch, shown in enumerate(board.Images("samples"), 1):
        file = folder / "samples" / f"epoch_{epoch:04d}.png"
        assert shown.encoded_image_string == file.read_bytes()
        with Image.open(file) as picture:
            assert picture.size == (shown.width, shown.height)


def test_one_row_of_hyperparameters(train: Verb) -> None:
    from tensorboard.plugins.hparams import metadata

    folder = train(*TINY, "epochs=1", "loss=lsgan")
    assert not [
        path for path in folder.iterdir() if path.is_dir() and path.name not in ("samples", "checkpoints")
    ]
    content = events(folder).summary_metadata
    tags = {tag for tag in content if content[tag].plugin_data.plugin_name == metadata.PLUGIN_NAME}
    assert metadata.SESSION_START_INFO_TAG in tags and metadata.SESSION_END_INFO_TAG in tags
    start = metadata.parse_session_start_info_plugin_data(
        content[metadata.SESSION_START_INFO_TAG].plugin_data.content
    )
    assert start.hparams["loss"].string_value == "lsgan"
    assert start.hparams["optim.lr"].number_value == 2e-4


def test_points_are_drawn_over_their_density(train: Verb) -> None:
    folder = train("data=ring", "data.count=500", "arch.generator.widths=[8]", "epochs=1")
    picture = Image.open(folder / "samples/epoch_0001.png")
    assert picture.size == (512, 512) and picture.mode == "RGB"
    colours = {colour for _, colour in picture.getcolors(1 << 20) or []}
    assert (225, 95, 0) in colours, "samples"
    darkest = np.asarray(picture).sum(2).min()
    assert darkest < 150, "modes are dark spots of the discriminator's surface"


def test_the_same_seed_gives_the_same_run_and_another_does_not(train: Verb) -> None:
    one, two, other = (
        train(*TINY, "epochs=1", f"seed={seed}", name=name) for seed, name in ((1, "a"), (1, "b"), (2, "c"))
    )
    assert_same(one, two)
    assert not torch.equal(weights(one)["generator.out.weight"], weights(other)["generator.out.weight"])
    assert "samples/epoch_0001.png" in list(differences(one, other)), "it can tell"


RESUMED = {
    "gan": ["loss=gan"],
    "wgan": ["loss=wgan"],
    "wgan_gp, lazily": ["loss=wgan_gp", "penalties.gradient.every=4"],
    "dragan, conditional": ["loss=dragan", "game=cgan"],
    "rpgan with r1 and r2": ["loss=rpgan", "penalties=[r1,r2]", "penalties.r1.every=3"],
    "dropout, cosine": ["arch.discriminator.dropout=0.3", "schedule=cosine"],
}


@pytest.mark.parametrize("case", RESUMED)
def test_a_run_that_was_stopped_goes_on_bit_for_bit(case: str, train: Verb, tmp_path: Path) -> None:
    """Stopped by an exception in the middle of the third epoch, resumed from the second one's end."""
    whole = train(*TINY, *RESUMED[case], "epochs=4", name="whole")
    cut = stopped(train, tmp_path, [*TINY, *RESUMED[case], "epochs=4"], after=70)
    assert receipt(cut)["status"] == "failed"
    train(f"resume={cut}", name="cut")
    assert receipt(cut)["status"] == "finished" and receipt(cut)["sessions"] == 2
    assert_same(whole, cut)


def stopped(train: Verb, tmp_path: Path, overrides: list[str], after: int) -> Path:
    """A run that fails after so many steps."""
    import ganexp.train as training

    step, steps = training.train_step, []

    def failing(*arguments: Any) -> None:
        steps.append(1)
        if len(steps) > after:
            raise RuntimeError("the power is gone")
        step(*arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "train_step", failing)
        with pytest.raises(SystemExit):
            train(*overrides, name="cut")
    (folder,) = (tmp_path / "outputs/cut").iterdir()
    return folder


def test_the_same_command_goes_on_too_and_then_does_nothing(
    train: Verb, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    whole = train(*TINY, "epochs=3", name="whole")
    cut = stopped(train, tmp_path, [*TINY, "epochs=3"], after=40)
    assert train(*TINY, "epochs=3", name="cut") == cut
    assert_same(whole, cut)
    capfd.readouterr()
    file = cut / "run.json"
    file.write_text(file.read_text().replace('"end": "2', '"end": "1'))  # any change of it would show
    before = file.read_bytes()
    train(*TINY, "epochs=3", name="cut")
    assert "is finished already" in capfd.readouterr().out
    assert file.read_bytes() == before


def test_tensorboard_has_no_gap_and_no_repeat_after_a_resume(train: Verb, tmp_path: Path) -> None:
    cut = stopped(train, tmp_path, [*TINY, "epochs=4"], after=70)
    train(f"resume={cut}", name="cut")
    steps = [point.step for point in events(cut).Scalars("d/adversarial")]
    assert steps == [row["images"] for row in metrics(cut)] == sorted(set(steps)) and len(steps) == 4


def test_a_longer_run_continues_a_shorter_one(train: Verb) -> None:
    whole = train(*TINY, "epochs=3", name="whole")
    short = train(*TINY, "epochs=2", name="short")
    train(f"resume={short}", "epochs=3", name="short")
    assert_same(whole, short)


def test_max_steps_ends_in_mid_epoch_and_goes_on_there(train: Verb) -> None:
    short = train(*TINY, "max_steps=10", name="short")
    assert [row["images"] for row in metrics(short)] == [640]
    train(f"resume={short}", "max_steps=35", name="short")
    assert [(row["epoch"], row["step"]) for row in metrics(short)] == [(1, 10), (1, 29), (2, 35)]
    whole = train(*TINY, "max_steps=35", name="whole")
    first, second = weights(whole), weights(short)
    assert all(torch.equal(value, second[key]) for key, value in first.items() if "extra" not in key)


def test_resume_refuses_to_change_the_run(train: Verb) -> None:
    folder = train(*TINY, "max_steps=2")
    with pytest.raises(SystemExit) as ended:
        train(f"resume={folder}", "loss=lsgan")
    assert ended.value.code == 2


def test_another_run_of_the_same_name_is_refused(train: Verb, capfd: pytest.CaptureFixture[str]) -> None:
    folder = train(*TINY, "max_steps=2")
    file = folder / "config.yaml"
    file.write_text(file.read_text().replace("lr: 0.0002", "lr: 0.1"))
    with pytest.raises(SystemExit):
        train(*TINY, "max_steps=2")
    assert "holds another run (optim differs)" in capfd.readouterr().err


@pytest.mark.parametrize("damage", [b"", b"text", None])
def test_a_damaged_checkpoint_is_told_and_left_alone(
    train: Verb, damage: bytes | None, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = train(*TINY, "max_steps=2")
    file = folder / "checkpoints/last.pt"
    content = file.read_bytes()[:-1000] if damage is None else damage
    file.write_bytes(content)
    with pytest.raises(SystemExit) as ended:
        train(f"resume={folder}", "max_steps=4")
    assert ended.value.code == 2 and "last.pt is damaged" in capfd.readouterr().err
    assert file.read_bytes() == content


def test_a_checkpoint_with_a_pickle_runs_nothing(train: Verb, tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[Any, ...]:
            return os.mkdir, (str(tmp_path / "owned"),)

    folder = train(*TINY, "max_steps=2")
    torch.save({"format": 1, "game": Evil()}, folder / "checkpoints/last.pt")
    with pytest.raises(SystemExit):
        train(f"resume={folder}", "max_steps=4")
    assert not (tmp_path / "owned").exists()


STRANGE = {
    "os.getcwd": "would run os.getcwd.*trust=true",
    "torch.nn.functional.torch.load": "would run torch.nn.functional.torch.load",
    "ganexp.nets.mlp.torch.load": "would run ganexp.nets.mlp.torch.load",
    "ganexp.cli.hydra_app.run_verb": "would run ganexp.cli.hydra_app.run_verb",
    "ganexp.data.cache.clear": "would run ganexp.data.cache.clear",
    "ganexp.data.cache.FileLock": "would run ganexp.data.cache.FileLock",
    "${oc.env:HOME}": "is damaged: it was written without",
}


@pytest.mark.parametrize("target", STRANGE)
def test_a_strangers_configuration_runs_nothing(train: Verb, target: str) -> None:
    folder = train(*TINY, "max_steps=2")
    file = folder / "config.yaml"
    file.write_text(file.read_text().replace("ganexp.losses.NonSaturating", target))
    with pytest.raises(UserError, match=STRANGE[target]):
        read_run(str(folder), trust=False)


def test_a_run_of_an_earlier_ganexp_says_what_it_lacks(train: Verb, capfd: pytest.CaptureFixture[str]) -> None:
    folder = train(*TINY, "max_steps=2")
    file = folder / "config.yaml"
    whole = file.read_text()
    file.write_text(re.sub(r"\n    dropout: 0\.0", "", whole, count=1))
    with pytest.raises(SystemExit) as ended:
        train(f"resume={folder}", "epochs=2")
    assert ended.value.code == 2
    assert "has no arch.generator.dropout, perhaps because an earlier version" in capfd.readouterr().err
    file.write_text(whole)
    train(f"resume={folder}", "max_steps=4")
    assert receipt(folder)["images"] == 4 * 64


def test_divergence_is_told_and_the_last_good_checkpoint_stays(
    train: Verb, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = train(*TINY, "optim=sgd", "loss=lsgan", "epochs=1")
    last = folder / "checkpoints/last.pt"
    good = last.read_bytes()
    cfg = folder / "config.yaml"
    cfg.write_text(cfg.read_text().replace("lr: 0.01", "lr: 1.0e+30"))
    with pytest.raises(SystemExit) as ended:
        train(f"resume={folder}", "epochs=2")
    assert ended.value.code == Diverged.status
    assert re.search(r"(is nan|is inf|is -inf) after .* images: the run diverged", capfd.readouterr().err)
    assert receipt(folder)["status"] == "diverged" and last.read_bytes() == good
    assert "the run diverged" in (folder / "train.log").read_text()


def test_killed_and_resumed_in_processes_of_their_own(tmp_path: Path) -> None:
    """SIGKILL in mid-epoch, then the same command again: the same bits as a run left alone."""
    arguments = ["train", *TINY, "epochs=60", "loss=wgan_gp", "device=cpu"]
    assert command(tmp_path, *arguments, "name=whole").returncode == 0
    process = subprocess.Popen(
        [sys.executable, "-m", "ganexp", *arguments, "name=cut"],
        cwd=tmp_path,
        env=ENVIRONMENT,
        stdout=subprocess.DEVNULL,
    )
    (whole,) = (tmp_path / "outputs/whole").iterdir()
    cut = tmp_path / "outputs/cut" / whole.name
    deadline = time.monotonic() + 120
    while not (cut / "samples/epoch_0005.png").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert receipt(cut)["status"] == "running" and len(metrics(cut)) < 60
    assert command(tmp_path, *arguments, "name=cut").returncode == 0
    assert_same(whole, cut)


def test_a_changed_length_is_remembered(train: Verb, tmp_path: Path) -> None:
    folder = train(*TINY, "epochs=1", name="cut")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "ganexp.runs.run.Run.record",
            lambda *_: (_ for _ in ()).throw(RuntimeError("the power is gone")),
        )
        with pytest.raises(SystemExit):
            train(f"resume={folder}", "epochs=3", name="cut")
    train(f"resume={folder}", name="cut")
    assert [row["epoch"] for row in metrics(folder)] == [1, 2, 3]
    assert read_run(str(folder), trust=False).resume is None


def test_changed_data_end_a_resumed_run(train: Verb, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    images = tmp_path / "images"
    images.mkdir()
    for number in range(20):
        Image.new("L", (16, 16), number).save(images / f"{number}.png")
    arguments = [*TINY, "data=folder", f"data.root={images}", "batch_size=10"]
    folder = train(*arguments, "epochs=1")
    Image.new("L", (16, 16), 99).save(images / "20.png")
    _tree.cache_clear()  # as in another process
    _labelled.cache_clear()
    with pytest.raises(SystemExit) as ended:
        train(f"resume={folder}", "epochs=2")
    assert ended.value.code == 2 and "the data have changed" in capfd.readouterr().err
    assert receipt(folder)["data"]["count"] == 20 and receipt(folder)["status"] == "finished"


def test_a_resumed_run_says_what_it_is(train: Verb, capfd: pytest.CaptureFixture[str]) -> None:
    folder = train(*TINY, "loss=wgan", "epochs=1")
    capfd.readouterr()
    train(f"resume={folder}", "epochs=2")
    assert "loss wgan" in capfd.readouterr().out
    assert receipt(folder)["choices"]["loss"] == "wgan"


def test_a_second_process_on_a_folder_is_refused(train: Verb, capfd: pytest.CaptureFixture[str]) -> None:
    from filelock import FileLock

    folder = train(*TINY, "epochs=1")
    with FileLock(folder / ".lock"), pytest.raises(SystemExit) as ended:
        train(f"resume={folder}", "epochs=2")
    assert ended.value.code == 2 and "is in use by another process" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["epochs=1,2"], "2 runs of this sweep would share the folder"),
        (["seed=1,2", "resume=x"], "resume and -m cannot be combined"),
    ],
)
def test_sweeps_that_would_fold_into_one_run_are_refused(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    arguments: list[str],
    told: str,
) -> None:
    with pytest.raises(SystemExit) as ended:
        verb(monkeypatch, tmp_path, "train", "-m", *arguments)
    assert ended.value.code == 2 and told in capfd.readouterr().err
    assert not (tmp_path / "outputs").exists()


def test_the_generator_moves_in_each_fifth_step(train: Verb, monkeypatch: pytest.MonkeyPatch) -> None:
    import ganexp.train as training

    moves: list[str] = []
    real = training.player_step

    def counting(game: Any, name: str, *rest: Any, measured: bool) -> Any:
        moves.append(name)
        return real(game, name, *rest, measured=measured)

    monkeypatch.setattr(training, "player_step", counting)
    train(*TINY, "loss=wgan", "max_steps=11")
    assert "".join(moves) == "dddddgdddddgd"


def test_the_learning_rate_follows_its_schedule(train: Verb) -> None:
    folder = train(*TINY, "epochs=4", "schedule=linear", "schedule.start=0", "optim.lr=1e-3", "optim.ttur=2")
    rates = [row["g/lr"] for row in metrics(folder)]
    assert rates == sorted(rates, reverse=True) and rates[0] > 7e-4 and rates[-1] < 2e-5
    assert [row["d/lr"] for row in metrics(folder)] == pytest.approx([2 * rate for rate in rates])


def test_damaged_records_do_not_stop_a_run(train: Verb) -> None:
    folder = train(*TINY, "epochs=2")
    with (folder / "metrics.jsonl").open("a") as stream:
        stream.write('{"epoch": 3, "ima')
    (folder / "run.json").write_text("[]")
    train(f"resume={folder}", "epochs=3")
    assert [row["epoch"] for row in metrics(folder)] == [1, 2, 3]
    assert receipt(folder)["status"] == "finished"


def test_a_reader_that_leaves_does_not_stop_a_run(tmp_path: Path) -> None:
    words = " ".join([sys.executable, "-m", "ganexp", "train", *TINY, "epochs=5", "name=run"])
    told = subprocess.run(
        ["bash", "-c", f"{words.replace('[', chr(92) + '[')} | head -1"],
        cwd=tmp_path,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
    )
    (folder,) = (tmp_path / "outputs/run").iterdir()
    assert receipt(folder)["status"] == "finished" and "Traceback" not in told.stderr


def test_a_torn_checkpoint_and_the_one_before_it(train: Verb, capfd: pytest.CaptureFixture[str]) -> None:
    whole = train(*TINY, "epochs=4", name="whole")
    torn = train(*TINY, "epochs=3", name="torn")
    last = torn / "checkpoints/last.pt"
    weight = read(last)["game"]["generator.out.weight"].numpy().tobytes()
    last.write_bytes(last.read_bytes().replace(weight, weight[:-1] + b"!"))
    capfd.readouterr()
    train(f"resume={torn}", "epochs=4", name="torn")
    told = capfd.readouterr().out
    assert "last.pt is damaged: its checksum is wrong; taking step_00000057_epoch_0002.pt, 3,648 images" in told
    assert_same(whole, torn)


def test_records_that_cannot_be_written_end_a_run_cleanly(
    train: Verb, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    whole = train(*TINY, "epochs=4", name="whole")
    written: list[Path] = []

    def full(image: Image.Image, file: Path, within: Path) -> bytes:
        written.append(file)
        if len(written) == 3:
            raise OSError(28, "No space left on device")
        return save_png(image, file, within)

    with monkeypatch.context() as patch, pytest.raises(SystemExit) as ended:
        patch.setattr("ganexp.runs.records.save_png", full)
        train(*TINY, "epochs=4", name="cut")
    assert ended.value.code == 1
    (cut,) = (whole.parents[1] / "cut").iterdir()
    assert re.search(
        r"cannot be written \(No space left on device\): make room, and resume=.* goes on from image 3,648",
        capfd.readouterr().err,
    )
    assert receipt(cut)["status"] == "failed"
    train(*TINY, "epochs=4", name="cut")
    assert_same(whole, cut)


def test_a_checkpoint_that_cannot_be_written_is_warned_of(
    train: Verb, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    calls: list[Path] = []

    def full(content: dict[str, Any], file: Path) -> None:
        calls.append(file)
        if len(calls) in (2, 3):
            raise OSError(28, "No space left on device")
        save_tensors(content, file)

    monkeypatch.setattr("ganexp.runs.checkpoints.save_tensors", full)
    folder = train(*TINY, "epochs=4")
    told = capfd.readouterr().out
    assert "warning: no checkpoint at 3,648 images: No space left on device; the one at 1,856 stays" in told
    assert receipt(folder)["status"] == "finished" and len(calls) == 4
    assert read(folder / "checkpoints/last.pt")["progress"]["images"] == receipt(folder)["images"]


def test_the_last_checkpoint_is_tried_twice(
    train: Verb, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def full(content: dict[str, Any], file: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("ganexp.runs.checkpoints.save_tensors", full)
    with pytest.raises(SystemExit) as ended:
        train(*TINY, "epochs=1")
    told = capfd.readouterr()
    assert ended.value.code == 1 and told.out.count("warning: no checkpoint at 1,856 images") == 2
    assert "the last checkpoint of outputs/run/" in told.err


def test_how_it_is_kept_and_watched_may_change(train: Verb) -> None:
    folder = train(*TINY, "epochs=1", "sentinel.rate=0.25", "checkpoint.every.minutes=3")
    train(f"resume={folder}", "epochs=2", "checkpoint.keep=5", "sentinel.action=stop")
    cfg = read_run(str(folder), trust=False)
    assert (cfg.checkpoint.keep, cfg.checkpoint.every.minutes) == (5, 3)
    assert (cfg.sentinel.action, cfg.sentinel.rate) == ("stop", 0.25)


def test_a_link_that_leads_out_of_the_folder_is_refused(train: Verb, tmp_path: Path) -> None:
    folder = train(*TINY, "epochs=1")
    (tmp_path / "precious.txt").write_text("mine")
    (folder / "train.log").unlink()
    (folder / "train.log").symlink_to(tmp_path / "precious.txt")
    with pytest.raises(UserError, match=r"train.log leads out of the run folder: .*trust=true"):
        read_run(str(folder), trust=False)
    read_run(str(folder), trust=True)
    (folder / "train.log").unlink()
    (folder / "log.txt").symlink_to("metrics.jsonl")
    read_run(str(folder), trust=False)


def test_nothing_is_fetched_for_a_run_that_exists(
    train: Verb, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Its configuration may be a stranger's, and names the folder that would be written to."""
    folder = train(*TINY, "epochs=1")
    file = folder / "config.yaml"
    cfg = composed("data=mnist", "arch=mlp", f"data.root={tmp_path / 'elsewhere'}")
    stored = OmegaConf.load(file)
    stored.data, stored.arch = cfg.data, cfg.arch
    file.write_text(OmegaConf.to_yaml(stored))
    with pytest.raises(SystemExit) as ended:
        train(f"resume={folder}", "epochs=2")
    assert ended.value.code == 2 and "an existing run downloads nothing" in capfd.readouterr().err
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (
            "run.json",
            '{"sessions": "x", "choices": {"loss": "\\u001b[2J"}, "data": {}, "versions": null, "weights": 1}',
        ),
        ("run.json", "[1]"),
        ("metrics.jsonl", '{"images": 1e999}\n'),
    ],
)
def test_an_altered_record_trips_nothing(train: Verb, name: str, text: str) -> None:
    folder = train(*TINY, "epochs=1")
    (folder / name).write_text(text)
    train(f"resume={folder}", "epochs=2")
    assert receipt(folder)["status"] == "finished" and receipt(folder)["choices"]["loss"] == "gan"


@pytest.mark.parametrize("name", ["run.json", "train.log", ".lock", "config.yaml"])
def test_a_folder_in_a_files_place_is_told_in_one_line(
    train: Verb, name: str, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = train(*TINY, "epochs=1")
    (folder / name).unlink()
    (folder / name).mkdir()
    with pytest.raises(SystemExit) as ended:
        train(*TINY, "epochs=2")
    error = capfd.readouterr().err
    assert ended.value.code == 2 and "Traceback" not in error and name in error


def test_a_damaged_configuration_is_told_in_one_line(train: Verb, capfd: pytest.CaptureFixture[str]) -> None:
    folder = train(*TINY, "epochs=1")
    for content in (b"\xff\xfe", b"- a", b"a: [1", b""):
        (folder / "config.yaml").write_bytes(content)
        with pytest.raises(SystemExit):
            train(*TINY, "epochs=2")
        error = capfd.readouterr().err
        assert "config.yaml is damaged" in error and len(error.splitlines()) == 1


def test_other_names_of_a_file_are_left_alone(train: Verb, tmp_path: Path) -> None:
    """An archive may hold a hard link to a file of whoever unpacks it."""
    folder = train(*TINY, "epochs=1")
    for number, name in enumerate(("train.log", "metrics.jsonl", "run.json", "config.yaml")):
        (tmp_path / f"precious_{number}").hardlink_to(folder / name)
    (folder / "run.json.tmp").hardlink_to(tmp_path / "precious_0")
    before = [(tmp_path / f"precious_{number}").read_bytes() for number in range(4)]
    train(f"resume={folder}", "epochs=2")
    assert before == [(tmp_path / f"precious_{number}").read_bytes() for number in range(4)]
    assert "epoch 2/2" in (folder / "train.log").read_text()


def test_a_link_out_of_the_folder_is_refused_by_name_too(
    train: Verb, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = train(*TINY, "epochs=1")
    (tmp_path / "precious.txt").write_text("mine")
    (folder / "train.log").unlink()
    (folder / "train.log").symlink_to(tmp_path / "precious.txt")
    with pytest.raises(SystemExit):
        train(*TINY, "epochs=2")
    assert "leads out of the run folder" in capfd.readouterr().err
    assert (tmp_path / "precious.txt").read_text() == "mine"


def test_a_player_that_moves_rarely_is_told(train: Verb, capfd: pytest.CaptureFixture[str]) -> None:
    train(*TINY, "loss=wgan", "epochs=2", "max_steps=2", name="rare")
    line = "g moves in one step of 5: epochs=10 gives it as many steps as epochs=2 would if it moved in each"
    assert line in capfd.readouterr().out
    train(*TINY, "epochs=2", "max_steps=2", name="each")
    assert "moves in one step" not in capfd.readouterr().out


def test_a_finished_run_that_is_asked_for_more_steps_says_the_epochs(
    train: Verb, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = train(*TINY, "epochs=1")
    capfd.readouterr()
    train(f"resume={folder}", "max_steps=100")
    told = capfd.readouterr().out
    assert "is finished already" in told and "epochs=4 goes on" in told, (
        "100 steps of 64 are 3.6 epochs of 1,797"
    )
    train(f"resume={folder}", "max_steps=200")
    assert "epochs=8 goes on" in capfd.readouterr().out
