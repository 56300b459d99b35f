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
from ganexp.runs.manifest import Manifest, environment, status_of
from ganexp.system.terminal import print_lines
from ganexp.train import one_step
from ganexp.training.setup import Experiment, build_experiment
from ganexp.training.summary import facts

_INPUTS = ("config", "steps", "seed", "device", "data", "versions", "git", "platform")


def verify(cfg: DictConfig) -> None:
    """Prints the comparison; exits with status 1 where something differs. Raises UserError."""
    folder = Path(cfg.run).expanduser()
    if cfg.against is None:
        same = _repeat(cfg, folder)
    else:
        found = list(differences(folder, Path(cfg.against).expanduser()))
        told = map(readable, found or ["the same, bit for bit: last checkpoint, metrics and grids"])
        print("\n".join(told))
        same = not found
    if not same:
        sys.exit(1)


def _repeat(cfg: DictConfig, folder: Path) -> bool:
    """Repeats the first steps and compares weight hashes; True if all agree. Raises UserError."""
    manifest = Manifest(folder / "run.json").content
    known = {int(step): weights for step, weights in manifest.get("weights", {}).items()}
    marks = sorted(step for step in known if step <= cfg.steps)
    if not marks:
        raise UserError(f"{folder}/run.json holds no hashes of weights: there is nothing to compare with")
    run = read_run(cfg.run, trust=cfg.trust)
    if "count" in run.device:
        run.device.count = 1  # repeats in one process; if the run had more, that is printed as a difference
    run.resume, run.trust = str(folder), cfg.trust  # an untrusted run downloads no data
    experiment = build_experiment(run)
    print_lines(f"{folder}: {status_of(folder)}, {manifest.get('images') or 0:,} images")
    now = facts(run, experiment, {}) | environment()
    changed = list(_changes({key: manifest.get(key) for key in _INPUTS}, {key: now[key] for key in _INPUTS}))
    same = True
    for step, weights in _weights(experiment, marks):
        agree = weights == known[step]
        same = same and agree
        print_lines(f"weights after {step} steps: {'the same' if agree else 'different'} ({weights[:16]})")
    for line in changed:
        print_lines(f"input differs: {line}")
    if not same and not changed:
        print("no input differs that run.json knows of: this machine computes differently")
    return same


def _weights(experiment: Experiment, marks: list[int]) -> Iterator[tuple[int, str]]:
    """Trains from the start; yields step and weight hash at step 0 and at each of ``marks``."""
    progress = experiment.state.progress
    yield 0, experiment.state.weights_hash()
    with tqdm(total=marks[-1], unit=" steps", disable=None, leave=False) as bar:
        while progress.step < marks[-1]:
            for batch in experiment.data.loader.epoch():
                one_step(experiment, batch, 1.0)
                bar.update()
                if progress.step in marks:
                    yield progress.step, experiment.state.weights_hash()
                if progress.step == marks[-1]:
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
