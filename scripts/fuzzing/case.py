"""A case of the fuzzer, and helpers that damage files and values."""

import copy
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

ANY_STATUS = frozenset({0, 1, 2, 130})
"""Statuses that a command may end with: done, failed or diverged, refused, stopped."""

REFUSED = frozenset({1, 2})
"""Allowed statuses where the input must not be accepted."""


class Case(NamedTuple):
    """A command, run in the folder prepared for it, and its allowed exit statuses."""

    arguments: list[str]
    allowed: frozenset[int] = ANY_STATUS


class CasePaths(NamedTuple):
    """The paths of a case: its own ``folder``, valid runs to copy, and a ``canary`` that must not change."""

    folder: Path
    valid: Path
    canary: Path


ODD_VALUES: list[Any] = [
    None, True, "", "x", [], {}, [[]], -1, 0, 1, 2**31, 2**63, 10**30, 10**400, -0.5, 1e-320, 1e308,
    float("inf"), float("nan"), "nan", "${seed}", "${nothing}", "${oc.env:HOME}", "${", "???", "/etc",
    "../../canary", "\x1b[31mred\x1b[0m", "\u202e", "a\x00b", "a\nb", "x" * 5000, {"_target_": "os.system"},
    {"a": {"b": [1, {"c": None}]}}, [1, "a", None], "1e99", "~", "*", "🙂",
]  # fmt: skip
"""Unexpected values, to replace valid ones."""


def damaged(rng: random.Random, raw: bytes) -> bytes:
    """The bytes of a file, damaged: cut, flipped, overwritten, repeated, inserted into or emptied."""
    content = bytearray(raw)
    how = rng.choice(["cut", "flip", "flip", "flips", "fill", "repeat", "insert", "empty"])
    at = rng.randrange(len(content) + 1) if content else 0
    if how == "cut":
        del content[at:]
    elif how in ("flip", "flips") and content:
        for _ in range(1 if how == "flip" else 50):
            content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    elif how == "fill":
        content[at : at + 64] = rng.choice([b"\0", b"\xff"]) * 64
    elif how == "repeat":
        content[at:at] = content[:4096]
    elif how == "insert":
        content[at:at] = rng.randbytes(16)
    else:
        content.clear()
    return bytes(content)


def changed(rng: random.Random, tree: Any) -> Any:
    """A copy of nested dicts and lists with one value replaced by an odd one, removed, or its key renamed."""
    tree = copy.deepcopy(tree)
    place, key = rng.choice(list(_entries(tree)))
    how = rng.choice(["replace", "replace", "replace", "remove", "rename"])
    if how == "replace" or isinstance(place, list):
        place[key] = rng.choice(ODD_VALUES)
    else:
        value = place.pop(key)
        if how == "rename":
            place[rng.choice(["x", "_target_", "", "a.b", f"{key} "])] = value
    return tree


def _entries(tree: Any) -> Iterator[tuple[Any, Any]]:
    """The container and the key of every value in nested dicts and lists."""
    keys = list(tree) if isinstance(tree, dict) else range(len(tree)) if isinstance(tree, list) else []
    for key in keys:
        yield tree, key
        yield from _entries(tree[key])
