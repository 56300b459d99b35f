"""Text for a terminal.

Labels, file names, a run's settings and its receipt may be a stranger's, and a terminal obeys the control
characters in them: whatever is printed of them goes through ``errors.readable``.
"""

import re
import shlex
from collections.abc import Collection, Sequence
from pathlib import Path

from ganexp.errors import readable, readable_lines


def print_lines(text: str) -> None:
    """Prints what may hold words from outside, line by line."""
    print(readable_lines(text))


def pasted(key: str, path: str | Path) -> str:
    """``key=path`` as it can be pasted behind a verb: quoted for Hydra's grammar, and then for a shell."""
    text = str(path)
    if not _PLAIN.fullmatch(text) or text.lower() in ("null", "true", "false", "nan", "inf"):
        from hydra.core.override_parser.types import Quote, QuotedString

        escaped = _INTERPOLATION.sub(r"\1\1\\${", text)
        text = QuotedString(escaped, Quote.double).with_quotes()
    return shlex.quote(f"{key}={text}")


_PLAIN = re.compile(r"(\.{0,2}/|[A-Za-z_])[A-Za-z0-9_./+@%:-]*")
"""What both read as it stands, and Hydra as no number."""

_INTERPOLATION = re.compile(r"(\\*)\$\{")
"""With the backslashes before it, each of which would be taken for the one that makes it text."""


def aligned(rows: Sequence[Sequence[str]], right: Collection[int] = ()) -> str:
    """Rows of cells as columns; those numbered in ``right`` end below one another."""
    cells = [[readable(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if column in right else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in cells
    )
