"""Text for a terminal.

Labels, file names, a run's settings and its receipt may be a stranger's, and a terminal obeys the control
characters in them: whatever is printed of them goes through ``readable``.
"""

from collections.abc import Collection, Sequence


def readable(text: str) -> str:
    """One line, with a mark in place of every control character, line breaks among them."""
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)


def readable_lines(text: str) -> str:
    """The same for text of several lines, each of our own making."""
    return "\n".join(map(readable, text.split("\n")))


def print_lines(text: str) -> None:
    """Prints what may hold words from outside, line by line."""
    print(readable_lines(text))


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
