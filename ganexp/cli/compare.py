"""``ganexp compare``: which runs are better, and whether significantly. Reads run folders without torch."""

import shutil
import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path

from ganexp.cli.arguments import parse, values_by_key
from ganexp.compare import formatting, html_report, json_report, markdown_report, sentences
from ganexp.compare.groups import comparisons
from ganexp.compare.results import By, Result, checked_metric, compare
from ganexp.errors import UserError, readable, suggest
from ganexp.runs.saved_run import SavedRun, find_runs
from ganexp.system.atomic import replacing
from ganexp.system.terminal import print_lines

_Report = Callable[[Sequence[Result], Sequence[SavedRun]], str]
_REPORTS: dict[str, _Report] = {"html": html_report.page, "md": markdown_report.text, "json": json_report.text}

_LABEL_WIDTH = 44  # characters of a label in the terminal


HELP = """ganexp compare FOLDER... [metric=SCORE] [by=best|final] [out=FOLDER]

Ranks groups of runs. Runs that differ in nothing but the seed form a group; each score is its mean
over the seeds with a 95 % interval, and differences between groups are tested for significance.

  FOLDER   runs, or folders of runs at any depth
  metric   the score to rank by, such as fid_cnn; by default the first that all groups have
  by       best (a run's best value, the default) or final (its last)
  out      the folder for report.html, report.md and report.json; by default FOLDER if it is a
           single folder that holds runs, else outputs/compare"""

_BY: dict[str, By] = {"best": "best", "final": "final"}


def compare_runs(arguments: Sequence[str]) -> None:
    """Compares runs, prints the ranking and writes the report. Raises UserError."""
    folders, settings = parse(arguments)
    given = values_by_key(settings, ["metric", "by", "out"])
    by = given.get("by", "best")
    if by not in _BY:
        raise UserError(f"by={by}: {suggest(by, _BY)}")
    records = find_runs(folders or ["outputs"])
    wanted = checked_metric(given.get("metric"), records)
    unreadable = [record for record in records if not record.config]
    results = [compare(comparison, wanted, _BY[by]) for comparison in comparisons(_read_all(records))]
    if not results:
        raise UserError(f"{records[0].folder}: no config.yaml can be read, so there is nothing to compare")
    out = _report_folder(given.get("out"), folders or ["outputs"])
    for result in results:
        _print_result(result)
    for record in unreadable:
        print(readable(f"not compared, because its configuration cannot be read: {record.folder}"))
    _write(out, results, unreadable)
    print_lines(f"report: {out / 'report.html'} (also report.md, report.json)")


def _read_all(records: Sequence[SavedRun]) -> list[SavedRun]:
    """The runs with a configuration. Reads their files now, because a running one may still be writing."""
    with_config = [record for record in records if record.config]
    for record in with_config:
        _ = record.manifest, record.status, record.rows
    return with_config


def _report_folder(asked: str | None, folders: Sequence[str]) -> Path:
    """The report's folder, which is never a run folder unless ``out`` asks for it."""
    if asked is not None:
        return Path(asked).expanduser()
    folder = Path(folders[0]).expanduser()
    if len(folders) > 1 or (folder / "config.yaml").is_file():
        return Path("outputs", "compare")
    return folder


def _print_result(result: Result) -> None:
    """Prints the table and the sentences."""
    width = shutil.get_terminal_size((100, 24)).columns
    rows: list[tuple[str, ...]] = [("group", result.by, "n", "runs")]
    for standing in result.standings:
        label = standing.label
        label = label if len(label) <= _LABEL_WIDTH else f"{label[: _LABEL_WIDTH - 3]}..."
        count = len(standing.group.runs)
        outcomes = formatting.outcome_counts(standing)
        rows.append((label, formatting.estimate(result.main(standing), count), str(count), outcomes))
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    print(readable(f"{result.comparison.name}: {sentences.direction(result)}"))
    for label, value, total, outcomes in rows:
        print(readable(f"  {label:{widths[0]}}  {value:{widths[1]}}  {total:>{widths[2]}}  {outcomes}"))
    for line in (
        f"{sentences.headline(result)}.",
        *sentences.difference_sentences(result),
        *sentences.warnings(result),
    ):
        print_lines(textwrap.fill(readable(line), width, subsequent_indent="  "))
    print()


def _write(out: Path, results: Sequence[Result], unreadable: Sequence[SavedRun]) -> None:
    """Writes each report file atomically. Raises UserError."""
    try:
        for kind, report in _REPORTS.items():
            with replacing(out / f"report.{kind}") as temporary:
                temporary.write_text(report(results, unreadable), encoding="utf-8")
    except OSError as error:
        raise UserError(f"{out}: cannot be written: {error.strerror or error}") from None
