"""Hostile run folders: configurations, manifests (run.json), metrics, links."""

import json
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from fuzzing.case import ANY, ODD, REFUSED, Case, Room, changed, damaged


def config(rng: random.Random, room: Room) -> Case:
    """A ``config.yaml`` with one value changed, damaged text, or a structure that is slow to parse."""
    run = copied(rng, room)
    file = run / "config.yaml"
    text = file.read_text(encoding="utf-8")
    how = rng.choice(["value", "value", "value", "damage", "structure"])
    if how == "value":
        file.write_text(yaml.safe_dump(changed(rng, yaml.safe_load(text)), allow_unicode=True))
    elif how == "damage":
        file.write_bytes(damaged(rng, text.encode()))
    else:
        file.write_text(rng.choice(STRUCTURES)(text))
    return looked_at(rng, room, run)


def receipt(rng: random.Random, room: Room) -> Case:
    """A ``run.json`` with one value changed, damaged text, or deep nesting."""
    run = copied(rng, room)
    _json(rng, run / "run.json")
    return looked_at(rng, room, run)


def metrics(rng: random.Random, room: Room) -> Case:
    """A ``metrics.jsonl`` or ``evaluations.jsonl`` with changed lines or damaged bytes."""
    run = copied(rng, room)
    file = run / "metrics.jsonl"
    lines = file.read_text(encoding="utf-8").splitlines()
    line = rng.choice(lines)
    for _ in range(rng.choice([1, 1, 3, 1000])):
        lines.insert(rng.randrange(len(lines) + 1), json.dumps(changed(rng, json.loads(line))))
    raw = "\n".join([*lines, ""]).encode()
    file.write_bytes(damaged(rng, raw) if rng.random() < 0.3 else raw)
    if rng.random() < 0.3:
        (run / "evaluations.jsonl").write_bytes(damaged(rng, raw))
    return looked_at(rng, room, run)


def links(rng: random.Random, room: Room) -> Case:
    """A run folder with a symbolic link out of it, through which nothing may be written."""
    run = copied(rng, room)
    name = rng.choice(["samples", "checkpoints", "metrics.jsonl", "train.log", "run.json", "evaluations.jsonl"])
    target = run / name
    shutil.rmtree(target) if target.is_dir() else target.unlink(missing_ok=True)
    target.symlink_to(room.canary if name in ("samples", "checkpoints") else room.canary / "kept.txt")
    return looked_at(rng, room, run)


def foreign_root(rng: random.Random, room: Room) -> Case:
    """A configuration whose data folder is a system folder."""
    run = copied(rng, room)
    file = run / "config.yaml"
    content = yaml.safe_load(file.read_text(encoding="utf-8"))
    kind = rng.choice(["folder.Folder", "mnist.MNIST", "cifar10.CIFAR10", "medmnist.MedMNIST"])
    content["data"] |= {
        "_target_": f"ganexp.data.{kind}",
        "root": rng.choice(["/etc", "/", "/proc/self", "/dev", str(room.canary), "/etc/passwd", "~"]),
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


def looked_at(rng: random.Random, room: Room, run: Path) -> Case:
    """A random command that reads the run folder."""
    other = room.sound / "plain"
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
        ANY,
    )


def copied(rng: random.Random, room: Room) -> Path:
    """A copy of a random valid run, to be changed."""
    run = room.folder / "runs" / "run"
    shutil.copytree(rng.choice(sorted(room.sound.iterdir())), run)
    return run


def _json(rng: random.Random, file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    how = rng.choice(["value", "value", "damage", "whole", "deep"])
    if how == "value":
        file.write_text(json.dumps(changed(rng, json.loads(text))))
    elif how == "damage":
        file.write_bytes(damaged(rng, text.encode()))
    elif how == "whole":
        file.write_text(json.dumps(rng.choice(ODD)))
    else:
        file.write_text('{"a":' * 50_000)


def _aliases(text: str) -> str:
    levels = [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 33)]
    return "\n".join(["a0: &a0 [x]", *levels, text])


STRUCTURES: list[Callable[[str], str]] = [
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
    "run.json": receipt,
    "metrics.jsonl": metrics,
    "links": links,
    "foreign root": foreign_root,
}
