"""Reads the ``config.yaml`` of a run folder. It may be untrusted, so its size is checked before it is loaded.

A kilobyte of YAML can expand to more than fits into memory (``b: [*a, *a]``, ``c: [*b, *b]``, ...), contain
itself, or be nested deeper than Python's recursion limit. ganexp writes no aliases, tags or interpolations, so
all three are refused; size, depth and number of values are limited.
"""

import re
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from ganexp.errors import UserError
from ganexp.system.atomic import read_regular

try:
    from yaml import CSafeLoader as _SafeLoader
except ImportError:  # PyYAML was built without libyaml
    from yaml import SafeLoader as _SafeLoader  # type: ignore[assignment]

MOST_BYTES = 1 << 20
MOST_VALUES = 3_000
DEEPEST = 32
"""A run's configuration has about 4 kB, 250 values and 5 levels; OmegaConf loads 3,000 values in a second."""


def read_stored(file: Path) -> dict[Any, Any]:
    """The content of a ``config.yaml`` as plain dicts, lists and values. Raises UserError, one line."""
    try:
        text = read_regular(file, MOST_BYTES).decode("utf-8")
    except OSError as error:
        raise UserError(f"{file} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UserError(f"{file} is damaged: it is not YAML") from None
    try:
        _check_bounds(text, file)
        content = yaml.load(text, _Loader)
    except (yaml.YAMLError, ValueError):  # ValueError: a malformed number, or one with too many digits
        raise UserError(f"{file} is damaged: it is not YAML") from None
    if not isinstance(content, dict) or not content:
        raise UserError(f"{file} is damaged: it holds no settings")
    return content


def _check_bounds(text: str, file: Path) -> None:
    """Checks the YAML's events, which builds no objects. Raises UserError, yaml.YAMLError."""
    depth = values = 0
    for event in yaml.parse(text, _SafeLoader):
        if isinstance(event, yaml.AliasEvent):
            raise UserError(f"{file} is damaged: it has aliases (*{event.anchor}), which ganexp never writes")
        tag, value = getattr(event, "tag", None), getattr(event, "value", "")
        if tag is not None:
            raise UserError(f"{file} is damaged: it has tags ({tag}), which ganexp never writes")
        if "${" in value:
            raise UserError(f"{file} is damaged: it was written without {value[:60]}")
        values += isinstance(event, yaml.NodeEvent)
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > DEEPEST:
            raise UserError(f"{file} is damaged: it is nested deeper than {DEEPEST} levels")
        if values > MOST_VALUES:
            raise UserError(f"{file} is damaged: it holds more than {MOST_VALUES:,} values")


class _Loader(_SafeLoader):
    """Reads as OmegaConf does: ``1e-5`` is a number, ``2026-01-01`` is text, duplicate keys are an error."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        if len(set(keys)) < len(keys):
            raise yaml.constructor.ConstructorError(None, None, "a key stands twice", node.start_mark)
        return super().construct_mapping(node, deep=deep)


_Loader.yaml_implicit_resolvers = {
    letter: [pair for pair in pairs if pair[0] != "tag:yaml.org,2002:timestamp"]
    for letter, pairs in _SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"[-+]?\d[\d_]*(\.[\d_]*)?[eE][-+]?\d+$"),
    list("-+0123456789."),
)
