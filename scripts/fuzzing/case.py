"""What a case of the fuzzer is, and what all kinds of cases change files with."""

import copy
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

ANY = frozenset({0, 1, 2, 130})
"""Statuses that a command may end with: done, failed or diverged, refused, stopped."""

REFUSED = frozenset({1, 2})
"""Where something must not be accepted."""


class Case(NamedTuple):
    """A command, run in the folder that was prepared for it, and the statuses that it may end with."""

    arguments: list[str]
    allowed: frozenset[int] = ANY


class Room(NamedTuple):
    """Where a case is prepared: a ``folder`` of its own, sound runs to copy, and a folder nobody may touch."""

    folder: Path
    sound: Path
    canary: Path


ODD: list[Any] = [
    None, True, "", "x", [], {}, [[]], -1, 0, 1, 2**31, 2**63, 10**30, 10**400, -0.5, 1e-320, 1e308,
    float("inf"), float("nan"), "nan", "${seed}", "${nothing}", "${oc.env:HOME}", "${", "???", "/etc",
    "../../canary", "\x1b[31mred\x1b[0m", "\u202e", "a\x00b", "a\nb", "x" * 5000, {"_target_": "os.system"},
    {"a": {"b": [1, {"c": None}]}}, [1, "a", None], "1e99", "~", "*", "🙂",
]  # fmt: skip
"""Values that something else was meant to stand in the place of."""


def damaged(rng: random.Random, raw: bytes) -> bytes:
    """The bytes of a file, cut, flipped, overwritten, repeated or put into another order."""
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
    """Nested dicts and lists with one value replaced by an odd one, removed, or put under another key."""
    tree = copy.deepcopy(tree)
    place, key = rng.choice(list(_places(tree)))
    how = rng.choice(["replace", "replace", "replace", "remove", "rename"])
    if how == "replace" or isinstance(place, list):
        place[key] = rng.choice(ODD)
    else:
        value = place.pop(key)
        if how == "rename":
            place[rng.choice(["x", "_target_", "", "a.b", f"{key} "])] = value
    return tree


def _places(tree: Any) -> Iterator[tuple[Any, Any]]:
    """Every value of nested dicts and lists: where it stands, and under which key."""
    keys = list(tree) if isinstance(tree, dict) else range(len(tree)) if isinstance(tree, list) else []
    for key in keys:
        yield tree, key
        yield from _places(tree[key])
