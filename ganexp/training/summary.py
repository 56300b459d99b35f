"""Lines about a run for the terminal and train.log, and entries of its manifest (run.json)."""

import hashlib
import json
import math
import shlex
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from ganexp import __version__
from ganexp.config.combinations import combination_warnings
from ganexp.config.resolvers import identifies_run
from ganexp.config.stored import DEFAULTS_FOR_OLD_RUNS, foreign_targets, without_added
from ganexp.games.influence import ignored_conditions, influence_text
from ganexp.losses import Logistic
from ganexp.metrics.directions import metric_directions
from ganexp.nets.layers import count_weights
from ganexp.runs.records import early_grids, grids
from ganexp.system.terminal import align_columns, duration, plural, quoted_override
from ganexp.training.setup import Experiment
from ganexp.training.state import Progress

_NOT_LOSSES = ("gradient_norm", "weight_norm", "lr")
"""Scalars of a player that are no losses or logs of its turn."""

_SIMILAR_SECONDS, _SIMILAR_SHARE = 5.0, 0.2
"""Up to such a difference, the time of a run is said once: the larger of seconds and share of the time."""


def facts(cfg: DictConfig, experiment: Experiment, choices: Mapping[str, str]) -> dict[str, Any]:
    """The manifest's entries on configuration, device and data."""
    data = experiment.data.arrays
    degrade = experiment.state.game.parts.degrade
    made_from = {} if degrade is None else {"made_from": degrade.about}
    return made_from | {
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
    content["data"] = without_added(content["data"])
    plain = [content, device]
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()


def first_lines(choices: Mapping[str, str], experiment: Experiment, cfg: DictConfig) -> list[str]:
    """Data and where it is stored, networks, loss, device; warnings; whether ``epochs`` ends the run early."""
    state, samples = experiment.state, experiment.data.arrays.samples
    shape = " x ".join(map(str, samples.shape[1:]))
    weights = ", ".join(f"{name} {count_weights(player.net):,}" for name, player in state.game.players.items())
    images = state.progress.images
    begun = f", from image {images:,}" if images else ""
    precision = experiment.hardware.precision
    reason = f" ({precision.name}: {precision.reason})" if precision.reason else ""
    introduction = (
        f"ganexp {__version__}: {len(samples):,} samples of {shape} {experiment.data.store.place}, "
        f"weights {weights}, loss {choices['loss']}, on {experiment.hardware}{reason}{begun}"
    )
    degrade = state.game.parts.degrade
    sources = [] if degrade is None else [f"made from: {degrade.about}"]
    return [
        introduction,
        *sources,
        *state.game.about(),
        *combination_warnings(cfg),
        *_rare_steps(cfg, experiment),
        *_surplus_steps(cfg, experiment),
    ]


def _rare_steps(cfg: DictConfig, experiment: Experiment) -> list[str]:
    """One line for each player that moves in every n-th step only, such as a Wasserstein GAN's generator."""
    rare = [(name, player.every) for name, player in experiment.state.game.players.items() if player.every > 1]
    return [
        f"{name} moves in one step of {every}: epochs={cfg.epochs * every} gives it as many steps as "
        f"epochs={cfg.epochs} would if it moved in each"
        for name, every in rare
    ]


def _surplus_steps(cfg: DictConfig, experiment: Experiment) -> list[str]:
    """One line where ``epochs`` ends the run before ``max_steps``; otherwise none."""
    steps, wanted = experiment.steps, cfg.max_steps
    if wanted is None or wanted <= steps:
        return []
    needed = _epochs_of(wanted, cfg.batch_size, len(experiment.data.loader))
    return [
        f"max_steps={wanted}: the run ends before, after {plural(steps, 'step')}, because epochs={cfg.epochs}; "
        f"so many steps need epochs={needed}"
    ]


def epoch_lines(
    epoch: str, experiment: Experiment, scalars: Mapping[str, float], scores: dict[str, float]
) -> list[str]:
    """An epoch's progress, speed and losses, and in a second line its scores, if there are any.

    D(x) and D(G(z)) are told only where the loss makes probabilities of logits. Of a player without an
    adversarial loss, all scalars of its turn are told. The influence of labels and codes on the samples is told
    where there are any, and which of them the generator ignores. ``epoch``: its number, such as ``3/30``.
    """
    state = experiment.state
    probabilities = isinstance(state.game.parts.loss, Logistic)
    players = dict.fromkeys(name.partition("/")[0] for name in scalars if name.endswith("/weight_norm"))
    outputs = [_outputs(player, scalars) for player in players] if probabilities else []
    losses = [_player_losses(player, scalars) for player in players]
    speed = f"{scalars['speed/images_per_second']:,.0f} images/s"
    shown = [f"epoch {epoch}", f"{state.progress.images:,} images", speed, *outputs, *losses]
    lines = ["  ".join(filter(None, [*shown, influence_text(scalars)]))]
    if scores and (ignored := ignored_conditions(scalars)):
        lines.append(f"epoch {epoch}  {ignored}")
    if scores:
        lines.append(f"epoch {epoch}  {experiment.evaluation.periodic.changes(scores)}")
    return lines


def _epochs_of(steps: int, batch_size: int, count: int) -> int:
    """The epochs of ``count`` samples that so many steps need; the last step is in the last of them."""
    return (steps - 1) * batch_size // count + 1


def _outputs(player: str, scalars: Mapping[str, float]) -> str | None:
    """A discriminator's mean outputs for real and for generated samples; None for other players."""
    real, fake = scalars.get(f"{player}/D_x"), scalars.get(f"{player}/D_G_z")
    return None if real is None or fake is None else f"D(x) {real:.3f}  D(G(z)) {fake:.3f}"


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
    elif cfg.max_steps is not None:  # epochs ended it before
        longer = f"epochs={_epochs_of(cfg.max_steps, cfg.batch_size, count)}"
    else:
        longer = f"epochs={2 * math.ceil(progress.images / count)}"
    onward = f"{quoted_override('resume', folder)} {longer} goes on"
    return f"{folder} is finished already, at {progress.images:,} images: {onward}"


def last_lines(folder: Path, cfg: DictConfig, experiment: Experiment, trained_before: float) -> list[str]:
    """How long the run took, and what can be done with it. ``trained_before``: see ``ending``."""
    elapsed = time.monotonic() - experiment.began
    first = ending(folder, experiment.state.progress, elapsed, trained_before)
    return [first, *next_commands(folder, cfg).splitlines()]


def ending(folder: Path, progress: Progress, elapsed: float, trained_before: float) -> str:
    """One line: images, time, the run folder.

    ``elapsed``: seconds since this process began with the run; ``trained_before``: seconds of training steps
    before that. The time of the steps is said beside it where it is another.
    """
    taken = duration(elapsed)
    if trained_before:
        taken += f" since it was resumed, {duration(progress.seconds)} of training in all"
    elif elapsed - progress.seconds > max(_SIMILAR_SECONDS, _SIMILAR_SHARE * elapsed):
        taken += f", {duration(progress.seconds)} of it training"
    return f"finished {progress.images:,} images in {taken}: {folder}"


def next_commands(folder: Path, cfg: DictConfig) -> str:
    """Lines on what to do with a finished run: its last grid, and commands that can be pasted into a shell."""
    trust = " trust=true" if foreign_targets(cfg) else ""
    made, run = grids(folder), quoted_override("run", folder) + trust
    lines = [("last grid:", str(made[-1]))] if made else []
    lines.append(("more samples:", f"ganexp sample {run}"))
    if len(made) + len(early_grids(folder)) > 1:
        lines.append(("a film of its grids:", f"ganexp film {run}"))
    lines.append(("compare runs:", f"ganexp compare {shlex.quote(str(folder.parent))}"))
    lines.append(("curves:", f"tensorboard --logdir {shlex.quote(str(folder.parent.parent))}"))
    return align_columns(lines)
