"""What people type who know another program: the keys, values and choices that ganexp calls by another name.

``GUESSES`` is the table. A guess is only taken for one where the verb has no such key or choice itself, so that
a setting of that name which is added later works at once.
"""

import re
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path

from ganexp.config.targets import conf_folder
from ganexp.config.verb_schema import MODELS, NOT_OF_TRIALS
from ganexp.errors import UserError

_IN_MEMORY = "there are no loader processes, because decoded data are kept in memory: leave it out"

GUESSES: dict[str, tuple[str, ...]] = {
    "amp fp16": ("device.precision=fp16",),
    "augmentation": ("augment={}",),
    "batch batchsize bs": ("batch_size={}",),
    "beta1": ("optim.betas=[{},0.999]",),
    "betas": ("optim.betas={}",),
    "bf16": ("device.precision=bf16",),
    "data_dir data_path data_root dataroot root": ("data.root={}",),
    "dataset": ("data={}",),
    "degrade": ("degrade_input={}",),
    "epoch n_epochs num_epochs": ("epochs={}",),
    "exp exp_name experiment_name project run_name": ("name={}",),
    "factor scale upscale": ("degrade.factor={}",),
    "file image images img in in_dir input_dir photo photos source src": ("input={}",),
    "gpu gpu_id": ("device=cuda device.index={}",),
    "gpus devices n_gpus ngpu num_gpus": ("device=cuda device.count={}",),
    "image_size img_size res resolution size": ("data.resolution={}",),
    "iterations iters max_iters n_steps num_steps steps": ("max_steps={}",),
    "latent latent_dim nz z_dim": ("arch.generator.latent={}",),
    "learning_rate lr": ("optim.lr={}",),
    "metric": ("metrics={}",),
    "architecture model net network": ("arch={}",),
    "n_critic": ("game.n_critic={}",),
    "num_workers workers": (),
    "optimiser optimizer": ("optim={}",),
    "out out_dir outdir output output_dir save_dir": ("out={}", "output={}", "name={}"),
    "penalty": ("penalties={}",),
    "precision": ("device.precision={}",),
    "random_seed": ("seed={}",),
    "folder resume run": ("run={}", "resume={}"),
    "class class_label": ("label={}",),
    "count n_samples num_samples samples": ("n={}",),
    "scheduler": ("schedule={}",),
    "threads": ("device.threads={}",),
}
"""Keys -> what is suggested for them, with ``{}`` for the value: the first whose keys the verb has."""

_VALUES = {"device=gpu": "device=cuda", "device=nvidia": "device=cuda", "device=metal": "device=mps"}
"""Arguments that mean another one, which is run."""

CHOICES: dict[str, dict[str, str]] = {
    "arch": {"cnn": "dcgan", "conv": "dcgan", "fc": "mlp", "linear": "mlp"},
    "data": {"cifar": "cifar10", "custom": "folder", "fashion": "fashion_mnist", "imagefolder": "folder"},
    "degrade": {
        **{"bw": "gray", "colorization": "gray", "colorize": "gray", "colour": "gray", "grayscale": "gray"},
        **{"canny": "edges", "sketch": "edges", "denoise": "noise", "downsample": "lowres", "sr": "lowres"},
        **{"inpaint": "holes", "mask": "holes", "masks": "holes"},
    },
    "experiment": {
        **{"celeba": "dcgan_celeba", "cifar": "cifar10_quick", "cifar10": "cifar10_quick"},
        **{"faces": "faces_quick", "mnist": "mnist_quick"},
    },
    "game": {
        **{"cdcgan": "cgan", "conditional": "cgan", "conditional_gan": "cgan"},
        **{"colorization": "pix2pix degrade=gray", "colorize": "pix2pix degrade=gray"},
        **{"esrgan": "srgan arch=rrdb loss=ragan", "super_resolution": "srgan", "superres": "srgan"},
        **{"inpainting": "inpaint", "paired": "pix2pix"},
    },
    "loss": {"bce": "gan", "mse": "lsgan", "nsgan": "gan", "vanilla": "gan", "wasserstein": "wgan"},
    "optim": {"adamw": "adam"},
}
"""Choices by another name, by group; they are suggested."""

_TARGETS = {key: targets for keys, targets in GUESSES.items() for key in keys.split()}
_FLAG = re.compile(r"--([A-Za-z][\w.-]*)(?:=(.*))?", re.DOTALL)
_SETTING = re.compile(r"\+{0,2}(\w+)=(.*)", re.DOTALL)
_HYDRA_FLAGS = {
    *("help", "hydra-help", "version", "cfg", "resolve", "package", "run", "multirun", "shell-completion"),
    *("config-path", "config-name", "config-dir", "experimental-rerun", "info"),
}


