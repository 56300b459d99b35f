"""What the tests share: ways to run a verb in this process or in one of its own."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from omegaconf import DictConfig, OmegaConf

import ganexp.train as training
from ganexp.cli.hydra_app import PLUGINS, run_verb
from ganexp.config.targets import conf_folder
from ganexp.config.validate import validate_train
from ganexp.data.resolvers import register

sys.path.append(str(PLUGINS))  # Hydra looks for launchers once, at whichever test composes first
torch.set_num_threads(1)  # tiny networks, on machines that do other things too

TINY = [
    "recipe=none",
    "arch=mlp",
    "arch.generator.widths=[16]",
    "arch.discriminator.widths=[16]",
    "data.resolution=8",
    "evaluate.every=null",
]
"""A run that takes no time, where the networks are not the point."""

WITHOUT_LOSS = ("beta_vae", "capacity_vae", "fanogan", "style", "vae")
"""Games that are played with loss=none only."""

SEVERAL_CRITICS = ("cyclegan",)
"""Games whose player d is several networks, and which have no setting reuse_fake."""
STYLE_IMAGE = Path(__file__).parents[1] / "docs/pictures/acgan.png"
"""Any picture, for game=style."""

_AUTOENCODER = [
    *["recipe=none", "data.resolution=8", "evaluate.every=null"],
    *["arch.encoder.widths=[16]", "arch.generator.widths=[16]", "arch.generator.latent=3"],
]

OF_GAME = {
    **{game: [*_AUTOENCODER, f"game={game}", "loss=none", "arch=vae_mlp"] for game in WITHOUT_LOSS},
    "fanogan": [  # of a generator that is not trained: start_from needs another run
        *[*_AUTOENCODER, "game=fanogan", "loss=none", "arch=fanogan_mlp", "start_from=null"],
        *["arch.discriminator.widths=[16]", "arch.generator.norm=none"],
    ],
    "bigan": [*_AUTOENCODER, "game=bigan", "arch=bigan_mlp", "arch.discriminator.widths=[16]"],
    "ganomaly": [
        *["recipe=none", "data.resolution=8", "evaluate.every=null", "game=ganomaly"],
        *["arch.generator.width=4", "arch.generator.latent=3", "arch.discriminator.width=4"],
        "arch.generator.norm=none",
    ],
    "vaegan": [*_AUTOENCODER, "game=vaegan", "arch=vaegan_mlp", "arch.discriminator.widths=[16]"],
    "cyclegan": [
        *["recipe=none", "data.resolution=8", "evaluate.every=null", "game=cyclegan", "degrade=edges"],
        *["game.pool=5", "arch.generator.width=2", "arch.generator.blocks=1", "arch.generator.norm=none"],
        *["arch.discriminator.width=2", "arch.discriminator.layers=1"],
    ],
    **{
        game: [
            *["recipe=none", "data.resolution=8", "evaluate.every=null", f"game={game}", "degrade=noise"],
            *["arch.generator.width=2", "arch.generator.blocks=2", "arch.generator.norm=none"],
            *["arch.discriminator.width=2", "arch.discriminator.layers=1"],
            *["arch.projector.dimensions=4", "game.patches=10", "game.nce_weight=1"],
        ]
        for game in ("cut", "fastcut")
    },
    "inpaint": [
        *["recipe=none", "data.resolution=8", "evaluate.every=null", "game=inpaint", "degrade.kind=box"],
        *["arch.generator.width=2", "arch.discriminator.width=2", "arch.discriminator.layers=2"],
    ],
    "pix2pix": [
        *["recipe=none", "data.resolution=8", "evaluate.every=null", "game=pix2pix"],
        *["degrade=holes", "degrade.kind=box", "arch.generator.width=2", "arch.generator.max_width=4"],
        *["arch.generator.norm=none", "arch.discriminator.width=2", "arch.discriminator.layers=1"],
    ],
    "stargan": [
        *["recipe=none", "data.resolution=8", "evaluate.every=null", "game=stargan"],
        *["arch.generator.width=4", "arch.generator.blocks=1", "arch.discriminator.width=4"],
        "arch.generator.norm=none",  # a norm of maps of 2 x 2 pixels magnifies rounding errors
    ],
    "srgan": [
        *["recipe=none", "data.resolution=8", "evaluate.every=null", "game=srgan"],
        *["arch.generator.width=4", "arch.generator.blocks=1"],
        *["arch.discriminator.width=2", "arch.discriminator.hidden=8"],
    ],
    "style": [
        *["recipe=none", "data.resolution=8", "evaluate.every=null", "game=style", "loss=none"],
        *[f"game.image={STYLE_IMAGE}", "game.style_size=16", "game.style_features.widths=[4,4]"],
        *["game.style_weight=0.01", "game.content_weight=0.01", "arch.generator.norm=none"],
        *["arch.generator.width=2", "arch.generator.blocks=1", "arch.generator.kernel=3", "batch_size=64"],
    ],
}
"""Games that TINY's networks do not fit: such a run of them."""


