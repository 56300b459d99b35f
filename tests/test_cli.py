"""The command line itself: help, version, completion, the wrong verb."""

from pathlib import Path

import pytest
from conftest import command

from ganexp import __version__


def test_help_names_every_verb(tmp_path: Path) -> None:
    for arguments in ([], ["--help"], ["help"]):
        told = command(tmp_path, *arguments)
        assert told.returncode == 0
        assert "train" in told.stdout and "sample" in told.stdout


def test_version(tmp_path: Path) -> None:
    assert command(tmp_path, "--version").stdout == f"ganexp {__version__}\n"


def test_help_of_a_verb_lists_every_choice(tmp_path: Path) -> None:
    told = command(tmp_path, "train", "--help").stdout
    for line in (
        "loss: dragan, gan, hinge, lsgan, minimax, none, rpgan, wgan, wgan_gp",
        "data: celeba, cifar10, digits, fashion_mnist, folder, grid, medmnist, mnist, ring, stacked_mnist",
        "arch: dcgan, maxout, mlp",
        "game: cgan, gan, pacgan",
        "device: auto, cpu, cuda, mps",
    ):
        assert line in told
    assert "seed: 0" in told


def test_cfg_prints_and_runs_nothing(tmp_path: Path) -> None:
    told = command(tmp_path, "train", "loss=wgan", "--cfg", "job").stdout
    assert "ganexp.losses.Wasserstein" in told and "n_critic: 5" in told
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_verb(tmp_path: Path) -> None:
    told = command(tmp_path, "trian")
    assert told.returncode == 2
    verbs = "compare, data, diff, evaluate, film, neighbours, runs, sample, train, tune, verify"
    assert told.stderr == f"ganexp: trian: no such verb; did you mean train? ({verbs})\n"


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("ganexp ", {"train", "sample", "compare", "data"}),
        ("ganexp tr", {"train", "sample"}),
        ("ganexp train loss=wg", {"loss=wgan", "loss=wgan_gp"}),
        ("ganexp train optim.", {"optim.lr=", "optim.ttur="}),
        ("ganexp sample form", {"format="}),
    ],
)
def test_completion(tmp_path: Path, line: str, found: set[str]) -> None:
    told = command(tmp_path, "-sc", "query=bash", COMP_LINE=line)
    assert found <= set(told.stdout.split())


def test_completion_installs_itself_for_the_program(tmp_path: Path) -> None:
    script = command(tmp_path, "-sc", "install=bash").stdout
    assert script.rstrip().endswith("-F hydra_bash_completion ganexp")


def test_a_device_that_is_not_there(tmp_path: Path) -> None:
    import torch

    if torch.cuda.is_available():
        told = command(tmp_path, "train", "device=cuda", "device.index=99")
    else:
        told = command(tmp_path, "train", "device=cuda")
    assert told.returncode == 2
    assert told.stderr.startswith("ganexp: device=cuda") and "device=auto uses what is available" in told.stderr
    assert not list(tmp_path.glob("outputs/*"))


@pytest.mark.parametrize("verb", ["runs", "diff", "compare"])
def test_help_of_verbs_that_look(tmp_path: Path, verb: str) -> None:
    told = command(tmp_path, verb, "--help")
    assert told.returncode == 0 and told.stdout.startswith(f"ganexp {verb} ")
