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
"""Bytes of one encoded image: Pillow accepts at max_bytes 89 million pixels, 256 MiB of uncompressed RGB."""

LARGEST_ARRAY = 512 * MIB
"""Bytes of one array of a published data set; the largest, PathMNIST's, has 202 MiB."""

_CHUNK = MIB


def read_file(file: Path, max_bytes: int, name: str = "") -> bytes:
    """A regular file's bytes. Raises UserError where there are more than ``max_bytes``, and OSError."""
    with open_regular(file) as stream:
        return read_stream(stream, max_bytes, name or str(file), os.fstat(stream.fileno()).st_size)


def read_stream(stream: IO[bytes], max_bytes: int, name: str, declared: int = 0) -> bytes:
    """A stream's bytes. Raises UserError where their number, found or ``declared``, exceeds ``max_bytes``."""
    found = io.BytesIO()
    while max(declared, found.tell()) <= max_bytes:
        chunk = stream.read(min(_CHUNK, max_bytes + 1 - found.tell()))
        if not chunk:
            return found.getvalue()
        found.write(chunk)
    raise UserError(f"{name} holds more than {max_bytes:,} bytes")


class BoundedReader(io.RawIOBase):
    """A stream that raises UserError once more than ``max_bytes`` bytes are read from it."""

    def __init__(self, stream: io.BufferedIOBase, max_bytes: int, name: str) -> None:
        self._stream, self._left, self._name = stream, max_bytes, name

    def read(self, size: int = -1) -> bytes:
        """At max_bytes ``size`` bytes; all of them if ``size`` is negative."""
        chunk = self._stream.read(self._left + 1 if size < 0 else min(size, self._left + 1))
        self._left -= len(chunk)
        if self._left < 0:
            raise UserError(f"{self._name} holds more than it should")
        return chunk
