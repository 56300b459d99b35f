"""``ganexp compare``: which runs are better, and by more than chance. Reads run folders without torch."""

import argparse
import shutil
import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path

from ganexp.archive import Record, find
from ganexp.compare import html, markdown, numbers, words
from ganexp.compare.groups import contests
from ganexp.compare.markup import readable
from ganexp.compare.results import Result, checked_metric, compare
from ganexp.errors import UserError, fail
from ganexp.files import replacing

_Report = Callable[[Sequence[Result], Sequence[Record]], str]
_REPORTS: dict[str, _Report] = {"html": html.page, "md": markdown.text, "json": numbers.text}

_WIDEST = 44  # characters of a label in the terminal


class _Parser(argparse.ArgumentParser):
    """One that tells a mistake as every other verb does."""

    def error(self, message: str) -> None:  # type: ignore[override]
        fail(f"compare: {message}; ganexp compare --help says what it takes")


def main(arguments: Sequence[str]) -> None:
    """Compares runs, prints who leads, and writes the report. Raises UserError."""
    given = _parser().parse_args(arguments)
    records = find(given.folders)
    wanted = checked_metric(given.metric, records)
    unreadable = [record for record in records if not record.config]
    results = [compare(contest, wanted, given.by) for contest in contests(_read(records))]
    if not results:
        raise UserError(f"{given.folders[0]}: no run's configuration can be read")
    out = _out(given.out, given.folders)
    for result in results:
        _show(result)
    for record in unreadable:
        print(readable(f"left out, for its configuration cannot be read: {record.folder}"))
    _write(out, results, unreadable)
    print(f"report: {out / 'report.html'} (also report.md, report.json)")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="ganexp compare",
        description="Runs side by side: those that differ in nothing but the seed are one group, each score is "
        "told with its uncertainty over the seeds, and a difference counts if it is larger than chance.",
    )
    parser.add_argument("folders", nargs="+", metavar="FOLDER", help="runs, or folders of runs at any depth")
    parser.add_argument(
        "--metric", metavar="SCORE", help="to rank by, such as fid_cnn; the first that all have"
    )
    parser.add_argument(
        "--by", choices=("best", "final"), default="best", help="a run's best value or its last"
    )
    parser.add_argument(
        "--out", metavar="FOLDER", help="for report.html, .md and .json; the one given by default"
    )
    return parser


def _read(records: Sequence[Record]) -> list[Record]:
    """Those with a configuration, their files read at once: some may still be written to."""
    found = [record for record in records if record.config]
    for record in found:
        _ = record.receipt, record.status, record.rows
    return found


def _out(asked: str | None, folders: Sequence[str]) -> Path:
    """Where the report goes: not into a run."""
    if asked is not None:
        return Path(asked).expanduser()
    alone = Path(folders[0]).expanduser()
    if len(folders) > 1 or (alone / "config.yaml").is_file():
        return Path("outputs", "compare")
    return alone


def _show(result: Result) -> None:
    """The table and the sentences."""
    width = shutil.get_terminal_size((100, 24)).columns
    rows: list[tuple[str, ...]] = [("group", result.by, "n", "runs")]
    for standing in result.standings:
        label = standing.label
        label = label if len(label) <= _WIDEST else f"{label[: _WIDEST - 3]}..."
        count = len(standing.group.runs)
        ended = words.counts(standing).partition(": ")[2]
        rows.append((label, words.estimate(result.main(standing), count), str(count), ended))
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    print(readable(f"{result.contest.name}: {words.direction(result)}"))
    for label, value, total, ended in rows:
        print(readable(f"  {label:{widths[0]}}  {value:{widths[1]}}  {total:>{widths[2]}}  {ended}"))
    for line in (f"{words.headline(result)}.", *words.claims(result), *words.warnings(result)):
        print(textwrap.fill(readable(line), width, subsequent_indent="  "))
    print()


def _write(out: Path, results: Sequence[Result], unreadable: Sequence[Record]) -> None:
    """Each file whole or not at all. Raises UserError."""
    try:
        for kind, report in _REPORTS.items():
            with replacing(out / f"report.{kind}") as beside:
                beside.write_text(report(results, unreadable), encoding="utf-8")
    except OSError as error:
        raise UserError(f"{out}: cannot be written: {error.strerror or error}") from None
