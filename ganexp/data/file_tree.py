"""A folder or a zip as a list of image files. Zips are not unpacked; their names are never used as paths.

Reads are bounded: a zip of 2 MB can unpack to 2 GB, and a file in a folder can be a pipe.
"""

import hashlib
import os
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import cached_property
from pathlib import Path, PurePosixPath

from ganexp.data.bounded import LARGEST_IMAGE, MIB, read_file, read_stream
from ganexp.errors import UserError, first_line

ENDINGS = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".gif")
"""Of image files, in lower case."""

_TEXT = 16 * MIB  # bytes of a text file beside the images; with many images, _LINE bytes for each
_LINE = 1024
_MOST_OTHERS = 50_000  # other files, if they outnumber the images: the root may be a whole disk by mistake


class FileTree:
    """The images in a folder (recursive) or in a zip. Raises UserError where ``root`` is neither."""

    def __init__(self, root: Path) -> None:
        self.root = root.expanduser()
        self.archive: zipfile.ZipFile | None = None
        if self.root.is_file():
            try:
                self.archive = zipfile.ZipFile(self.root)
            except Exception as error:  # zipfile raises all kinds of errors for damaged files
                raise UserError(
                    f"{self.root} is neither a folder nor a readable zip: {first_line(error)}"
                ) from None
        elif not self.root.is_dir():
            raise UserError(f"{self.root}: there is no such folder or zip")

    @cached_property
    def names(self) -> list[str]:
        """The images' relative names with ``/``, sorted, without duplicates and hidden files."""
        if self.archive is not None:
            every = [info.filename for info in self.archive.infolist() if not info.is_dir()]
        else:
            every = list(self._walk())
        return sorted({name for name in every if _is_image(name)})

    def _walk(self) -> Iterator[str]:
        """The images below the folder. Raises UserError where over 50,000 other files outnumber them."""
        images = others = 0
        base = len(f"{self.root}".rstrip("/")) + 1
        for folder, _, names in os.walk(self.root):  # does not follow links, so it cannot loop
            inner = Path(folder).as_posix()[base:]
            for name in names:
                if _is_image(name):
                    images += 1
                    yield f"{inner}/{name}" if inner else name
                else:
                    others += 1
            if others > _MOST_OTHERS and others > images:
                raise UserError(
                    f"{self.root}: of the first {others + images:,} files {images:,} are images: name the "
                    "folder that holds them"
                )

    def stamp(self, names: Sequence[str]) -> str:
        """SHA-256 of the files' names, sizes and times (in a zip: checksums); their contents are not read."""
        digest = hashlib.sha256()
        for name in names:
            if self.archive is not None:
                info = self.archive.getinfo(name)
                digest.update(repr((name, info.file_size, info.CRC)).encode())
            else:
                found: tuple[object, ...] = (name,)
                with suppress(OSError):  # a broken link: reading it raises an error with its name
                    stat = Path(f"{self.root}/{name}").stat()
                    found = (name, stat.st_size, stat.st_mtime_ns)
                digest.update(repr(found).encode())
        return digest.hexdigest()

    def text(self, name: str) -> str | None:
        """A text file beside the images, or None if there is none. Raises UserError."""
        there = name in self.archive.namelist() if self.archive else (self.root / name).is_file()
        if not there:
            return None
        try:
            return self.read(name, max(_TEXT, _LINE * len(self.names))).decode("utf-8-sig")
        except UnicodeDecodeError:
            raise UserError(f"{name} in {self.root} is not UTF-8 text") from None
        except UserError as error:
            raise UserError(f"{error} (in {self.root})") from None

    def read(self, name: str, max_bytes: int = LARGEST_IMAGE) -> bytes:
        """The bytes of one file. Raises UserError where it cannot be read or has over ``max_bytes`` bytes."""
        try:
            if self.archive is None:
                return read_file(self.root / name, max_bytes, name)
            info = self.archive.getinfo(name)
            with self.archive.open(info) as stream:
                return read_stream(stream, max_bytes, name, info.file_size)
        except UserError:
            raise
        except OSError as error:
            raise UserError(f"{name} cannot be read: {error.strerror or first_line(error)}") from None
        except Exception as error:  # zipfile raises all kinds of errors for damaged files
            raise UserError(f"{name} cannot be read: {first_line(error)}") from None


def _is_image(name: str) -> bool:
    parts = PurePosixPath(name).parts
    hidden = any(part.startswith((".", "__MACOSX")) and part != ".." for part in parts)
    return name.lower().endswith(ENDINGS) and not hidden
