"""The command line itself: help, version, completion, the wrong verb."""

import re
from pathlib import Path

import pytest
from conftest import command

from ganexp import __version__
from ganexp.cli.completion import complete
from ganexp.cli.verbs import VERBS


def test_help_names_every_verb(tmp_path: Path) -> None:
    for arguments in ([], ["--help"], ["help"]):
        told = command(tmp_path, *arguments)
        assert told.returncode == 0
        assert "train" in told.stdout and "sample" in told.stdout


def test_version(tmp_path: Path) -> None:
    assert command(tmp_path, "--version").stdout == f"ganexp {__version__}\n"


def _help(folder: Path, *arguments: str) -> str:
    """The help with every space and line break as one space, because long lines are wrapped."""
    return " ".join(command(folder, *arguments).stdout.split())


def test_help_of_a_verb_lists_every_choice(tmp_path: Path) -> None:
    told = _help(tmp_path, "train", "--help")
    for line in (
        "dragan, gan, hinge, lsgan, minimax, none, ragan, rpgan, wgan, wgan_gp",
        "celeba, cifar10, digits, fashion_mnist, folder, grid, medmnist, mnist, pairs, ring, "
        "stacked_mnist, unpaired",
        "acgan, acgan_small, bigan, bigan_mlp, bigan_small, biggan, biggan_32, biggan_small, context_encoder, "
        "context_encoder_small",
        "maxout, mlp, mlp_small, progressive, progressive_small, r3gan, r3gan_256, r3gan_64",
        "sagan_32, sagan_small, srresnet, srresnet_small, stargan, stargan_small, style, style_small",
        "acgan, beta_vae, bigan, capacity_vae, cgan, cut, cyclegan, fanogan, fastcut, gan, ganomaly, infogan, "
        "inpaint, pacgan, pix2pix, srgan, stargan, style, vae, vaegan",
        "auto, cpu, cuda, mps",
    ):
        assert line in told
    assert "seed=0 random seed of" in told and "[integer >= 0]" in told
    assert "arch.discriminator.shape=[1,16,16] shape of a sample, without the batch" in told
    assert told.index("Groups") < told.index("epochs=200") < told.index("Other settings") < told.index("ema:")


def test_help_lists_only_what_a_verb_takes(tmp_path: Path) -> None:
    film = _help(tmp_path, "film", "--help")
    assert "run=... required: a run folder [text]" in film
    assert not any(word in film for word in ("loss", "group=choice", "-m "))
    data = _help(tmp_path, "data", "info", "--help")
    assert "digits, fashion_mnist" in data and not any(word in data for word in ("arch", "metrics", "-m "))


def test_help_shows_the_defaults_of_the_choices_that_are_given(tmp_path: Path) -> None:
    assert "penalties.gradient.weight=10.0 factor" in _help(tmp_path, "train", "loss=wgan_gp", "--help")
    assert "data.root=... required: a folder" in _help(tmp_path, "data", "info", "data=folder", "--help")
    own = ["--config-dir", str(Path(__file__).with_name("outside") / "conf"), "game=own_bigan"]
    assert "game=own_bigan the algorithm" in _help(tmp_path, "train", *own, "--help")
    assert "device=cuda where" in _help(tmp_path, "train", "--help", "device=gpu")
    assert "loss=gan the adversarial" in _help(tmp_path, "train", "-m", "loss=wgan,hinge", "--help")


@pytest.mark.parametrize("verb", [*VERBS, "data info", "data prepare", "data list", ""])
def test_help_fits_a_terminal_and_has_a_sentence_for_each_setting(tmp_path: Path, verb: str) -> None:
    now = {"GANEXP_TIMESTAMP": "now"}
    told = command(tmp_path, *verb.split(), "--help", **now)
    assert told.returncode == 0 and told.stderr == ""
    assert told.stdout == command(tmp_path, "help", *verb.split(), **now).stdout
    lines = told.stdout.splitlines()
    assert max(map(len, lines)) <= 100 and told.stdout.replace("\n", "").isprintable()
    assert not [line for line in lines if re.fullmatch(r" +\S+=\S* *(\[.*)?", line) and len(line) < 37]


def test_help_does_not_need_hydras_argument_parser(monkeypatch: pytest.MonkeyPatch) -> None:
    """Python 3.14 refuses it: its argparse checks the help texts."""
    from hydra._internal import utils

    from ganexp.cli.verb_help import verb_help

    monkeypatch.setattr(utils, "get_args_parser", lambda: 1 / 0)
    assert "epochs=200" in verb_help("train", "ganexp train", "train: ganexp train", [])


def test_flags_of_hydra_keep_working(tmp_path: Path) -> None:
    assert "== Flags ==" in command(tmp_path, "train", "--hydra-help").stdout
    assert "Provider" in command(tmp_path, "sample", "--info", "searchpath").stdout
    assert command(tmp_path, "train", "--version").stdout == f"ganexp {__version__}\n"


def test_cfg_prints_and_runs_nothing(tmp_path: Path) -> None:
    told = command(tmp_path, "train", "loss=wgan", "--cfg", "job").stdout
    assert "ganexp.losses.Wasserstein" in told and "n_critic: 5" in told
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_verb(tmp_path: Path) -> None:
    told = command(tmp_path, "trian")
    assert told.returncode == 2
    verbs = (
        "anomaly, compare, data, diff, directions, edit, evaluate, export, film, interpolate, mix, moredata, "
        "neighbours, play, pull, push, runs, sample, train, translate, tune, verify, "
        "zoo"
    )
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


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("ganexp help ", {"train", "film"}),
        ("ganexp data ", {"info", "prepare", "list", "clear"}),
        ("ganexp data info data=m", {"data=medmnist", "data=mnist"}),
        ("ganexp data info data=ring data.r", {"data.radius="}),
        ("ganexp compare ", {"by=", "metric=", "out=", "outputs/a", "outputs/a/one"}),
        ("ganexp compare by=", {"by=best", "by=final"}),
        ("ganexp sample run=", {"run=outputs/a/two", "run=outputs/a/one"}),
        ("ganexp train resume=", {"resume=outputs/a/one"}),
        ("ganexp train start_weights=", {"start_weights=averaged", "start_weights=live"}),
        ("ganexp train wrong=1 arch.generator.n", {"arch.generator.norm="}),
        ("ganexp train hydra/launcher=", {"hydra/launcher=local"}),
    ],
)
def test_completion_of_actions_values_and_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str, found: set[str]
) -> None:
    for name in ("one", "two"):
        (tmp_path / "outputs" / "a" / name).mkdir(parents=True)
        (tmp_path / "outputs" / "a" / name / "run.json").write_text("{}")
    monkeypatch.chdir(tmp_path)
    assert found <= set(complete(line))


def test_completion_offers_only_what_a_verb_takes() -> None:
    assert complete("ganexp nothing ") == []
    assert not [word for word in complete("ganexp film ") if word.startswith(("loss", "arch", "hydra"))]


@pytest.mark.parametrize("arguments", [[], ["query"], ["install=csh"], ["nothing=bash"]])
def test_a_wrong_request_of_completion_is_one_line(tmp_path: Path, arguments: list[str]) -> None:
    told = command(tmp_path, "-sc", *arguments)
    assert told.returncode == 2
    assert told.stderr == "ganexp: -sc prints a script for completion: -sc install=bash, or install=fish\n"
