"""The files of paired images in a folder or a zip. The layout follows from the folders' names.

| layout | A | B |
|---|---|---|
| ``1.jpg`` or ``train/1.jpg``: one file per pair | left half | right half |
| ``A/1.png`` and ``B/1.png``, also below ``train/`` or with ``train/`` below | ``A`` | ``B`` |
| ``trainA/1.png`` and ``trainB/1.png`` | ``trainA`` | ``trainB`` |
| ``LR`` and ``HR``; ``lq`` and ``gt``; ``input`` and ``target`` | the first | the second |

In two folders, files belong together if their names without ending are equal.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath
from typing import Literal, NamedTuple

from ganexp.data.file_tree import FileTree
from ganexp.errors import UserError

Side = Literal["A", "B"]

SPLITS = ("train", "valid", "val", "test")

_SIDES = (("a", "b"), ("lr", "hr"), ("lq", "gt"), ("input", "target"))
_OTHER = {name: pair[1 - side] for pair in _SIDES for side, name in enumerate(pair)}
_SIDE: dict[str, Side] = {**{a: "A" for a, _ in _SIDES}, **{b: "B" for _, b in _SIDES}}
_SPLIT_AND_SIDE = re.compile(rf"({'|'.join(SPLITS)})(A|B)")


class FilePair(NamedTuple):
    """The names of the files that hold A and B; they are equal where A and B are halves of one file."""

    a: str
    b: str


class PairFiles(NamedTuple):
    """The pairs of a split. ``halves``: A and B are halves of one file. ``unpaired``: reasons, one per name."""

    pairs: Sequence[FilePair]
    halves: bool
    unpaired: Sequence[str]


class _Place(NamedTuple):
    """What a file's folders say. ``key``: its name without these folders and, on a side, without ending."""

    split: str | None
    side: Side | None
    key: str
    name: str


def find_pairs(tree: FileTree, split: str | None) -> PairFiles:
    """The pairs of ``split``; None: of ``train`` if there is one, else all. Raises UserError without any."""
    chosen = _places_of_split(tree, split)
    if any(place.side is None for place in chosen):
        return PairFiles([FilePair(place.name, place.name) for place in chosen], True, [])
    return _joined(tree, chosen)


def splits_of(tree: FileTree) -> set[str]:
    """The names of the splits; empty if there are none. Raises UserError where there are no pairs."""
    return _splits(_places(tree))


def find_domains(tree: FileTree, split: str | None) -> dict[Side, list[str]]:
    """The names of the images of A and of B, which need not belong together. ``split``: see ``find_pairs``.

    Raises UserError where one of the two has none.
    """
    chosen = _places_of_split(tree, split)
    found: dict[Side, list[str]] = {
        side: [place.name for place in chosen if place.side == side] for side in ("A", "B")
    }
    missing = next((side for side, names in found.items() if not names), None)
    if missing is not None:
        raise UserError(
            f"{tree.root}: there is no image of domain {missing}: it needs folders trainA and trainB, or A and "
            "B; two folders of other names are set as data.a and data.b"
        )
    return found


def _splits(places: Iterable[_Place]) -> set[str]:
    return {place.split for place in places if place.split is not None}


def _places_of_split(tree: FileTree, split: str | None) -> list[_Place]:
    places = _places(tree)
    splits = _splits(places)
    if split is None:
        split = "train" if "train" in splits else None
    elif split not in splits:
        told = f"it has {', '.join(sorted(splits))}" if splits else "it has no folders train, val or test"
        raise UserError(f"data.split={split}: {tree.root}: {told}")
    return [place for place in places if split is None or place.split == split]


def _places(tree: FileTree) -> list[_Place]:
    """Where each image belongs. Raises UserError where some images are in one layout and some in another."""
    if not tree.names:
        raise UserError(f"{tree.root}: there is no image in it")
    places = [_place(name) for name in tree.names]
    in_folders, whole = ([p for p in places if (p.side is None) == none] for none in (False, True))
    if in_folders and whole:
        raise UserError(
            f"{tree.root}: {in_folders[0].name} is one image of a pair, and {whole[0].name} is not: "
            "name a folder with nothing but pairs in one layout"
        )
    if whole and any(place.split for place in whole) and not all(place.split for place in whole):
        raise UserError(
            f"{tree.root}: some images are in folders {', '.join(sorted(_splits(whole)))} and "
            f"{next(place.name for place in whole if not place.split)} is not"
        )
    return places


def _place(name: str) -> _Place:
    folders, file = PurePosixPath(name).parts[:-1], PurePosixPath(name).stem
    found = _SPLIT_AND_SIDE.fullmatch(folders[0]) if folders else None
    if found:
        side: Side = "A" if found[2] == "A" else "B"
        return _Place(found[1], side, "/".join([*folders[1:], file]), name)
    at = next((index for index, folder in enumerate(folders[:2]) if folder in SPLITS), None)
    others = [folder for index, folder in enumerate(folders) if index != at]
    side_name = others[0].lower() if others else ""
    if side_name in _SIDE:
        split = None if at is None else folders[at]
        return _Place(split, _SIDE[side_name], "/".join([*others[1:], file]), name)
    return _Place(folders[0] if at == 0 else None, None, name, name)


def _joined(tree: FileTree, places: Sequence[_Place]) -> PairFiles:
    """Joins the files of two folders by name. Raises UserError where a folder has no counterpart."""
    sides: dict[tuple[str, str], dict[Side, list[str]]] = defaultdict(lambda: {"A": [], "B": []})
    for place in places:
        assert place.side is not None
        sides[place.split or "", place.key][place.side].append(place.name)
    pairs, unpaired = [], []
    for found in sides.values():
        names = [*found["A"], *found["B"]]
        if len(found["A"]) == len(found["B"]) == 1:
            pairs.append(FilePair(*names))
        elif len(names) == 1:
            unpaired.append(f"{names[0]} has no partner of that name {_counterpart(names[0])}")
        else:
            unpaired.append(f"{names[0]} and {names[1]} have the same name, so that their partner is not known")
    if not pairs:
        raise UserError(f"{tree.root}: there is no pair in it; {unpaired[0]}")
    return PairFiles(pairs, False, unpaired)


def _counterpart(name: str) -> str:
    """``in B/`` for a file in ``A/``."""
    for folder in PurePosixPath(name).parts[:-1]:
        found = _SPLIT_AND_SIDE.fullmatch(folder)
        if found:
            return f"in {found[1]}{'B' if found[2] == 'A' else 'A'}/"
        if folder.lower() in _OTHER:
            other = _OTHER[folder.lower()]
            return f"in {other.upper() if folder.isupper() else other}/"
    raise AssertionError("a file on a side is in a folder of that name")
