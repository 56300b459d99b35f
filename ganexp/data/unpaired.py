"""Two domains of images on disk that do not belong together: A, the sources, and B, the samples.

They lie in one folder or zip with ``trainA``, ``trainB``, ``testA`` and ``testB``, or with ``A`` and ``B``
(``ganexp.data.pair_files`` recognises these), or in two folders or zips of any names.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np

from ganexp.config.ranges import FilePath
from ganexp.data.cache import CacheWriter
from ganexp.data.decode import Recipe
from ganexp.data.file_tree import FileTree
from ganexp.data.folder import common_resolution, names_of_split, top_level_names
from ganexp.data.images import leave_out
from ganexp.data.pair_files import find_domains, splits_of
from ganexp.data.prepare import decode_into, drop_rows
from ganexp.data.source import HELD_OUT
from ganexp.data.source_images import ImagesWithSources
from ganexp.errors import UserError


class _Domain(NamedTuple):
    """The image files of one domain."""

    tree: FileTree
    names: Sequence[str]


@dataclass(frozen=True, kw_only=True)
class Unpaired(ImagesWithSources):
    """Images of B as samples and of A as sources; each made square and resized down, never up, to its own side.

    ``root``: a folder or zip with both domains; or else ``a`` and ``b``, one each.
    """

    paired: ClassVar[bool] = False

    root: FilePath | None
    a: FilePath | None
    b: FilePath | None

    def identity(self) -> dict[str, Any]:
        known = super().identity()
        known["settings"] = {name: value for name, value in known["settings"].items() if name not in ("a", "b")}
        return known

    def splits(self) -> set[str]:
        return _splits(self.root, self.a, self.b)

    def origin(self) -> str:
        return " ".join(domain.tree.stamp(domain.names) for domain in self._domains())

    def prepare(self, draft: CacheWriter) -> None:
        sources, samples = self._domains()
        left_out, _ = self._decode(draft.sources, sources, self.recipe(is_source=True))
        more, kept = self._decode(draft.samples, samples, self.recipe(is_source=False))
        draft.labels, draft.classes = np.zeros(kept, np.int64), ("images",)
        draft.left_out = (*left_out, *more)

    def _domains(self) -> tuple[_Domain, _Domain]:
        """The sources and the samples."""
        a, b = _domains(self.root, self.a, self.b, self.split)
        return (a, b) if self.direction == "AtoB" else (b, a)

    def _decode(self, out: Path, domain: _Domain, recipe: Recipe) -> tuple[list[str], int]:
        """Decodes a domain; returns why images were left out, and how many are left."""
        failed = decode_into(out, domain.tree, domain.names, recipe)
        reasons = [reason for _, reason in failed]
        if failed:
            leave_out(reasons, len(domain.names), "images", domain.tree.root, self.on_error)
            drop_rows(out, [row for row, _ in failed])
        return reasons, len(domain.names) - len(failed)


def default_resolution(root: str | None, a: str | None, b: str | None, split: str | None) -> int:
    """The largest power of two, at most 64, that fits into sampled images of both domains. Raises UserError."""
    return common_resolution(*_domains(root, a, b, split))


def _splits(root: str | None, a: str | None, b: str | None) -> set[str]:
    """The splits that both domains have."""
    if root is not None:
        return splits_of(_tree(Path(root)))
    names = [top_level_names(_tree(Path(str(one)))) for one in (a, b)]
    known = {"train", *HELD_OUT}
    return names[0] & names[1] if all(found <= known for found in names) else set()


@lru_cache(maxsize=8)
def _domains(root: str | None, a: str | None, b: str | None, split: str | None) -> tuple[_Domain, _Domain]:
    """A and B. Raises UserError where the settings do not name both."""
    if (root is None) == (a is None and b is None) or (a is None) != (b is None):
        raise UserError("data=unpaired: set data.root=<folder of trainA and trainB>, or both data.a and data.b")
    if root is not None:
        tree = _tree(Path(root))
        found = find_domains(tree, split)
        return _Domain(tree, found["A"]), _Domain(tree, found["B"])
    one, other = (_of_folder(Path(str(folder)), split) for folder in (a, b))
    return one, other


def _of_folder(root: Path, split: str | None) -> _Domain:
    tree = _tree(root)
    if not tree.names:
        raise UserError(f"{root}: there is no image in it")
    return _Domain(tree, list(names_of_split(tree, split)))


@lru_cache(maxsize=4)
def _tree(root: Path) -> FileTree:
    return FileTree(root)
