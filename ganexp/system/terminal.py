"""Text for a terminal.

Labels, file names, a run's settings and its manifest may be untrusted, and a terminal interprets control
characters: everything that is printed of them goes through ``errors.readable``.
"""

import re
import shlex
import sys
from collections.abc import Collection, Sequence
from pathlib import Path

from ganexp.errors import readable, readable_lines


def print_lines(text: str) -> None:
    """Prints lines that may contain untrusted text, without control characters."""
    print(readable_lines(text))


def stdout_can_print(text: str) -> bool:
    """Whether stdout's encoding has every character of ``text``."""
    try:
        text.encode(sys.stdout.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def duration(seconds: float) -> str:
    """``8 s``, ``2 min 5 s``, ``3 h 20 min``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours:,} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def quoted_override(key: str, path: str | Path) -> str:
    """``key=path`` as a command-line argument: quoted for Hydra's grammar, then for the shell."""
    text = str(path)
    if not _UNQUOTED.fullmatch(text) or text.lower() in ("null", "true", "false", "nan", "inf"):
        from hydra.core.override_parser.types import Quote, QuotedString

        escaped = _INTERPOLATION.sub(r"\1\1\\${", text)
        text = QuotedString(escaped, Quote.double).with_quotes()
    return shlex.quote(f"{key}={text}")


_UNQUOTED = re.compile(r"(\.{0,2}/|[A-Za-z_])[A-Za-z0-9_./+@%:-]*")
"""Text that needs no quotes in Hydra or the shell, and that Hydra does not read as a number."""

_INTERPOLATION = re.compile(r"(\\*)\$\{")
"""``${`` and the backslashes before it, which Hydra would take as escapes of it: they are doubled."""


def plural(count: int, noun: str) -> str:
    """``1 run``, ``2 runs``, ``1,000 runs``."""
    return f"{count:,} {noun}" + ("" if count == 1 else "s")


def align_columns(rows: Sequence[Sequence[str]], right: Collection[int] = ()) -> str:
    """Rows of cells as aligned columns; the columns with numbers in ``right`` are right-aligned."""
    cells = [[readable(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if column in right else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in cells
    )