def tiny(game: str) -> list[str]:
    """A run of that game that takes no time."""
    return OF_GAME.get(game, [*TINY, f"game={game}"])


@pytest.fixture(scope="session", autouse=True)
def a_cache_of_our_own(tmp_path_factory: pytest.TempPathFactory) -> None:
    """No test reads or fills the cache of whoever runs the tests."""
    ENVIRONMENT["GANEXP_CACHE"] = os.environ["GANEXP_CACHE"] = str(tmp_path_factory.mktemp("cache"))


Verb = Callable[..., Path]


def composed(*overrides: str) -> DictConfig:
    """A checked training configuration, without the recipe of a data set unless it is asked for."""
    if not any(override.startswith("recipe=") for override in overrides):
        overrides = ("recipe=none", *overrides)
    register()
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(conf_folder()), version_base="1.3"):
        return validate_train(compose("train", overrides=list(overrides)), list(overrides))


def differences_between_processes(
    folder: Path, cases: dict[str, DictConfig], **environment: str
) -> list[dict[str, dict[str, float]]]:
    """The largest differences of each case, as each of the two processes of ``dist_worker.py`` sees them."""
    (folder / "cases.yaml").write_text(OmegaConf.to_yaml(OmegaConf.create(cases)))
    worker = Path(__file__).with_name("dist_worker.py")
    processes = [
        subprocess.Popen([sys.executable, worker, folder, str(rank)], env=ENVIRONMENT | environment)
        for rank in range(2)
    ]
    try:
        assert [process.wait(240) for process in processes] == [0, 0]
    finally:
        for process in processes:
            process.kill()
    return [json.loads((folder / f"{rank}.json").read_text()) for rank in range(2)]


@pytest.fixture
def train(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Verb:
    """Runs ``ganexp train`` below ``tmp_path`` in this process; returns the run's folder."""

    def call(*overrides: str, name: str = "run") -> Path:
        resumed = any(override.startswith("resume=") for override in overrides)
        verb(
            monkeypatch,
            tmp_path,
            "train",
            *overrides,
            *([] if resumed else [f"name={name}"]),
        )
        (folder,) = (tmp_path / "outputs" / name).iterdir()
        return folder

    return call


def verb(monkeypatch: pytest.MonkeyPatch, folder: Path, name: str, *overrides: str) -> None:
    """Runs a verb in this process, from ``folder``."""
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "argv", sys.argv)
    GlobalHydra.instance().clear()
    run_verb(name, list(overrides), f"ganexp {name}")


ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1"}
"""Of every process that a test starts: another number of threads adds up in another order."""


def command(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """``python -m ganexp`` in a process of its own, from ``folder``."""
    return subprocess.run(
        [sys.executable, "-m", "ganexp", *arguments],
        cwd=folder,
        env=ENVIRONMENT | environment,
        capture_output=True,
        text=True,
        timeout=300,
    )


def started(folder: Path, *arguments: str, **more: Any) -> "subprocess.Popen[str]":
    """The same, without waiting for it; ``more`` is for ``Popen``."""
    return subprocess.Popen(
        [sys.executable, "-m", "ganexp", *arguments],
        cwd=folder,
        env=ENVIRONMENT | {"OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **more,
    )


def until(condition: Callable[[], bool]) -> None:
    """Waits for what a process of its own will do, two minutes at most."""
    deadline = time.monotonic() + 120
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert condition()


def runs_in(folder: Path) -> list[Path]:
    """The runs of a sweep or a study."""
    return sorted(file.parent for file in folder.glob("*/run.json"))


@contextmanager
def asked_to_stop(after: int, number: int = signal.SIGTERM) -> Iterator[None]:
    """A real signal to this process, in the middle of a step."""
    real, steps = training.train_step, []

    def step(*arguments: Any) -> None:
        steps.append(1)
        if len(steps) == after:
            signal.raise_signal(number)
        real(*arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "train_step", step)
        yield
