"""Atomic file writes: a temporary file beside the old one is written, synced and renamed."""

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
    """Yields a temporary path, which is renamed to ``file`` after the block, or removed if the block fails.

    Creates missing folders, and removes them again if the block fails. ``within`` is a folder that is never
    created: where it is missing, the user has removed it. After a block without an error the new content is
    synced and survives a power cut; a process that ends earlier leaves the old content. Raises OSError.
    """
    temporary = file.with_name(f"{file.name}.tmp")
    with make_folder(file.parent, within):
        try:
            temporary.unlink(missing_ok=True)  # whatever it is or leads to
            yield temporary
            sync(temporary)
            temporary.replace(file)
            sync(file.parent)
        except BaseException:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise


@contextmanager
def make_folder(folder: Path, within: Path | None = None) -> Iterator[None]:
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
    """The missing folders up to ``folder``, outermost first, without ``within`` and those above it."""
    found = takewhile(lambda path: path != within and not path.is_dir(), (folder, *folder.parents))
    return [*found][::-1]


def read_regular(file: Path, max_bytes: int | None = None) -> bytes:
    """The content of a regular file, at most ``max_bytes`` bytes. Raises OSError where it is longer.

    Reading a named pipe from an untrusted folder would block for ever, and a device may have no end.
    """
    with open_regular(file) as stream:
        content = stream.read() if max_bytes is None else stream.read(max_bytes + 1)
    if max_bytes is not None and len(content) > max_bytes:
        raise OSError(errno.EFBIG, f"it is larger than {max_bytes:,} bytes", str(file))
    return content


def open_regular(file: Path) -> BinaryIO:
    """Opens a regular file for reading. Raises OSError where it is anything else, or is not there."""
    handle = os.open(file, os.O_RDONLY | _NON_BLOCKING)
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise OSError(errno.EINVAL, "it is no regular file", str(file))
    return os.fdopen(handle, "rb")


_NON_BLOCKING = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
"""O_NONBLOCK: opening a named pipe does not wait for a writer."""


def check_regular(file: Path) -> None:
    """Raises OSError where ``file`` exists and is no regular file: opening it might block for ever."""
    if file.exists() and not file.is_file():
        raise OSError(errno.EINVAL, "it is no regular file", str(file))


def unshare(file: Path) -> None:
    """Replaces a hard-linked file by a copy, so that appending changes no other link. Raises OSError."""
    check_regular(file)
    if file.is_file() and file.stat().st_nlink > 1:
        with replacing(file) as temporary:
            shutil.copyfile(file, temporary)


def sync(path: Path) -> None:
    """Waits until a file's content, or a folder's entries, are on the disk (fsync). Raises OSError."""
    if path.is_dir() and os.name == "nt":
        return  # Windows cannot open folders, and writes their entries through by itself
    handle = os.open(path, os.O_RDONLY if os.name != "nt" else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
