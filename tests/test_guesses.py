"""What people type who know another program is answered with what they meant."""

import sys
from pathlib import Path

import pytest
from conftest import verb

from ganexp.cli import main
from ganexp.cli.verb_settings import verb_settings
from ganexp.config import extras
from ganexp.config.guesses import CHOICES, GUESSES, with_guesses
from ganexp.config.targets import conf_folder
from ganexp.config.verb_schema import MODELS
from ganexp.errors import UserError


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        ("train lr=1e-4", "did you mean optim.lr=1e-4?"),
        ("train learning_rate=1 bs=32 dataset=mnist", "did you mean optim.lr=1 batch_size=32 data=mnist?"),
        ("train dataset=cifar", "did you mean data=cifar10?"),
        ("train model=dcgan", "did you mean arch=dcgan?"),
        ("train model=wgan", "did you mean loss=wgan?"),
        ("train batch=8", "did you mean batch_size=8?"),
        ("train gpus=2", "did you mean device=cuda device.count=2?"),
        ("train gpu=1", "did you mean device=cuda device.index=1?"),
        ("train output=outputs/mine", "did you mean name=mine?"),
        ("sample output=x.png", "did you mean out=x.png?"),
        ("train steps=9", "did you mean max_steps=9?"),
        ("train size=64", "did you mean data.resolution=64?"),
        ("train img_size=64", "did you mean data.resolution=64?"),
        ("train n_epochs=5", "did you mean epochs=5?"),
        ("train latent_dim=64", "did you mean arch.generator.latent=64?"),
        ("train workers=4", "there are no loader processes"),
        ("train run=outputs/a/b", "did you mean resume=outputs/a/b?"),
        ("translate in=a.png out=b", "did you mean input=a.png output=b?"),
        ("translate source=a.png", "did you mean input=a.png?"),
        ("train game=srgan factor=2", "did you mean degrade.factor=2?"),
        ("sample class=7", "did you mean label=7?"),
        ("sample resume=outputs/a/b", "did you mean run=outputs/a/b?"),
        ("sample --run outputs/a/b", "without dashes: run=outputs/a/b"),
        ("train --epochs 5", "without dashes: epochs=5"),
        ("train --lr=1 --batch-size 64 seed=1", "--lr=1 --batch-size 64: settings are written key=value"),
        ("train --dataset mnist", "without dashes: data=mnist"),
        ("train data=./photos", "data=folder data.root=./photos"),
    ],
)
def test_guesses(words: str, meant: str) -> None:
    name, *arguments = words.split()
    with pytest.raises(UserError) as error:
        with_guesses(name, arguments)
    assert meant in str(error.value)


def test_an_alias_of_a_value_is_taken() -> None:
    assert with_guesses("train", ["device=gpu", "seed=1"]) == ["device=cuda", "seed=1"]


@pytest.mark.parametrize(
    "words",
    [
        "train epochs=5 optim.lr=1 --cfg job --info",
        "verify run=a steps=5",
        "film run=a",
        "evaluate run=a count=100",
        "train --config-dir mine model=own",
        "train -m loss=gan,wgan --multirun --hydra-help",
    ],
)
def test_what_exists_is_left_alone(words: str) -> None:
    name, *arguments = words.split()
    assert with_guesses(name, arguments) == arguments


def test_every_suggestion_exists() -> None:
    known: set[str] = set()
    for name in MODELS:
        told = verb_settings(name, ["device=cuda", "data=mnist", "degrade=lowres"] if name == "train" else [])
        known |= {setting.path for setting in told.settings} | {group.name for group in told.groups}
    for key in (
        target.split("=")[0] for targets in GUESSES.values() for part in targets for target in part.split()
    ):
        assert key in known, key
    for group, choices in CHOICES.items():
        for meant in choices.values():
            for choice in f"{group}={meant}".split():
                assert (conf_folder() / f"{choice.replace('=', '/')}.yaml").is_file(), choice


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        (["features=inception"], "pip install -e '.[inception]'"),
        (["data=medmnist"], "pathmnist.npz in data.root="),
        (["data=celeba"], "come from https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html"),
        (["-m", "features=inception", "seed=1,2"], "pip install -e '.[inception]'"),
    ],
)
def test_a_missing_package_is_told_before_there_is_a_folder(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    overrides: list[str],
    told: str,
) -> None:
    monkeypatch.setattr(extras, "find_spec", lambda _: None)
    with pytest.raises(SystemExit) as ended:
        main._report_errors(lambda: verb(monkeypatch, tmp_path, "train", *overrides))
    assert ended.value.code == 2
    (line,) = capfd.readouterr().err.splitlines()
    assert told in line and list(tmp_path.iterdir()) == []


def test_a_package_is_not_needed_for_a_file_that_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from omegaconf import OmegaConf

    monkeypatch.setattr(extras, "find_spec", lambda _: None)
    (tmp_path / "pathmnist.npz").touch()
    node = {"_target_": "ganexp.data.medmnist.MedMNIST", "root": str(tmp_path), "subset": "pathmnist"}
    extras.check_extras(OmegaConf.create({"data": node}))


def test_a_trial_of_tune_is_answered_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["ganexp", "tune", "space=rates", "--", "lr=1"])
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit):
        main.main()
    assert "did you mean optim.lr=1?" in capfd.readouterr().err
