"""Reading untrusted files with an upper bound on the bytes read.

A compressed file can unpack to a thousand times its size. The size that it declares is compared with the bound
first; then the unpacked bytes are counted chunk by chunk, because the declared size may be too small.
"""

import io
import os
from pathlib import Path
from typing import IO

from ganexp.errors import UserError
from ganexp.system.atomic import open_regular

MIB = 1 << 20
LARGEST_IMAGE = 257 * MIB
"""Bytes of one encoded image: Pillow accepts at most 89 million pixels, 256 MiB of uncompressed RGB."""

LARGEST_ARRAY = 512 * MIB
"""Bytes of one array of a published data set; the largest, PathMNIST's, has 202 MiB."""

_PIECE = MIB


def read_file(file: Path, most: int, name: str = "") -> bytes:
    """A regular file's bytes. Raises UserError where there are more than ``most``, and OSError."""
    with open_regular(file) as stream:
        return read_stream(stream, most, name or str(file), os.fstat(stream.fileno()).st_size)


def read_stream(stream: IO[bytes], most: int, name: str, declared: int = 0) -> bytes:
    """A stream's bytes. Raises UserError where their number, found or ``declared``, exceeds ``most``."""
    found = io.BytesIO()
    while max(declared, found.tell()) <= most:
        piece = stream.read(min(_PIECE, most + 1 - found.tell()))
        if not piece:
            return found.getvalue()
        found.write(piece)
    raise UserError(f"{name} holds more than {most:,} bytes")


class Counted(io.RawIOBase):
    """A stream that raises UserError once more than ``most`` bytes are read from it."""

    def __init__(self, stream: io.BufferedIOBase, most: int, name: str) -> None:
        self._stream, self._left, self._name = stream, most, name

    def read(self, size: int = -1) -> bytes:
        """At most ``size`` bytes; all of them if ``size`` is negative."""
        piece = self._stream.read(self._left + 1 if size < 0 else min(size, self._left + 1))
        self._left -= len(piece)
        if self._left < 0:
            raise UserError(f"{self._name} holds more than it should")
        return piece
