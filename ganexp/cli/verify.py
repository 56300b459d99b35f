"""``ganexp verify``: does this machine reproduce a run's weights, and if not, which input differs?"""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from omegaconf import DictConfig
from tqdm import tqdm

from ganexp.config.stored import read_run
from ganexp.errors import UserError, readable
from ganexp.runs.bitwise import differences
from ganexp.runs.environment import environment
from ganexp.runs.manifest import Manifest, status_of
from ganexp.system.terminal import plural, print_lines
from ganexp.train import train_step
from ganexp.training.setup import Experiment, build_experiment
from ganexp.training.summary import facts

_COMPARED_KEYS = ("config", "steps", "seed", "device", "data", "versions", "git", "platform")


def verify(cfg: DictConfig) -> None:
    """Prints the comparison; exits with status 1 where something differs. Raises UserError."""
    folder = Path(cfg.run).expanduser()
    if cfg.against is None:
        reproduced = _repeat_first_steps(cfg, folder)
    else:
        differing = list(differences(folder, Path(cfg.against).expanduser()))
        lines = map(readable, differing or ["identical bit for bit: last checkpoint, metrics and grids"])
        print("\n".join(lines))
        reproduced = not differing
    if not reproduced:
        sys.exit(1)


def _repeat_first_steps(cfg: DictConfig, folder: Path) -> bool:
    """Repeats the first steps and compares weight hashes; True if all agree. Raises UserError."""
    manifest = Manifest(folder / "run.json").content
    known = {int(step): weights for step, weights in manifest.get("weights", {}).items()}
    hash_steps = sorted(step for step in known if step <= cfg.steps)
    if not hash_steps:
        raise UserError(
            f"{folder}/run.json holds no hashes of weights up to step {cfg.steps}: nothing to compare with"
        )
    run = read_run(cfg.run, trust=cfg.trust)
    if "count" in run.device:
        run.device.count = 1  # repeats in one process; if the run had more, that is printed as a difference
    run.resume, run.trust = str(folder), cfg.trust  # an untrusted run downloads no data
    experiment = build_experiment(run)
    experiment.hardware.precision.load_state_dict(
        {"name": manifest.get("precision")}
    )  # auto may choose another
    print_lines(f"{folder}: {status_of(folder)}, {plural(manifest.get('images') or 0, 'image')}")
    now = facts(run, experiment, {}) | environment()
    changed_inputs = list(
        _changes({key: manifest.get(key) for key in _COMPARED_KEYS}, {key: now[key] for key in _COMPARED_KEYS})
    )
    same = True
    for step, weights in _weight_hashes(experiment, hash_steps):
        equal = weights == known[step]
        same = same and equal
        print_lines(
            f"weights after {plural(step, 'step')}: {'the same' if equal else 'different'} ({weights[:16]})"
        )
    for line in changed_inputs:
        print_lines(f"input differs: {line}")
    if not same and not changed_inputs:
        print("all inputs in run.json are the same: this machine computes different results")
    return same


def _weight_hashes(experiment: Experiment, hash_steps: list[int]) -> Iterator[tuple[int, str]]:
    """Trains from the start; yields step and weight hash at step 0 and at each of ``hash_steps``."""
    progress = experiment.state.progress
    yield 0, experiment.state.weights_hash()
    with tqdm(total=hash_steps[-1], unit=" steps", disable=None, leave=False) as bar:
        while progress.step < hash_steps[-1]:
            for batch in experiment.data.loader.epoch():
                train_step(experiment, batch, 1.0)
                bar.update()
                if progress.step in hash_steps:
                    yield progress.step, experiment.state.weights_hash()
                if progress.step == hash_steps[-1]:
                    break


def _changes(before: dict[str, Any], now: dict[str, Any], name: str = "") -> Iterator[str]:
    """One line for each value that differs between the manifest and now, nested keys joined by dots."""
    for key, value in now.items():
        known = before.get(key)
        if isinstance(known, dict) and isinstance(value, dict):
            yield from _changes(known, value, f"{name}{key}.")
        elif known != value:
            yield f"{name}{key} {_short(known)} -> {_short(value)}"


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 60 else f"{text[:16]}..."
