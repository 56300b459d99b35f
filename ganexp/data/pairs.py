"""Pairs of images on disk: a source, and the target that a generator should make of it.

``ganexp.data.pair_files`` recognises how they lie there.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ganexp.config.ranges import FilePath
from ganexp.data.cache import CacheWriter
from ganexp.data.decode import Part, size_of
from ganexp.data.file_tree import FileTree
from ganexp.data.images import leave_out
from ganexp.data.pair_files import SPLITS, FilePair, PairFiles, find_pairs, splits_of
from ganexp.data.prepare import decode_into, drop_rows
from ganexp.data.source_images import ImagesWithSources
from ganexp.errors import UserError

_PROBES = 64  # pairs sampled to find resolutions
_MAX_DEFAULT_RESOLUTION = 64  # a larger resolution has to be set by the user

Size = tuple[int, int]


@dataclass(frozen=True, kw_only=True)
class Pairs(ImagesWithSources):
    """Targets as samples, and their sources: cut alike and resized down, never up, each to its own side."""

    root: FilePath

    def splits(self) -> set[str]:
        return splits_of(_tree(Path(self.root)))

    def origin(self) -> str:
        tree, found = _tree(Path(self.root)), self._files()
        names = [name for pair in found.pairs for name in dict.fromkeys(pair)]
        return f"{tree.stamp(names)} {found.halves} {list(found.unpaired)}"

    def prepare(self, draft: CacheWriter) -> None:
        tree, found = _tree(Path(self.root)), self._files()
        count = len(found.pairs) + len(found.unpaired)
        unlike = {} if found.halves else _unlike(tree, found.pairs)
        reasons = [*found.unpaired, *unlike.values()]
        if reasons and self.on_error == "raise":  # decoding the others would be in vain
            leave_out(reasons, count, "pairs", tree.root, self.on_error)
        sides = {"AtoB": (draft.sources, draft.samples), "BtoA": (draft.samples, draft.sources)}[self.direction]
        parts: tuple[Part, Part] = ("left", "right") if found.halves else ("whole", "whole")
        failed = dict(unlike)
        for out, names, part in zip(sides, zip(*found.pairs, strict=True), parts, strict=True):
            recipe = self.recipe(part, is_source=out == draft.sources)
            for row, reason in decode_into(out, tree, names, recipe):
                failed.setdefault(row, reason)
        draft.labels, draft.classes = np.zeros(len(found.pairs), np.int64), ("images",)
        reasons = [*found.unpaired, *(failed[row] for row in sorted(failed))]
        if reasons:
            leave_out(reasons, count, "pairs", tree.root, self.on_error)
            draft.left_out = tuple(reasons)
        if failed:
            drop_rows(draft.sources, sorted(failed))
            draft.labels = draft.labels[drop_rows(draft.samples, sorted(failed))]

    def _files(self) -> PairFiles:
        return _files(Path(self.root), self.split)


class _Scale(NamedTuple):
    """Targets are ``target`` / ``source`` times as large as their sources; one of the two is 1.

    ``most``: how many times (source, target) fit into the smallest images, or 64 pixels.
    """

    target: int
    source: int
    most: int


def default_resolution(root: Path, split: str | None, direction: str) -> int:
    """The largest power of two, at most 64, that the sampled targets fill; with sources, so do these.

    Where targets are 3 times as large as their sources, the largest such multiple of 3. Raises UserError.
    """
    scale = _scale(root, split, direction)
    return scale.target * (1 << (scale.most.bit_length() - 1))


def source_resolution(root: Path, split: str | None, direction: str, resolution: int) -> int:
    """The side of the sources of targets of that side, by the ratio of the files' sizes. Raises UserError."""
    scale = _scale(root, split, direction)
    return max(1, resolution * scale.source // scale.target) if isinstance(resolution, int) else 1


@lru_cache(maxsize=8)
def _scale(root: Path, split: str | None, direction: str) -> _Scale:
    """Raises UserError where the sampled pairs are not all of one ratio."""
    tree, found = _tree(root), _files(root, split if split in SPLITS else None)
    seen: dict[tuple[int, int], str] = {}
    most = _MAX_DEFAULT_RESOLUTION
    for pair in found.pairs[:: max(1, len(found.pairs) // _PROBES)]:
        with suppress(UserError):  # decoding reports it later
            a, b = (_size(tree, name, halves=found.halves) for name in pair)
            if not _proportional(a, b):
                continue
            source, target = (a, b) if direction != "BtoA" else (b, a)
            ratio = max(1, round(max(target) / max(source))), max(1, round(max(source) / max(target)))
            seen.setdefault(ratio, pair.a)
            most = min(most, min(target) // ratio[0], min(source) // ratio[1])
    if len(seen) > 1:
        (one, first), (two, second) = list(seen.items())[:2]
        raise UserError(
            f"{tree.root}: the sizes of source and target are as {one[1]} to {one[0]} in {first}, as {two[1]} "
            f"to {two[0]} in {second}: set data.resolution and data.source_resolution"
        )
    target_part, source_part = next(iter(seen), (1, 1))
    return _Scale(target_part, source_part, max(1, min(most, _MAX_DEFAULT_RESOLUTION // target_part)))


def _size(tree: FileTree, name: str, *, halves: bool) -> Size:
    width, height = size_of(tree.read(name), name)
    return (width // 2, height) if halves else (width, height)


def _unlike(tree: FileTree, pairs: Sequence[FilePair]) -> dict[int, str]:
    """Pairs whose images differ in their proportions, so that no crop is the same in both, and why."""
    found = {}
    for row, pair in enumerate(pairs):
        with suppress(UserError):  # decoding reports it later
            a, b = (_size(tree, name, halves=False) for name in pair)
            if not _proportional(a, b):
                found[row] = (
                    f"{pair.a} is {a[0]} x {a[1]} and {pair.b} is {b[0]} x {b[1]}: a pair needs the same "
                    "proportions"
                )
    return found


def _proportional(a: Size, b: Size) -> bool:
    """Whether the sizes are, but for the rounding of one of them, multiples of each other."""
    return abs(a[0] * b[1] - b[0] * a[1]) <= max(*a, *b)


@lru_cache(maxsize=4)
def _files(root: Path, split: str | None) -> PairFiles:
    return find_pairs(_tree(root), split)


@lru_cache(maxsize=4)
def _tree(root: Path) -> FileTree:
    return FileTree(root)
