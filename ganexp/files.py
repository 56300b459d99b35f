"""Files that are never half: written beside the old one, synced, then renamed."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def replacing(file: Path) -> Iterator[Path]:
    """A path to write to; it becomes ``file`` at the end of the block, or goes if the block fails.

    Makes the folder if need be. When the block is left without an error, the new content is on the disk
    itself and survives a power cut; whatever ends the process before that leaves the old content.
    Raises OSError.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    beside = file.with_name(f"{file.name}.tmp")
    beside.unlink(missing_ok=True)  # whatever it is or leads to
    try:
        yield beside
        sync(beside)
        beside.replace(file)
        sync(file.parent)
    finally:
        with suppress(OSError):
            beside.unlink(missing_ok=True)


def unshare(file: Path) -> None:
    """Sees to it that what is appended to a file changes no other name of it. Raises OSError."""
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