def with_guesses(verb: str, arguments: Sequence[str]) -> list[str]:
    """The arguments of a verb, with ``device=cuda`` in place of ``device=gpu`` and the like.

    Raises UserError, with what was probably meant, for settings with dashes and for keys that have another name
    here. Nothing is guessed with ``--config-dir``, which may bring groups of any name.
    """
    if any(argument.startswith(("--config-dir", "-cd", "hydra.searchpath")) for argument in arguments):
        return list(arguments)
    arguments = [_VALUES.get(argument, argument) for argument in arguments]
    flags = list(_flags(verb, arguments))
    if flags:
        typed, meant = map(" ".join, zip(*flags, strict=True))
        raise UserError(f"{typed}: settings are written key=value, without dashes: {meant}")
    others = [(argument, _meant(verb, argument)) for argument in arguments]
    wrong = [(argument, guess) for argument, guess in others if guess is not None]
    if wrong:
        typed, meant = map(" ".join, zip(*wrong, strict=True))
        raise UserError(f"{typed}: no such setting; did you mean {meant}?")
    return arguments


def check_place(arguments: Sequence[str], trials: Sequence[str]) -> None:
    """Raises UserError, with the corrected line, for settings of the trials that stand before ``--``.

    ``arguments`` and ``trials`` are those of ``ganexp tune`` before and behind ``--``.
    """
    moved = {argument: meant for argument in arguments if (meant := _as_trial_setting(argument)) is not None}
    if moved:
        left = [argument for argument in arguments if argument not in moved]
        line = shlex.join(["ganexp", "tune", *left, "--", *moved.values(), *trials])
        raise UserError(f"{' '.join(moved)}: settings of the runs stand behind --: {line}")


def _as_trial_setting(argument: str) -> str | None:
    """A setting that ``ganexp train`` has and ``ganexp tune`` does not, by its name there; else None."""
    key = re.split(r"[.=@/]", argument.lstrip("+~"))[0]
    if key in MODELS["tune"].model_fields or key in NOT_OF_TRIALS or argument.startswith("-"):
        return None
    if key in MODELS["train"].model_fields or (argument != key != "" and (conf_folder() / key).is_dir()):
        return argument
    return _meant("train", argument)


def _flags(verb: str, arguments: Sequence[str]) -> Iterator[tuple[str, str]]:
    """(as typed, as meant) of the settings that are written with dashes: ``--epochs 5``, ``--epochs=5``."""
    for argument, following in zip(arguments, [*arguments[1:], ""], strict=False):
        match = _FLAG.fullmatch(argument)
        has_value = following != "" and following[0] != "-" and "=" not in following
        if match is None or (match[1] in _HYDRA_FLAGS and not (match[1] == "run" and has_value)):
            continue
        key, value = match[1].replace("-", "_"), match[2]
        typed = argument
        if value is None and has_value:
            typed, value = f"{argument} {following}", following
        setting = f"{key}={'true' if value is None else value}"
        yield typed, _meant(verb, setting) or setting


def _meant(verb: str, argument: str) -> str | None:
    """What ``key=value`` probably means, if the verb has no such key. UserError if none does."""
    match = _SETTING.fullmatch(argument)
    if match is None:
        return None
    key, value = match[1], match[2]
    if key == "data" and re.search(r"[/\\]|\.zip$", value) and "data" in MODELS[verb].model_fields:
        raise UserError(
            f"{argument}: data is the name of a data set: for a folder, data=folder data.root={value}"
        )
    if key not in _TARGETS or key in MODELS[verb].model_fields:
        return None
    if not _TARGETS[key] and verb == "train":
        raise UserError(f"{argument}: {_IN_MEMORY}")
    for target in _TARGETS[key]:
        if re.split(r"[.=]", target)[0] in MODELS[verb].model_fields:
            return _in_its_group(target, value)
    return None


def _in_its_group(target: str, value: str) -> str:
    """``target`` with the value: a choice of another group is suggested for that one, a path as a name."""
    group = target.removesuffix("={}")
    value = CHOICES.get(group, {}).get(value, value)
    others = groups_of_choice(value)
    if others and group not in others and (conf_folder() / group).is_dir():
        return f"{others[0]}={value}"
    return target.format(Path(value).name if group == "name" else value)


def groups_of_choice(choice: str) -> list[str]:
    """The config groups that have a choice of this name."""
    files = conf_folder().glob("*/*.yaml")
    return sorted(
        file.parent.name for file in files if file.stem == choice and file.parent.name != "experiment"
    )
