"""Files that are never half: written beside the old one, synced, then renamed."""

import errno
import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import takewhile
from pathlib import Path
from typing import BinaryIO


@contextmanager
def replacing(file: Path, within: Path | None = None) -> Iterator[Path]:
    """A path to write to; it becomes ``file`` at the end of the block, or goes if the block fails.

    Makes the folder if need be, and takes it away again if the block fails; ``within``: a folder that is
    never made, for where it is gone somebody has removed it. When the block is left without an error, the new
    content is on the disk itself and survives a power cut; whatever ends the process before that leaves the
    old content. Raises OSError.
    """
    beside = file.with_name(f"{file.name}.tmp")
    with making(file.parent, within):
        try:
            beside.unlink(missing_ok=True)  # whatever it is or leads to
            yield beside
            sync(beside)
            beside.replace(file)
            sync(file.parent)
        except BaseException:
            with suppress(OSError):
                beside.unlink(missing_ok=True)
            raise


@contextmanager
def making(folder: Path, within: Path | None = None) -> Iterator[None]:
    """Makes a folder, but not ``within``; if the block fails, the folders that were made are removed where they
    are empty. Raises OSError.
    """
    made: list[Path] = []
    try:
        for missing in _missing(folder, within):
            missing.mkdir(exist_ok=True)
            made.insert(0, missing)
        yield
    except BaseException:
        with suppress(OSError):
            for empty in made:
                empty.rmdir()  # only an empty one can be
        raise


def _missing(folder: Path, within: Path | None) -> list[Path]:
    """The folders that have to be made first, the outermost first; ``within`` and those above it are not."""
    found = takewhile(lambda path: path != within and not path.is_dir(), (folder, *folder.parents))
    return [*found][::-1]


def read_regular(file: Path, most: int | None = None) -> bytes:
    """The content of a regular file, at most ``most`` bytes. Raises OSError where it is longer.

    A named pipe in a folder of somebody else's would be waited for without end, a device may have no end.
    """
    with open_regular(file) as stream:
        content = stream.read() if most is None else stream.read(most + 1)
    if most is not None and len(content) > most:
        raise OSError(errno.EFBIG, f"it is larger than {most:,} bytes", str(file))
    return content


def open_regular(file: Path) -> BinaryIO:
    """Opens a regular file for reading. Raises OSError where it is anything else, or is not there."""
    handle = os.open(file, os.O_RDONLY | _AT_ONCE)
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise OSError(errno.EINVAL, "it is no regular file", str(file))
    return os.fdopen(handle, "rb")


_AT_ONCE = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
"""Opening a named pipe does not wait for whoever writes to it."""


def check_regular(file: Path) -> None:
    """Raises OSError where ``file`` is there and is no regular file: to open it might wait without end."""
    if file.exists() and not file.is_file():
        raise OSError(errno.EINVAL, "it is no regular file", str(file))


def unshare(file: Path) -> None:
    """Sees to it that what is appended to a file changes no other name of it. Raises OSError."""
    check_regular(file)
    if file.is_file() and file.stat().st_nlink > 1:
        with replacing(file) as beside:
            shutil.copyfile(file, beside)


def sync(path: Path) -> None:
    """Waits until a file's content, or a folder's list of names, is on the disk itself. Raises OSError."""
    if path.is_dir() and os.name == "nt":
        return  # Windows opens no folders; it writes their names through by itself
    handle = os.open(path, os.O_RDONLY if os.name != "nt" else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
