"""Several processes are one: the same gradients, the same bits when a run goes on, and none left behind."""

import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import conftest
import numpy as np
import pytest
import torch
from conftest import ENVIRONMENT, TINY, Verb, composed, differences_between_processes, started, until

from ganexp.config.resolvers import overrides_name
from ganexp.config.stored import read_run
from ganexp.config.targets import conf_folder
from ganexp.data.batches import BatchLoader, Domain
from ganexp.data.store import DeviceMemory
from ganexp.distributed import collectives
from ganexp.distributed.collectives import ProcessInfo
from ganexp.distributed.launch import launch_workers
from ganexp.errors import UserError
from ganexp.runs.bitwise import differences
from ganexp.runs.manifest import Manifest, status_of
from ganexp.sweeps.process_pool import slot_environment
from ganexp.training.device import cuda

SMALL = [*TINY, "arch.generator.latent=3", "batch_size=8", "arch.generator.norm=none"]
LOSSES = sorted(file.stem for file in (conf_folder() / "loss").glob("*.yaml") if file.stem != "none")
OTHERS = {"none", "r1_lazy", "path_length"}  # the last needs styles: test_stylegan2_runs.py
PENALTIES = sorted({file.stem for file in (conf_folder() / "penalties").glob("*.yaml")} - OTHERS)
GAMES = sorted(
    {file.stem for file in (conf_folder() / "game").glob("*.yaml")}.difference(conftest.WITHOUT_LOSS)
)
OF_GAME = (
    {game: [*SMALL, f"game={game}"] for game in GAMES}
    | conftest.OF_GAME
    | {
        "cyclegan": [  # the sources of degrade=edges are float32
            "degrade=classes" if override == "degrade=edges" else override
            for override in conftest.OF_GAME["cyclegan"]
        ],
        "infogan": [
            *SMALL,
            "arch.generator.latent=5",
            "game=infogan",
            "game.categories=[2]",
            "game.continuous=1",
        ],
    }
)
NORMS = ["device=cpu", "device.sync_batch_norm=true", "batch_size=8"]
DCGAN = ["recipe=none", "data.resolution=16", "arch.generator.width=2", "arch.discriminator.width=2", *NORMS]

CASES = {
    **{game: OF_GAME[game] for game in conftest.WITHOUT_LOSS},
    **{f"{g}, {loss}": [*OF_GAME[g], f"loss={loss}"] for g in GAMES for loss in LOSSES},
    **{
        f"{g}, {p}, lazy": [*OF_GAME[g], "loss=hinge", f"penalties={p}", f"penalties.{p}.every=3"]
        for g in GAMES
        for p in PENALTIES
    },
    **{
        f"{g}, rpgan, r1 and r2, reuse_fake": [
            *[*OF_GAME[g], "loss=rpgan", "penalties=[r1,r2]", "game.reuse_fake=true"]
        ]
        for g in GAMES
        if g not in conftest.SEVERAL_CRITICS
    },
    "lazy dragan, dragan's loss": [*SMALL, "loss=dragan", "penalties.dragan.every=3"],
    "uniform noise, several generator steps": [*SMALL, "game.noise=uniform", "game.n_generator=2"],
    "batch norm of vectors": [*TINY, *NORMS, "arch.generator.norm=batch", "loss=wgan_gp"],
    "batch norm of vectors, reuse_fake": [*TINY, *NORMS, "arch.generator.norm=batch", "game.reuse_fake=true"],
    "dcgan, batch norm in both players": ["loss=gan", *DCGAN],
    "dcgan, batch norm in the generator": ["loss=wgan_gp", *DCGAN],
}
"""Every game with every loss, and with every penalty."""


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, dict[str, float]]]:
    """The largest differences of each case, as each of two processes sees them."""
    configurations = {name: composed(*overrides) for name, overrides in CASES.items()}
    return differences_between_processes(tmp_path_factory.mktemp("worker"), configurations)


