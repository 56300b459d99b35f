"""``ganexp compare``: which runs are better, and whether beyond chance. Reads run folders without torch."""

import shutil
import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path

from ganexp.cli.arguments import known, parse
from ganexp.compare import html_report, json_report, markdown_report, sentences
from ganexp.compare.groups import comparisons
from ganexp.compare.results import By, Result, checked_metric, compare
from ganexp.errors import UserError, readable, suggest
from ganexp.runs.saved_run import SavedRun, find_runs
from ganexp.system.atomic import replacing
from ganexp.system.terminal import print_lines

_Report = Callable[[Sequence[Result], Sequence[SavedRun]], str]
_REPORTS: dict[str, _Report] = {"html": html_report.page, "md": markdown_report.text, "json": json_report.text}

_WIDEST = 44  # characters of a label in the terminal


HELP = """ganexp compare FOLDER... [metric=SCORE] [by=best|final] [out=FOLDER]

Runs side by side. Those that differ in nothing but the seed are one group, each score is told with its
uncertainty over the seeds, and a difference counts if it is larger than chance.

  FOLDER   runs, or folders of runs at any depth
  metric   to rank by, such as fid_cnn; by default the first that all have
  by       a run's best value (the default), or its last
  out      for report.html, report.md and report.json; by default the folder, if it is one that holds runs"""

_BY: dict[str, By] = {"best": "best", "final": "final"}


def compare_runs(arguments: Sequence[str]) -> None:
    """Compares runs, prints the ranking and writes the report. Raises UserError."""
    folders, settings = parse(arguments)
    given = known(settings, ["metric", "by", "out"])
    by = given.get("by", "best")
    if by not in _BY:
        raise UserError(f"by={by}: {suggest(by, _BY)}")
    records = find_runs(folders or ["outputs"])
    wanted = checked_metric(given.get("metric"), records)
    unreadable = [record for record in records if not record.config]
    results = [compare(contest, wanted, _BY[by]) for contest in comparisons(_read(records))]
    if not results:
        raise UserError(f"{records[0].folder}: no run's configuration can be read")
    out = _out(given.get("out"), folders or ["outputs"])
    for result in results:
        _show(result)
    for record in unreadable:
        print(readable(f"left out, for its configuration cannot be read: {record.folder}"))
    _write(out, results, unreadable)
    print_lines(f"report: {out / 'report.html'} (also report.md, report.json)")


def _read(records: Sequence[SavedRun]) -> list[SavedRun]:
    """The runs with a configuration. Reads their files now, because a running one may still be writing."""
    found = [record for record in records if record.config]
    for record in found:
        _ = record.manifest, record.status, record.rows
    return found


def _out(asked: str | None, folders: Sequence[str]) -> Path:
    """The report's folder, which is never a run folder unless ``out`` asks for it."""
    if asked is not None:
        return Path(asked).expanduser()
    alone = Path(folders[0]).expanduser()
    if len(folders) > 1 or (alone / "config.yaml").is_file():
        return Path("outputs", "compare")
    return alone


def _show(result: Result) -> None:
    """Prints the table and the sentences."""
    width = shutil.get_terminal_size((100, 24)).columns
    rows: list[tuple[str, ...]] = [("group", result.by, "n", "runs")]
    for standing in result.standings:
        label = standing.label
        label = label if len(label) <= _WIDEST else f"{label[: _WIDEST - 3]}..."
        count = len(standing.group.runs)
        ended = sentences.counts(standing).partition(": ")[2]
        rows.append((label, sentences.estimate(result.main(standing), count), str(count), ended))
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    print(readable(f"{result.comparison.name}: {sentences.direction(result)}"))
    for label, value, total, ended in rows:
        print(readable(f"  {label:{widths[0]}}  {value:{widths[1]}}  {total:>{widths[2]}}  {ended}"))
    for line in (f"{sentences.headline(result)}.", *sentences.claims(result), *sentences.warnings(result)):
        print_lines(textwrap.fill(readable(line), width, subsequent_indent="  "))
    print()


def _write(out: Path, results: Sequence[Result], unreadable: Sequence[SavedRun]) -> None:
    """Writes each report file atomically. Raises UserError."""
    try:
        for kind, report in _REPORTS.items():
            with replacing(out / f"report.{kind}") as beside:
                beside.write_text(report(results, unreadable), encoding="utf-8")
    except OSError as error:
        raise UserError(f"{out}: cannot be written: {error.strerror or error}") from None
