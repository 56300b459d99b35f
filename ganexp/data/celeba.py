"""CelebA (Liu et al. 2015): aligned faces, from the folder of JPEGs or from the official zip, unopened."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from ganexp.data.decode import decode_all
from ganexp.data.download import fetch
from ganexp.data.source import Arrays, Images
from ganexp.data.tree import Tree
from ganexp.errors import UserError

_IMAGES = "img_align_celeba"
_PARTITION = "list_eval_partition.txt"
_SPLITS = {"train": "0", "valid": "1", "test": "2"}


@dataclass(frozen=True, kw_only=True)
class CelebA(Images):
    """Faces, cropped to the centre square and resized; one class."""

    root: str
    split: Literal["train", "valid", "test", "all"]

    def load(self) -> Arrays:
        root = Path(self.root)
        folder, archive = root / _IMAGES, root / f"{_IMAGES}.zip"
        if not folder.is_dir() and not archive.is_file():
            wanted = f"{_IMAGES}/ or {_IMAGES}.zip, and {_PARTITION}, into {root}"
            fetch("CelebA", wanted, self.root, self._download)
        tree = Tree(folder if folder.is_dir() else archive)
        names = tree.names if self.split == "all" else self._members(tree.names)
        if not names:
            raise UserError(f"data.split={self.split}: no image in {tree.root} belongs to it")
        images = decode_all(tree, names, self.shape[0], self.resolution)
        return self.checked(Arrays(images, np.zeros(len(names), np.int64), ("face",)))

    def _members(self, names: list[str]) -> list[str]:
        """The images that the partition file gives to the split."""
        file = Path(self.root) / _PARTITION
        if not file.is_file():
            raise UserError(
                f"data.split={self.split}: put {_PARTITION} into {self.root}, or say data.split=all"
            )
        pairs = (line.split() for line in file.read_text(encoding="utf-8").splitlines())
        members = {pair[0] for pair in pairs if len(pair) == 2 and pair[1] == _SPLITS[self.split]}
        return [name for name in names if Path(name).name in members]

    def _download(self) -> None:
        from torchvision.datasets import CelebA as Published

        Published(str(Path(self.root).parent), split="all", download=True)