@pytest.mark.parametrize("case", CASES)
def test_two_processes_compute_what_one_does(case: str, found: list[dict[str, dict[str, float]]]) -> None:
    for process in found:
        assert process[case]["gradient"] < 1e-12
        assert process[case]["weight"] < 1e-12
        assert process[case]["meter"] < 1e-5, "in float32"


def test_no_image_is_dealt_to_both() -> None:
    points = np.arange(20, dtype=np.float32)[:, None]
    samples = Domain(DeviceMemory(points, torch.device("cpu")), 20, lambda stored: stored)
    processes = [ProcessInfo(rank, world, rank, world) for rank, world in PARTS]
    made = [BatchLoader([samples], np.arange(20), 8, 0, process=process) for process in processes]
    for whole, left, right in zip(*(loader.epoch() for loader in made), strict=True):
        assert torch.cat([left.y, right.y]).equal(whole.y), (
            "what stands together stays together: PacGAN's packs"
        )


def test_one_process_has_one_row() -> None:
    row = torch.ones(3, requires_grad=True)
    rows = collectives.all_gather_rows(row)
    assert rows.shape == (1, 3)
    assert torch.autograd.grad(rows.sum(), row)[0].tolist() == [1, 1, 1]


PARTS = [(0, 1), (0, 2), (1, 2)]

RUN = [*TINY, "device=cpu", "device.count=2", "batch_size=128", "checkpoint.every.minutes=0.002"]


def followers_of(process: "subprocess.Popen[str]") -> list[Path]:
    """The other processes of a run, as folders of /proc."""
    file = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    return [Path(f"/proc/{number}") for number in file.read_text().split()]


def has_trained(folder: Path, rows: int) -> bool:
    """Whether a run has come through so many epochs."""
    return any(
        len(file.read_text().splitlines()) >= rows for file in folder.glob("outputs/cut/*/metrics.jsonl")
    )


