"""Files that are never half: written beside the old one, then renamed."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(file: Path) -> Iterator[Path]:
    """A path to write to; it becomes ``file`` at the end of the block, or goes if the block fails.

    Makes the folder if need be. Raises OSError.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    beside = file.with_name(f"{file.name}.tmp")
    try:
        yield beside
        beside.replace(file)
    finally:
        beside.unlink(missing_ok=True)
