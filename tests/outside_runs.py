"""Runs of classes that are no part of the package: ``outside/`` has them, with their YAML."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from omegaconf import DictConfig

from ganexp.config.targets import conf_folder
from ganexp.config.validate import validate_train
from ganexp.data.resolvers import register

OUTSIDE = Path(__file__).with_name("outside")
CONFIG_DIR = ("--config-dir", str(OUTSIDE / "conf"))
FEW = ["recipe=none", "batch_size=8", "evaluate.every=null"]
MLP = ["arch.generator.widths=[8]", "arch.discriminator.widths=[8]", "arch.generator.latent=4"]
DIGITS = ["data.resolution=8"]


class System(NamedTuple):
    """What is joined from outside: the module that a stored run names, the overrides that choose it."""

    module: str
    overrides: Sequence[str]
    file_type: str = "png"


SYSTEMS = {
    "growing": System("growing", ["game=growing", *DIGITS]),
    "unrolled": System("unrolled", ["arch=mlp", *MLP, *DIGITS, "game=unrolled"]),
    "regularisers": System("regularisers", ["arch=mlp", *MLP, *DIGITS, "penalties=[seeking,lecam]"]),
    "ada": System("ada", ["arch=mlp", *MLP, *DIGITS, "augment=ada"]),
    "waves": System("waves", [*MLP, "data=waves"], "csv"),
    "attributes": System("attributes", [*MLP, "data=waves", "game=attributes"], "csv"),
}


def join(monkeypatch: pytest.MonkeyPatch) -> None:
    """Python finds the classes, in this process and in those that it starts."""
    monkeypatch.syspath_prepend(OUTSIDE)
    monkeypatch.setenv("PYTHONPATH", str(OUTSIDE), prepend=":")


def composed(*overrides: str) -> DictConfig:
    """A checked training configuration that may choose what is outside."""
    register()
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(conf_folder()), version_base="1.3"):
        path = f"hydra.searchpath=[file://{OUTSIDE / 'conf'}]"
        return validate_train(compose("train", overrides=[path, *FEW, *overrides]), list(overrides))
