"""Parses the arguments of the verbs that read folders: paths, and settings written ``key=value``."""

import re
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from ganexp.errors import UserError, suggest

_SETTING = re.compile(r"([A-Za-z_][\w./-]*?)(!=|<=|>=|=|<|>)(.*)", re.DOTALL)


class Setting(NamedTuple):
    """``key``, ``=`` (or ``!=``, ``<``, ``<=``, ``>``, ``>=``), ``value``."""

    key: str
    relation: str
    value: str


def parse(arguments: Sequence[str]) -> tuple[list[str], list[Setting]]:
    """Paths and settings; an existing folder's path may contain ``=``. Raises UserError for a leading dash."""
    paths, settings = [], []
    for argument in arguments:
        match = _SETTING.fullmatch(argument)
        if argument.startswith("-"):
            raise UserError(f"{argument}: settings are written key=value, without dashes")
        if match and not _is_folder(argument):
            settings.append(Setting(*match.groups()))
        else:
            paths.append(argument)
    return paths, settings


def _is_folder(argument: str) -> bool:
    with suppress(OSError, ValueError):  # not a valid path
        return Path(argument).is_dir()
    return False


def values_by_key(settings: Iterable[Setting], keys: Sequence[str]) -> dict[str, str]:
    """The values by key. Raises UserError for a key that is not in ``keys``, or a relation other than ``=``."""
    values = {}
    for key, relation, value in settings:
        if key not in keys or relation != "=":
            raise UserError(f"{key}{relation}{value}: no such setting; {suggest(key, keys)}")
        values[key] = value
    return values
