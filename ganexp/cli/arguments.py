"""Arguments of the verbs that look at folders: paths, and settings written ``key=value``, as everywhere."""

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
    """Paths and settings; a folder that is there is none. Raises UserError for what starts with a dash."""
    paths, settings = [], []
    for argument in arguments:
        found = _SETTING.fullmatch(argument)
        if argument.startswith("-"):
            raise UserError(f"{argument}: settings are written key=value")
        if found and not _is_folder(argument):
            settings.append(Setting(*found.groups()))
        else:
            paths.append(argument)
    return paths, settings


def _is_folder(argument: str) -> bool:
    with suppress(OSError, ValueError):  # what is no name at all
        return Path(argument).is_dir()
    return False


def known(settings: Iterable[Setting], keys: Sequence[str]) -> dict[str, str]:
    """The values of a verb that takes just these ``keys``. Raises UserError for another."""
    found = {}
    for key, relation, value in settings:
        if key not in keys or relation != "=":
            raise UserError(f"{key}{relation}{value}: no such setting; {suggest(key, keys)}")
        found[key] = value
    return found
