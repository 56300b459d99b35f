"""CelebA (Liu et al. 2015): aligned faces, from the folder of JPEGs or directly from the official zip."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np

from ganexp.config.ranges import FilePath, Names
from ganexp.data.bounded import MIB, read_file
from ganexp.data.download import fetch
from ganexp.data.file_tree import FileTree
from ganexp.data.images import ImageFiles, Listing
from ganexp.data.source import LabelKind
from ganexp.errors import UserError, suggest

_IMAGES = "img_align_celeba"
_PARTITION = "list_eval_partition.txt"
_ATTRIBUTES = "list_attr_celeba.txt"
_MAX_TEXT_BYTES = 64 * MIB  # the longer of the two text files has 26 MiB
_SPLITS = {"train": "0", "valid": "1", "test": "2"}


@dataclass(frozen=True, kw_only=True)
class CelebA(ImageFiles):
    """Faces: one class; by an ``attribute`` two, without it (0) and with it (1); or a list of attributes."""

    terms: ClassVar[str] = (
        "CelebA (Liu et al. 2015): non-commercial research only, mmlab.ie.cuhk.edu.hk/projects/CelebA.html."
    )

    root: FilePath
    split: Literal["train", "valid", "test", "all"]
    attribute: Names | None

    @property
    def label_kind(self) -> LabelKind:
        return "attributes" if isinstance(self.attribute, list) else "classes"

    def listing(self) -> Listing:
        root = Path(self.root)
        folder, archive = root / _IMAGES, root / f"{_IMAGES}.zip"
        if not folder.is_dir() and not archive.is_file():
            wanted = f"{_IMAGES}/ or {_IMAGES}.zip, and {_PARTITION}, into {root}"
            fetch("CelebA", wanted, Path(self.root), self._download)
        tree = FileTree(folder if folder.is_dir() else archive)
        names = tree.names if self.split == "all" else self._members(tree.names)
        if not names:
            raise UserError(f"data.split={self.split}: no image in {tree.root} belongs to it")
        if self.attribute is None:
            return Listing(tree, names, np.zeros(len(names), np.int64), ("face",))
        attributes = [self.attribute] if isinstance(self.attribute, str) else self.attribute
        marks = self._attribute_values(attributes)
        missing = [name for name in names if Path(name).name not in marks]
        if missing:
            raise UserError(f"{_ATTRIBUTES} in {self.root} has no line for {missing[0]}")
        labels = np.array([marks[Path(name).name] for name in names], np.int64)
        if self.label_kind == "attributes":
            return Listing(tree, names, labels, tuple(attributes))
        return Listing(tree, names, labels[:, 0], (f"not {attributes[0]}", attributes[0]))

    def _members(self, names: list[str]) -> list[str]:
        """The images that the partition file assigns to the split."""
        text = self._text_file(_PARTITION, f"data.split={self.split}", "data.split=all")
        pairs = (line.split() for line in text.splitlines())
        members = {pair[0] for pair in pairs if len(pair) == 2 and pair[1] == _SPLITS[self.split]}
        return [name for name in names if Path(name).name in members]

    def _attribute_values(self, attributes: list[str]) -> dict[str, list[bool]]:
        """Whether each image has each attribute; from the file's third line on, lines are ``name 1 -1 ...``."""
        text = self._text_file(_ATTRIBUTES, f"data.attribute={','.join(attributes)}", "data.attribute=null")
        known, rows = next(iter(text.splitlines()[1:]), "").split(), text.splitlines()[2:]
        for attribute in attributes:
            if attribute not in known:
                raise UserError(f"data.attribute={attribute}: no such attribute; {suggest(attribute, known)}")
        columns = [known.index(attribute) + 1 for attribute in attributes]
        cells = [row.split() for row in rows if row.strip()]
        short = next((row[0] for row in cells if len(row) <= max(columns)), None)
        if short is not None:
            last = known[max(columns) - 1]
            raise UserError(f"{_ATTRIBUTES} in {self.root}: the line of {short} is too short for {last}")
        return {row[0]: [row[column] == "1" for column in columns] for row in cells}

    def _text_file(self, name: str, wanted: str, instead: str) -> str:
        file = Path(self.root) / name
        if not file.is_file():
            raise UserError(f"{wanted}: put {name} into {self.root}, or say {instead}")
        try:
            return read_file(file, _MAX_TEXT_BYTES).decode("utf-8")
        except UnicodeDecodeError:
            raise UserError(f"{file} is not UTF-8 text") from None

    def _download(self) -> None:
        from torchvision.datasets import CelebA as Published

        Published(str(Path(self.root).parent), split="all", download=True)
