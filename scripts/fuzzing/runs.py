"""Hostile run folders: configurations, manifests (run.json), metrics, links."""

import json
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from fuzzing.case import ANY_STATUS, ODD_VALUES, REFUSED, Case, CasePaths, changed, damaged


def config(rng: random.Random, paths: CasePaths) -> Case:
    """A ``config.yaml`` with one value changed, damaged text, or a structure that is slow to parse."""
    run = copied(rng, paths)
    file = run / "config.yaml"
    text = file.read_text(encoding="utf-8")
    how = rng.choice(["value", "value", "value", "damage", "structure"])
    if how == "value":
        file.write_text(yaml.safe_dump(changed(rng, yaml.safe_load(text)), allow_unicode=True))
    elif how == "damage":
        file.write_bytes(damaged(rng, text.encode()))
    else:
        file.write_text(rng.choice(YAML_STRUCTURES)(text))
    return reading_command(rng, paths, run)


def manifest(rng: random.Random, paths: CasePaths) -> Case:
    """A ``run.json`` with one value changed, damaged text, or deep nesting."""
    run = copied(rng, paths)
    _json(rng, run / "run.json")
    return reading_command(rng, paths, run)


def metrics(rng: random.Random, paths: CasePaths) -> Case:
    """A ``metrics.jsonl`` or ``evaluations.jsonl`` with changed lines or damaged bytes."""
    run = copied(rng, paths)
    file = run / "metrics.jsonl"
    lines = file.read_text(encoding="utf-8").splitlines()
    line = rng.choice(lines)
    for _ in range(rng.choice([1, 1, 3, 1000])):
        lines.insert(rng.randrange(len(lines) + 1), json.dumps(changed(rng, json.loads(line))))
    raw = "\n".join([*lines, ""]).encode()
    file.write_bytes(damaged(rng, raw) if rng.random() < 0.3 else raw)
    if rng.random() < 0.3:
        (run / "evaluations.jsonl").write_bytes(damaged(rng, raw))
    return reading_command(rng, paths, run)


def links(rng: random.Random, paths: CasePaths) -> Case:
    """A run folder with a symbolic link out of it, through which nothing may be written."""
    run = copied(rng, paths)
    name = rng.choice(["samples", "checkpoints", "metrics.jsonl", "train.log", "run.json", "evaluations.jsonl"])
    target = run / name
    shutil.rmtree(target) if target.is_dir() else target.unlink(missing_ok=True)
    target.symlink_to(paths.canary if name in ("samples", "checkpoints") else paths.canary / "kept.txt")
    return reading_command(rng, paths, run)


def foreign_root(rng: random.Random, paths: CasePaths) -> Case:
    """A configuration whose data folder is a system folder."""
    run = copied(rng, paths)
    file = run / "config.yaml"
    content = yaml.safe_load(file.read_text(encoding="utf-8"))
    kind = rng.choice(["folder.Folder", "mnist.MNIST", "cifar10.CIFAR10", "medmnist.MedMNIST"])
    content["data"] |= {
        "_target_": f"ganexp.data.{kind}",
        "root": rng.choice(["/etc", "/", "/proc/self", "/dev", str(paths.canary), "/etc/passwd", "~"]),
        "split": None if kind == "folder.Folder" else "train",
        "resolution": 8,
        "shape": [1, 8, 8],
    }
    more = {
        "folder": {"channels": 1, "crop": "centre", "on_error": "raise"},
        "medmnist": {"subset": "octmnist"},
    }
    content["data"] |= more.get(kind.split(".")[0], {})
    file.write_text(yaml.safe_dump(content))
    verb = rng.choice(["evaluate", "neighbours", "verify"])
    return Case([verb, f"run={run}"], REFUSED)


def reading_command(rng: random.Random, paths: CasePaths, run: Path) -> Case:
    """A random command that reads the run folder."""
    other = paths.valid / "plain"
    return Case(
        rng.choice(
            [
                ["runs", str(run.parent)],
                ["diff", str(run), str(other)],
                ["compare", str(run), str(other)],
                ["sample", f"run={run}", "n=4", "checkpoint=last"],
                ["sample", f"run={run}", "n=2", "format=png"],
                ["evaluate", f"run={run}", "count=40", "features=pixels", "metrics=swd"],
                ["neighbours", f"run={run}", "n=2", "count=20"],
                ["verify", f"run={run}", "steps=1"],
                ["film", f"run={run}"],
                ["train", f"resume={run}", "epochs=3"],
            ]
        ),
        ANY_STATUS,
    )


def copied(rng: random.Random, paths: CasePaths) -> Path:
    """A copy of a random valid run, to be changed."""
    run = paths.folder / "runs" / "run"
    shutil.copytree(rng.choice(sorted(paths.valid.iterdir())), run)
    return run


def _json(rng: random.Random, file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    how = rng.choice(["value", "value", "damage", "whole", "deep"])
    if how == "value":
        file.write_text(json.dumps(changed(rng, json.loads(text))))
    elif how == "damage":
        file.write_bytes(damaged(rng, text.encode()))
    elif how == "whole":
        file.write_text(json.dumps(rng.choice(ODD_VALUES)))
    else:
        file.write_text('{"a":' * 50_000)


def _aliases(text: str) -> str:
    levels = [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 33)]
    return "\n".join(["a0: &a0 [x]", *levels, text])


YAML_STRUCTURES: list[Callable[[str], str]] = [
    _aliases,
    lambda text: f"self: &self [*self]\n{text}",
    lambda text: f"merged: &m\n  <<: *m\n{text}",
    lambda text: f"deep: {'{a: ' * 5000}1{'}' * 5000}\n{text}",
    lambda text: f"deep: {'[' * 5000}\n{text}",
    lambda text: "".join(f"key{n}: {n}\n" for n in range(20_000)) + text,
    lambda text: f"code: !!python/object/apply:os.system [touch {os.sep}tmp{os.sep}never]\n{text}",
    lambda text: text.replace("_target_: ganexp.", "_target_: os.", 1),
    lambda text: text + text,
    lambda text: "- " + text.replace("\n", "\n  "),
    lambda text: "",
    lambda text: "5",
    lambda text: f"{text}\n---\n{text}",
]


KINDS: dict[str, Any] = {
    "config.yaml": config,
    "run.json": manifest,
    "metrics.jsonl": metrics,
    "links": links,
    "foreign root": foreign_root,
}
