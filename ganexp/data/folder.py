"""Any folder or zip of images, nested or flat.

Top folders named train, valid, val and test, and nothing beside them, are splits; below them, or at the
top, each sub-folder is a class, named by its whole path if it is nested.
"""

import io
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Literal

import numpy as np
from PIL import Image, UnidentifiedImageError

from ganexp.data.decode import decode_all
from ganexp.data.source import Arrays, Images
from ganexp.data.tree import Tree
from ganexp.errors import UserError

_SPLITS = {"train", "valid", "val", "test"}
_PROBES = 64  # images looked at to find a resolution; decoding checks every one
_USUAL = 64  # more than this is for the user to ask for


@dataclass(frozen=True, kw_only=True)
class Folder(Images):
    """Images cropped to the centre square and resized down to ``resolution``, never up."""

    root: str
    split: str | None
    channels: Literal[1, 3]

    def load(self) -> Arrays:
        tree, chosen = _selected(Path(self.root), self.split)
        classes = class_names(Path(self.root), self.split)
        images = decode_all(tree, list(chosen), self.channels, self.resolution)
        labels = np.array([classes.index(_class_of(inner)) for inner in chosen.values()], np.int64)
        return self.checked(Arrays(images, labels, classes))


def class_names(root: Path, split: str | None) -> tuple[str, ...]:
    """The names of the classes, sorted. Raises UserError if there is no image."""
    return tuple(sorted({_class_of(inner) for inner in _selected(root, split)[1].values()}))


def fitting_resolution(root: Path) -> int:
    """The largest power of two, 64 at most, that fits into the images looked at. Raises UserError."""
    tree = _tree(root)
    smallest = _USUAL
    for name in tree.names[:: max(1, len(tree.names) // _PROBES)]:
        try:
            with Image.open(io.BytesIO(tree.read(name))) as picture:
                smallest = min(smallest, *picture.size)
        except (UnidentifiedImageError, OSError, Image.DecompressionBombError):
            continue  # decoding will name it
    return 1 << (smallest.bit_length() - 1)


def _selected(root: Path, split: str | None) -> tuple[Tree, dict[str, str]]:
    """The split's images: each name in the tree, and what is left of it without the split's folder."""
    tree = _tree(root)
    if not tree.names:
        raise UserError(f"{root}: there is no image in it")
    tops = {PurePosixPath(name).parts[0] for name in tree.names}
    if not tops <= _SPLITS:
        if split is not None:
            raise UserError(f"data.split={split}: {root} has no folders train, valid or test at its top")
        return tree, {name: name for name in tree.names}
    split = split or ("train" if "train" in tops else None)
    if split is not None and split not in tops:
        raise UserError(f"data.split={split}: {root} has {', '.join(sorted(tops))}")
    inner = {name: name.partition("/")[2] for name in tree.names}
    return tree, {name: rest for name, rest in inner.items() if split is None or name.startswith(f"{split}/")}


def _class_of(inner: str) -> str:
    return PurePosixPath(inner).parent.as_posix()


@lru_cache(maxsize=4)
def _tree(root: Path) -> Tree:
    """Listed once: the resolution, the classes and the images are asked for one after the other."""
    return Tree(root)