def test_killed_and_gone_on_with(
    train: Verb, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(ENVIRONMENT, "TMPDIR", str(tmp_path))
    whole = train(*RUN, "epochs=20", name="whole")
    process = started(tmp_path, "train", *RUN, "epochs=20", "name=cut")
    until(partial(has_trained, tmp_path, 2))
    followers = followers_of(process)
    assert len(followers) == 1
    process.kill()
    process.wait(60)
    until(lambda: not any(follower.exists() for follower in followers))
    assert not list(tmp_path.glob("ganexp-*")), "they have cleaned up behind it"
    (cut,) = (tmp_path / "outputs/cut").iterdir()
    assert status_of(cut) == "interrupted" and not (cut / "samples/epoch_0020.png").exists()
    train(*RUN, "epochs=20", name="cut")
    assert list(differences(whole, cut)) == []
    receipt = Manifest(cut / "run.json").content
    assert receipt["device"].startswith("2 x cpu (") and receipt["images"] == 281 * 128
    capfd.readouterr()
    train(f"resume={cut}", "epochs=21", "device.count=1", name="cut")
    assert "no longer bit for bit: 2 x cpu (" in capfd.readouterr().out
    train(f"resume={cut}", "epochs=22", "device.count=2", name="cut")
    assert status_of(cut) == "finished" and read_run(str(cut), trust=False).epochs == 22


@pytest.mark.slow
def test_asked_to_stop(tmp_path: Path) -> None:
    process = started(tmp_path, "train", *RUN, "epochs=100000", "name=cut")
    until(partial(has_trained, tmp_path, 1))
    followers = followers_of(process)
    process.send_signal(signal.SIGTERM)
    told, errors = process.communicate(timeout=60)
    assert process.returncode == 143 and "goes on from image" in told
    assert "Traceback" not in errors and not any(follower.exists() for follower in followers)


@pytest.mark.slow
def test_a_process_that_dies_is_told(tmp_path: Path) -> None:
    process = started(tmp_path, "train", *RUN, "epochs=100000", "name=cut")
    until(partial(has_trained, tmp_path, 1))
    (follower,) = followers_of(process)
    os.kill(int(follower.name), signal.SIGKILL)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 1 and errors == "ganexp: process 1 of 2 was killed by signal 9\n"
    (folder,) = (tmp_path / "outputs/cut").iterdir()
    assert status_of(folder) == "failed"


def torchrun(folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Two processes, that meet on this machine alone."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--local-addr=127.0.0.1"]
    return subprocess.run(
        [*command, "--nproc-per-node=2", "-m", "ganexp", *arguments],
        cwd=folder,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.mark.slow
def test_a_sweep_under_torchrun(tmp_path: Path, train: Verb) -> None:
    done = torchrun(
        tmp_path, "train", "-m", *TINY, "device=cpu", "seed=1,2", "epochs=1", "batch_size=128", "name=sweep"
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("on 2 x cpu (") == 2 and done.stdout.endswith("2 runs: 2 finished\n")
    swept = next(folder for folder in (tmp_path / "outputs/sweep").glob("*seed-2/"))
    assert list(differences(swept, train(*RUN, "seed=2", "epochs=1"))) == [], "as device.count=2 does it"


@pytest.mark.slow
def test_mistakes_under_torchrun(tmp_path: Path) -> None:
    """One that every process meets, and one that only the first does, when the other waits for it already."""
    settings = [*TINY, "device=cpu", "epochs=1"]
    taken = tmp_path / "outputs/sweep" / overrides_name([*settings, "batch_size=64"])
    taken.mkdir(parents=True)
    (taken / "config.yaml").write_text("seed: 99\n")
    done = torchrun(tmp_path, "train", "-m", *settings, "batch_size=63,64,128", "name=sweep")
    assert done.returncode == 1
    told = [line.removeprefix("ganexp: ") for line in done.stderr.splitlines() if line.startswith("ganexp: ")]
    assert told[0] == "batch_size=63: 2 processes cannot split it evenly"
    assert "holds another run" in told[1] and told[2] == "2 of the sweep's runs did not finish"
    assert done.stdout.count("on 2 x cpu (") == 1, "the third is trained by both"


@pytest.mark.parametrize(
    ("overrides", "line"),
    [
        (["batch_size=9"], "batch_size=9: 2 processes cannot split it evenly"),
        (
            ["game=pacgan", "batch_size=6"],
            "batch_size=6: 2 processes cannot split it in multiples of game.packing=2",
        ),
        (["device.count=0"], "device.count=0: should be greater than or equal to 1"),
    ],
)
def test_mistakes(overrides: list[str], line: str) -> None:
    with pytest.raises(UserError) as caught:
        composed(*TINY, "device=cpu", "device.count=2", *overrides)
    assert str(caught.value) == line


@pytest.mark.parametrize(
    ("overrides", "line"),
    [
        (["batch_size=9"], "batch_size=9: 2 processes cannot split it evenly"),
        (
            ["game=pacgan", "batch_size=6"],
            "batch_size=6: 2 processes cannot split it in multiples of game.packing=2",
        ),
    ],
)
def test_mistakes_that_only_torchrun_makes(
    monkeypatch: pytest.MonkeyPatch, overrides: list[str], line: str
) -> None:
    """Before any other process is called."""
    for name, value in {"RANK": "0", "WORLD_SIZE": "2", "MASTER_ADDR": "nowhere"}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(UserError) as caught, launch_workers(composed(*TINY, "device=cpu", *overrides)):
        pass
    assert str(caught.value) == line


def test_too_few_gpus() -> None:
    with pytest.raises(UserError, match=r"device.index=0 device.count=1000: this machine has \w+ CUDA device"):
        cuda(0, "auto", False, False, 1000, False)


def test_a_slot_gets_its_part_of_the_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1,2,3,4")
    assert [slot_environment(slot, 2)["CUDA_VISIBLE_DEVICES"] for slot in range(2)] == ["0,2,4", "1,3"]
