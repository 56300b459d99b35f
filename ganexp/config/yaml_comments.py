"""Reads the comments of the YAML files in ``conf``: the sentence of each setting, which help shows.

A setting's sentence is the comment on its line or directly above it. A file's heading is the comment before its
first key.
"""

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import yaml

try:
    from yaml import CSafeLoader as _SafeLoader
except ImportError:  # PyYAML was built without libyaml
    from yaml import SafeLoader as _SafeLoader  # type: ignore[assignment]

_PACKAGE = "@package "
_COMMENT = re.compile(r"(?:^|\s)#\s?(.*)$")


class YamlComments(NamedTuple):
    """The comments of one file. A leaf is a value that is no block mapping; ``{low: 0}`` is a leaf."""

    heading: str
    """The comment before the first key, as one line."""

    is_global: bool
    """Whether keys are paths from the root (``@package _global_``), and not from the group's node."""

    leaves: dict[str, str]
    """Dotted path -> sentence, or an empty text; without ``_target_``, ``_partial_``, ``hydra``."""

    nodes: dict[str, str]
    """The same for keys whose value is a block mapping."""

    groups: dict[str, str]
    """Entry of the defaults list (``metrics@checks``) -> sentence, or an empty text."""


@cache
def read_comments(file: Path) -> YamlComments:
    """The comments of a YAML file of ``conf``. Raises OSError, yaml.YAMLError."""
    text = file.read_text(encoding="utf-8")
    lines = text.split("\n")
    root = yaml.compose(text, _SafeLoader)
    first = root.start_mark.line if isinstance(root, yaml.MappingNode) else len(lines)
    heading = [line.lstrip("# ") for line in lines[:first] if line.startswith("#")]
    comments = YamlComments(
        " ".join(line for line in heading if not line.startswith(_PACKAGE)),
        f"{_PACKAGE}_global_" in heading,
        {},
        {},
        {},
    )
    if isinstance(root, yaml.MappingNode):
        _collect(root, "", lines, first, comments)
    return comments


def _collect(node: yaml.MappingNode, prefix: str, lines: list[str], first: int, into: YamlComments) -> None:
    for key, value in node.value:
        name, path = str(key.value), f"{prefix}{key.value}"
        if path == "defaults":
            for entry, chosen in _entries(value):
                into.groups[entry.value] = _sentence(entry, chosen, lines, first)
        elif path == "hydra" or name in ("_target_", "_partial_"):
            continue
        elif isinstance(value, yaml.MappingNode) and not value.flow_style and value.value:
            into.nodes[path] = _sentence(key, value, lines, first)
            _collect(value, f"{path}.", lines, first, into)
        else:
            into.leaves[path] = _sentence(key, value, lines, first)


def _entries(defaults: yaml.Node) -> Iterator[tuple[yaml.ScalarNode, yaml.Node]]:
    """The ``group: choice`` entries of a defaults list, without overrides of other files' choices."""
    for item in defaults.value:
        for key, value in item.value if isinstance(item, yaml.MappingNode) else ():
            if not key.value.startswith("override "):
                yield key, value


def _sentence(key: yaml.Node, value: yaml.Node, lines: list[str], first: int) -> str:
    """The comment behind a key and its value, or else the comment lines directly above the key."""
    line = key.start_mark.line
    end = value.end_mark if value.end_mark.line == line else key.end_mark
    behind = _COMMENT.search(lines[line][end.column :])
    if behind:
        return behind[1].strip()
    above: list[str] = []
    indent = lines[line][: key.start_mark.column]
    while line - 1 > first and lines[line - 1].startswith(f"{indent}#"):
        line -= 1
        above.insert(0, lines[line].strip("# "))
    return " ".join(above)
