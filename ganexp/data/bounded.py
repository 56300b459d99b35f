"""Reading files that may have been made to harm: never more than a bound, whatever they claim to hold.

What a compressed file unpacks to is up to a thousand times its size. So what it declares is compared with a
bound first, and what comes out of it is counted piece by piece: it may declare too little.
"""

import io
import os
from pathlib import Path
from typing import IO

from ganexp.errors import UserError
from ganexp.system.atomic import open_regular

MIB = 1 << 20
LARGEST_IMAGE = 257 * MIB
"""Of one encoded image: Pillow takes at most 89 million pixels, which are 256 MiB of uncompressed RGB."""

LARGEST_ARRAY = 512 * MIB
"""Of one array of a published set; the largest, PathMNIST's, takes 202 MiB."""

_PIECE = MIB


def read_file(file: Path, most: int, name: str = "") -> bytes:
    """A regular file's bytes. Raises UserError where it holds more than ``most`` bytes; OSError."""
    with open_regular(file) as stream:
        return read_stream(stream, most, name or str(file), os.fstat(stream.fileno()).st_size)


def read_stream(stream: IO[bytes], most: int, name: str, declared: int = 0) -> bytes:
    """All that a stream gives. Raises UserError if that is more than ``most`` bytes, or ``declared`` to be."""
    found = io.BytesIO()
    while max(declared, found.tell()) <= most:
        piece = stream.read(min(_PIECE, most + 1 - found.tell()))
        if not piece:
            return found.getvalue()
        found.write(piece)
    raise UserError(f"{name} holds more than {most:,} bytes")


class Counted(io.RawIOBase):
    """A stream out of which no more than ``most`` bytes come: what reads on gets a UserError."""

    def __init__(self, stream: io.BufferedIOBase, most: int, name: str) -> None:
        self._stream, self._left, self._name = stream, most, name

    def read(self, size: int = -1) -> bytes:
        """At most ``size`` bytes; everything where it is negative."""
        piece = self._stream.read(self._left + 1 if size < 0 else min(size, self._left + 1))
        self._left -= len(piece)
        if self._left < 0:
            raise UserError(f"{self._name} holds more than it should")
        return piece
