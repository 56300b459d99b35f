"""Nested dicts and lists, value by value."""

from collections.abc import Iterator, Mapping
from typing import Any

Path = tuple[str | int, ...]
"""Keys of dicts and indices of lists, from the outermost to the innermost."""


def leaves(node: Any, *, lists: bool, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Every value that is no dict, with its path; with ``lists``, the values of lists and tuples one by one."""
    if isinstance(node, Mapping):
        for key, value in node.items():
            yield from leaves(value, lists=lists, path=(*path, str(key)))
    elif lists and isinstance(node, list | tuple):
        for index, value in enumerate(node):
            yield from leaves(value, lists=lists, path=(*path, index))
    else:
        yield path, node
