"""What of an exported folder goes to a hub, and checks of what comes from one."""

import hashlib
import json
from pathlib import Path
from typing import NamedTuple

from ganexp.config.stored import read_bounded_yaml
from ganexp.errors import UserError
from ganexp.export.shareable import LEFT_OUT, may_be_path
from ganexp.runs.exported import GENERATOR
from ganexp.system.atomic import read_regular
from ganexp.system.nested import leaves

RECORD = "export.json"

NAMES = (
    GENERATOR,
    "generator.onnx",
    "config.yaml",
    "run.json",
    "metrics.jsonl",
    "README.md",
    "samples.png",
    RECORD,
)
"""Of files that are sent and taken. ``generator.pt2`` is not: its example inputs are a pickle."""

_NEEDED = (GENERATOR, "config.yaml", RECORD)

_SMALL = 10_000_000
"""Bytes of every file but the generators'."""


class Sent(NamedTuple):
    """A file of an exported folder."""

    name: str
    size: int
    sha256: str


def files_of(folder: Path) -> list[Sent]:
    """The files that would be sent. Raises UserError where the folder was not exported, or names a path."""
    if not (folder / GENERATOR).is_file():
        raise UserError(
            f"run={folder}: was not exported: ganexp export run={folder} writes {folder / 'export'}, "
            "which can be sent"
        )
    _check_complete(folder, f"run={folder}")
    for path, value in leaves(read_bounded_yaml(folder / "config.yaml"), lists=True):
        if "_target_" not in path and isinstance(value, str) and may_be_path(value):
            key = ".".join(map(str, path))
            raise UserError(f"config.yaml: {key}={value} may be a path: write {LEFT_OUT} there")
    found = [folder / name for name in NAMES if (folder / name).is_file()]
    return [Sent(file.name, file.stat().st_size, sha256(file)) for file in found]


def check_taken(folder: Path, what: str) -> None:
    """Raises UserError where files that were taken are incomplete, or not those that were exported."""
    _check_complete(folder, what)
    try:
        hashes = dict(json.loads(read_regular(folder / RECORD, _SMALL))["sha256"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        raise UserError(f"{what}: {RECORD} is damaged") from None
    for name in (GENERATOR, "generator.onnx", "config.yaml", "run.json"):
        file = folder / name
        if file.is_file() and hashes.get(name) != sha256(file):
            raise UserError(f"{what}: {name} is not the file that was exported: its SHA-256 is another one")


def _check_complete(folder: Path, what: str) -> None:
    missing = [name for name in _NEEDED if not (folder / name).is_file()]
    if missing:
        raise UserError(f"{what}: {' and '.join(missing)} missing: this is no folder of ganexp export")


def sha256(file: Path) -> str:
    """Of a file's bytes, as hexadecimal digits."""
    return hashlib.sha256(file.read_bytes()).hexdigest()
