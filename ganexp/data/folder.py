"""Any folder or zip of images, nested or flat.

Top-level folders are splits if all of them are named train, valid, val or test. Labels come from a
``dataset.json`` ({"labels": [["a/1.png", 3], ...]}) or a ``labels.csv`` (name,label) beside the images;
without these, each sub-folder is a class, named by its relative path.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Literal, NamedTuple

import numpy as np

from ganexp.config.ranges import FilePath
from ganexp.data.decode import size_of
from ganexp.data.file_tree import FileTree
from ganexp.data.images import ImageFiles, Listing
from ganexp.data.labels import label_sort_key, written_labels
from ganexp.data.source import HELD_OUT, Source
from ganexp.errors import UserError

_SPLITS = {"train", "valid", "val", "test"}
_PROBES = 64  # images sampled to find a resolution; decoding checks all of them
_MAX_DEFAULT_RESOLUTION = 64  # a larger resolution has to be set by the user


@dataclass(frozen=True, kw_only=True)
class Folder(ImageFiles):
    """Images made square and resized down, never up, to ``resolution``."""

    root: FilePath
    split: str | None
    channels: Literal[1, 3]

    def listing(self) -> Listing:
        chosen = _labelled(Path(self.root), self.split)
        classes = tuple(sorted(set(chosen.labels.values()), key=label_sort_key))
        number = {label: index for index, label in enumerate(classes)}
        labels = np.array([number[label] for label in chosen.labels.values()], np.int64)
        return Listing(chosen.tree, list(chosen.labels), labels, classes)

    def held_out(self) -> dict[str, Source]:
        root = Path(self.root)
        tops = top_level_names(_tree(root))
        if self.split not in (None, "train") or not {"train"} < tops <= _SPLITS:
            return {}
        return {
            name: replace(self, split=name, classes=len(class_names(root, name)))
            for name in HELD_OUT
            if name in tops
        }


class _LabelledSplit(NamedTuple):
    """A split: ``labels`` maps each image to its class's name."""

    tree: FileTree
    labels: Mapping[str, str]


def class_names(root: Path, split: str | None) -> set[str]:
    """The names of the classes. Raises UserError where there are no images."""
    return set(_labelled(root, split).labels.values())


def default_resolution(root: Path) -> int:
    """The largest power of two, at most 64, that fits into the sampled images. Raises UserError."""
    tree = _tree(root)
    return common_resolution((tree, tree.names))


def common_resolution(*images: tuple[FileTree, Sequence[str]]) -> int:
    """The same of several trees and the names of images in them."""
    smallest = _MAX_DEFAULT_RESOLUTION
    for tree, names in images:
        for name in names[:: max(1, len(names) // _PROBES)]:
            with suppress(UserError):  # decoding reports it later
                smallest = min(smallest, *size_of(tree.read(name), name))
    return 1 << (smallest.bit_length() - 1)


@lru_cache(maxsize=4)
def _labelled(root: Path, split: str | None) -> _LabelledSplit:
    """The split's images and labels. Cached, as both the configuration and the data set need them."""
    tree = _tree(root)
    if not tree.names:
        raise UserError(f"{root}: there is no image in it")
    inner = names_of_split(tree, split)
    written = written_labels(tree)
    if written is None:
        return _LabelledSplit(
            tree, {name: PurePosixPath(rest).parent.as_posix() for name, rest in inner.items()}
        )
    missing = [name for name in inner if name not in written]
    if missing:
        raise UserError(f"{root}: {missing[0]} has no label in dataset.json or labels.csv")
    return _LabelledSplit(tree, {name: written[name] for name in inner})


def names_of_split(tree: FileTree, split: str | None) -> dict[str, str]:
    """Maps each name of the split's images to the name without the split's folder."""
    tops = top_level_names(tree)
    if not tops <= _SPLITS:
        if split is not None:
            raise UserError(f"data.split={split}: {tree.root} has no folders train, valid or test at its top")
        return {name: name for name in tree.names}
    split = split or ("train" if "train" in tops else None)
    if split is not None and split not in tops:
        raise UserError(f"data.split={split}: {tree.root} has {', '.join(sorted(tops))}")
    inner = {name: name.partition("/")[2] for name in tree.names}
    return {name: rest for name, rest in inner.items() if split is None or name.startswith(f"{split}/")}


def top_level_names(tree: FileTree) -> set[str]:
    """The names of the top-level folders and files."""
    return {PurePosixPath(name).parts[0] for name in tree.names}


@lru_cache(maxsize=4)
def _tree(root: Path) -> FileTree:
    return FileTree(root)
