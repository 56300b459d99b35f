"""What of an exported folder goes to a hub, and checks of what comes from one."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from ganexp.config.exported_files import GENERATOR, RECORD, SHARED
from ganexp.config.stored import read_bounded_yaml
from ganexp.errors import UserError
from ganexp.export.shareable import may_be_path
from ganexp.system.atomic import read_regular
from ganexp.system.nested import leaves

_NEEDED = (GENERATOR, "config.yaml", RECORD)

_MOST = 1_000_000
"""Bytes of a record that is read."""


class Sent(NamedTuple):
    """A file of an exported folder."""

    name: str
    size: int
    sha256: str


def files_of(folder: Path) -> list[Sent]:
    """The files that would be sent. Raises UserError where one is not as it was exported, or names a path."""
    what = f"run={folder}"
    if not folder.is_dir():
        raise UserError(f"{what}: there is no such folder")
    if not (folder / GENERATOR).is_file():
        raise UserError(f"{what}: was not exported: ganexp export run={folder} writes {folder / 'export'}")
    found = [folder / name for name in SHARED if (folder / name).exists()]
    for file in found:
        if file.is_symlink():
            raise UserError(f"{what}: {file.name} is a link: only files of the folder itself are sent")
    hashes = check_taken(folder, what)
    for name, key, value in _settings(folder):
        if may_be_path(value):
            raise UserError(f"{name}: {key}={value} may be a path: change it in the run, and export it again")
    return [Sent(file.name, file.stat().st_size, hashes[file.name]) for file in found]


def _settings(folder: Path) -> Iterator[tuple[str, str, str]]:
    """File, dotted key and value of every text in config.yaml and run.json. Raises UserError."""
    for name in ("config.yaml", "run.json"):
        if (folder / name).is_file():
            for path, value in leaves(read_bounded_yaml(folder / name), lists=True):  # JSON is YAML
                if isinstance(value, str):
                    yield name, ".".join(map(str, path)), value


def check_taken(folder: Path, what: str) -> dict[str, str]:
    """The SHA-256 of each file by its name.

    Raises UserError where files are missing, or not those that were exported; the card may be edited.
    """
    missing = [name for name in _NEEDED if not (folder / name).is_file()]
    if missing:
        raise UserError(f"{what}: {' and '.join(missing)} missing: this is no folder of ganexp export")
    try:
        recorded: dict[str, Any] = dict(json.loads(read_regular(folder / RECORD, _MOST))["sha256"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        raise UserError(f"{what}: {RECORD} is damaged") from None
    hashes = {name: sha256(folder / name) for name in SHARED if (folder / name).is_file()}
    for name, found in hashes.items():
        if name not in (RECORD, "README.md") and recorded.get(name) != found:
            raise UserError(f"{what}: {name} is not the file that was exported: its SHA-256 is another one")
    return hashes


def sha256(file: Path) -> str:
    """Of a file's bytes, as hexadecimal digits."""
    return hashlib.sha256(file.read_bytes()).hexdigest()
