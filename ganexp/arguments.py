"""Arguments of the verbs that look at folders: paths, and settings written ``key=value``, as everywhere."""

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from ganexp.errors import UserError, suggest

_SETTING = re.compile(r"([A-Za-z_][\w./-]*?)(!=|<=|>=|=|<|>)(.*)", re.DOTALL)


class Setting(NamedTuple):
    """``key``, ``=`` (or ``!=``, ``<``, ``<=``, ``>``, ``>=``), ``value``."""

    key: str
    relation: str
    value: str


def parse(arguments: Sequence[str]) -> tuple[list[str], list[Setting]]:
    """Paths and settings. Raises UserError for an option that starts with a dash."""
    paths, settings = [], []
    for argument in arguments:
        found = _SETTING.fullmatch(argument)
        if argument.startswith("-"):
            raise UserError(f"{argument}: settings are written key=value")
        if found:
            settings.append(Setting(*found.groups()))
        else:
            paths.append(argument)
    return paths, settings


def known(settings: Iterable[Setting], keys: Sequence[str]) -> dict[str, str]:
    """The values of a verb that takes just these ``keys``. Raises UserError for another."""
    found = {}
    for key, relation, value in settings:
        if key not in keys or relation != "=":
            raise UserError(f"{key}{relation}{value}: no such setting; {suggest(key, keys)}")
        found[key] = value
    return found
