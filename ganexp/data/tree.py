"""A folder or a zip as a list of image files. Names from a zip are read in place, never used as paths."""

import hashlib
import os
import zipfile
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path, PurePosixPath

from ganexp.errors import UserError
from ganexp.files import read_regular

_ENDINGS = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".gif")


class Tree:
    """The images below a folder or inside a zip. Raises UserError if there is neither."""

    def __init__(self, root: Path) -> None:
        self.root = root.expanduser()
        self.archive: zipfile.ZipFile | None = None
        if self.root.is_file():
            try:
                self.archive = zipfile.ZipFile(self.root)
            except (zipfile.BadZipFile, OSError) as error:
                raise UserError(f"{self.root} is neither a folder nor a readable zip: {error}") from None
        elif not self.root.is_dir():
            raise UserError(f"{self.root}: there is no such folder or zip")

    @cached_property
    def names(self) -> list[str]:
        """The images' names, with ``/`` between folders, sorted; hidden files are left out."""
        if self.archive is not None:
            every = [info.filename for info in self.archive.infolist() if not info.is_dir()]
        else:
            every = [
                (Path(folder, name)).relative_to(self.root).as_posix()
                for folder, _, names in os.walk(self.root)  # does not follow links, so cannot loop
                for name in names
            ]
        return sorted(name for name in every if _is_image(name))

    def stamp(self, names: Sequence[str]) -> str:
        """A fingerprint of some files by name, size and time (in a zip: checksum), without reading them."""
        digest = hashlib.sha256()
        for name in names:
            if self.archive is not None:
                info = self.archive.getinfo(name)
                digest.update(repr((name, info.file_size, info.CRC)).encode())
            else:
                stat = Path(f"{self.root}/{name}").stat()
                digest.update(repr((name, stat.st_size, stat.st_mtime_ns)).encode())
        return digest.hexdigest()

    def text(self, name: str) -> str | None:
        """A text file beside the images, or None if there is none. Raises UserError."""
        there = name in self.archive.namelist() if self.archive else (self.root / name).is_file()
        if not there:
            return None
        try:
            return self.read(name).decode("utf-8-sig")
        except UnicodeDecodeError:
            raise UserError(f"{name} in {self.root} is not UTF-8 text") from None

    def read(self, name: str) -> bytes:
        """The bytes of one image. Raises UserError where they cannot be had."""
        try:
            return self.archive.read(name) if self.archive else read_regular(self.root / name)
        except (OSError, zipfile.BadZipFile, RuntimeError, NotImplementedError) as error:
            raise UserError(f"{name} in {self.root} cannot be read: {error}") from None


def _is_image(name: str) -> bool:
    parts = PurePosixPath(name).parts
    hidden = any(part.startswith((".", "__MACOSX")) and part != ".." for part in parts)
    return name.lower().endswith(_ENDINGS) and not hidden
