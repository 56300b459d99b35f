"""Lines about a run for the terminal and train.log, and entries of its manifest (run.json)."""

import hashlib
import json
import math
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from ganexp import __version__
from ganexp.config.resolvers import identifies_run
from ganexp.config.stored import DEFAULTS_FOR_OLD_RUNS
from ganexp.metrics.directions import metric_directions
from ganexp.nets.layers import count_weights
from ganexp.system.terminal import quoted_override
from ganexp.training.setup import Experiment
from ganexp.training.state import Progress

_NOT_LOSSES = ("gradient_norm", "weight_norm", "lr")
"""Scalars of a player that are no losses or logs of its turn."""


def facts(cfg: DictConfig, experiment: Experiment, choices: Mapping[str, str]) -> dict[str, Any]:
    """The manifest's entries on configuration, device and data."""
    data = experiment.data.arrays
    return {
        "config": config_hash(cfg),
        "choices": dict(choices),
        "steps": experiment.steps,
        "seed": cfg.seed,
        "device": str(experiment.hardware),
        "precision": experiment.hardware.precision.name,
        "data": {
            "fingerprint": data.fingerprint,
            "count": len(data.samples),
            "shape": list(data.samples.shape[1:]),
            "classes": len(data.classes),
        },
        "scores": metric_directions(str(node["_target_"]) for node in cfg.metrics.values()),
    }


def config_hash(cfg: DictConfig) -> str:
    """SHA-256 of all settings that identify a run (``identifies_run``), not length, device, evaluation.

    A setting that a later version added counts only where it differs from the former behaviour, so that old
    runs keep their hash.
    """
    settings = OmegaConf.masked_copy(cfg, [str(key) for key in cfg if identifies_run(str(key))])
    device = {str(key): value for key, value in cfg.device.items() if identifies_run(f"device.{key}")}
    content = OmegaConf.to_container(settings)
    assert isinstance(content, dict)
    content = {
        key: value for key, value in content.items() if DEFAULTS_FOR_OLD_RUNS.get(str(key), ...) != value
    }
    plain = [content, device]
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()


def introduction(choices: Mapping[str, str], experiment: Experiment) -> str:
    """One line: data and where it is stored, networks, loss, device."""
    state, samples = experiment.state, experiment.data.arrays.samples
    shape = " x ".join(map(str, samples.shape[1:]))
    weights = ", ".join(f"{name} {count_weights(player.net):,}" for name, player in state.game.players.items())
    images = state.progress.images
    begun = f", from image {images:,}" if images else ""
    precision = experiment.hardware.precision
    reason = f" ({precision.name}: {precision.reason})" if precision.reason else ""
    return (
        f"ganexp {__version__}: {len(samples):,} samples of {shape} {experiment.data.store.place}, "
        f"weights {weights}, loss {choices['loss']}, on {experiment.hardware}{reason}{begun}"
    )


def epoch_line(epoch: int, epochs: int, progress: Progress, scalars: Mapping[str, float]) -> str:
    """One line for an epoch: progress, speed, each player's adversarial loss.

    For a player without an adversarial loss, all scalars of its turn.
    """
    players = dict.fromkeys(name.partition("/")[0] for name in scalars if name.endswith("/weight_norm"))
    losses = "  ".join(filter(None, (_player_losses(player, scalars) for player in players)))
    speed = scalars["speed/images_per_second"]
    return f"epoch {epoch}/{epochs}  {progress.images:,} images  {speed:,.0f} images/s  {losses}"


def _player_losses(player: str, scalars: Mapping[str, float]) -> str | None:
    if (loss := scalars.get(f"{player}/adversarial")) is not None:
        return f"{player} {loss:.3f}"
    pairs = [(name.partition("/"), value) for name, value in scalars.items()]
    turn = [(name, value) for (owner, _, name), value in pairs if owner == player and name not in _NOT_LOSSES]
    return " ".join([player, *(f"{name} {value:.3f}" for name, value in turn)]) if turn else None


def finished_already(folder: Path, cfg: DictConfig, progress: Progress, count: int) -> str:
    """One line for a run that is complete already, with the command that makes it longer."""
    if cfg.max_steps is not None and progress.step >= cfg.max_steps:
        longer = f"max_steps={2 * progress.step}"
    else:
        longer = f"epochs={2 * math.ceil(progress.images / count)}"
    onward = f"{quoted_override('resume', folder)} {longer} goes on"
    return f"{folder} is finished already, at {progress.images:,} images: {onward}"


def closing(folder: Path, progress: Progress) -> str:
    """The last line: images, time, the run folder and how to view it."""
    minutes, seconds = divmod(round(progress.seconds), 60)
    return (
        f"finished {progress.images:,} images in {minutes} min {seconds} s: {folder} "
        f"(samples/ has the grids; tensorboard --logdir {shlex.quote(str(folder.parent.parent))})"
    )
