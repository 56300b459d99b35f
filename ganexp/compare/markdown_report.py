"""A comparison as Markdown."""

import re
from collections.abc import Sequence

from ganexp import __version__
from ganexp.compare import sentences, tables
from ganexp.compare.results import Result
from ganexp.compare.tables import Table
from ganexp.errors import readable
from ganexp.runs.saved_run import SavedRun

_MARKUP = re.compile(r"([\\`*<|~]|(?<=\])\(|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9]))")
"""Characters that Markdown, or HTML in it, would interpret as markup."""


def text(results: Sequence[Result], unreadable: Sequence[SavedRun]) -> str:
    """The report as Markdown, without pictures."""
    lines = ["# Comparison of runs", ""]
    lines += [f"**{escaped(sentences.headline(result))}.**\n" for result in results]
    if unreadable:
        names = ", ".join(str(run.folder) for run in unreadable)
        lines.append(escaped(f"Not compared, because their configuration cannot be read: {names}") + "\n")
    for result in results:
        lines += [f"## {escaped(result.comparison.name)}", ""]
        lines.append(escaped(f"{sentences.direction(result)}; * marks groups with unfinished runs") + "\n")
        lines += [
            f"- {escaped(line)}"
            for line in (*sentences.difference_sentences(result), *sentences.warnings(result))
        ]
        for table in tables.all_of(result):
            lines += ["", f"### {escaped(table.title)}", "", *table_lines(table)]
        lines.append("")
    lines += ["## Method", "", *(f"{escaped(line)}\n" for line in sentences.METHOD)]
    return "\n".join([*lines, f"ganexp {__version__}", ""])


def table_lines(table: Table) -> list[str]:
    """A table as lines of Markdown, without its title."""
    rows = [table.headings, ["---"] * len(table.headings)]
    cells = [[escaped(cell.text) for cell in row] for row in table.rows]
    return [f"| {' | '.join(row)} |" for row in ([escaped(cell) for cell in rows[0]], rows[1], *cells)]


def escaped(line: str) -> str:
    """A line of text in which Markdown finds no markup."""
    return _MARKUP.sub(r"\\\1", readable(line))
