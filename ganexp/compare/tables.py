"""The tables of a comparison, for all report formats."""

from collections.abc import Sequence
from typing import NamedTuple

from ganexp.compare.formatting import NONE, estimate, number, outcome_counts
from ganexp.compare.groups import differing_settings, seed_of
from ganexp.compare.labels import value_text
from ganexp.compare.measures import EXTRA, measured
from ganexp.compare.results import Result, alarms_of, outcome
from ganexp.compare.statistics import Mean

_ARROWS = {"lower": " \N{DOWNWARDS ARROW}", "higher": " \N{UPWARDS ARROW}", "unknown": ""}


class Cell(NamedTuple):
    """The text of a cell, and the number to sort by if there is one."""

    text: str
    value: float | None = None


class Table(NamedTuple):
    """A titled table. ``groups``: each row is a group, in the order of rank."""

    title: str
    headings: list[str]
    rows: list[list[Cell]]
    groups: bool = False


def scores(result: Result) -> Table:
    """A row per group: outcomes of its runs, and the best and final value of every score."""
    headings, rows = ["group", "n", "runs"], []
    for name in result.names:
        arrow = _ARROWS[result.direction(name)]
        has_best = name not in EXTRA and result.direction(name) != "unknown"
        headings += [f"best {name}{arrow}"] if has_best else []
        headings += [f"final {name}{arrow}" if name not in EXTRA else f"{name}{arrow}"]
    for standing in result.standings:
        total = len(standing.group.runs)
        row = [Cell(standing.label), Cell(str(total), total), Cell(outcome_counts(standing))]
        for name in result.names:
            summary = standing.scores[name]
            if name not in EXTRA and result.direction(name) != "unknown":
                row.append(_mean_cell(summary.best, total, standing.unfinished))
            row.append(_mean_cell(summary.final, total, standing.unfinished))
        rows.append(row)
    return Table("Scores", headings, rows, groups=True)


def pairs(result: Result) -> Table:
    """A row per pair of groups: their difference in the main score, with test and p."""
    headings = ["group", "minus group", f"difference in {result.metric}", "test", "p", "p corrected"]
    rows = []
    for pair in result.pairs:
        difference = pair.difference
        kind = "paired" if difference.paired else "independent"
        rows.append(
            [
                Cell(pair.one),
                Cell(pair.other),
                Cell(estimate(Mean(difference.mean, difference.low, difference.high, 0)), difference.mean),
                Cell(f"{kind}, p \N{GREATER-THAN OR EQUAL TO} {difference.least:.2g}"),
                Cell(f"{difference.p:.2g}", difference.p),
                Cell(f"{pair.corrected:.2g}", pair.corrected),
            ]
        )
    return Table(f"Differences in {result.metric}", headings, rows)


def settings(result: Result) -> Table:
    """A row per setting that differs between groups."""
    firsts = [standing.group.runs[0].config for standing in result.standings]
    rows = [
        [Cell(key), *(Cell(value_text(config[key]) if key in config else NONE) for config in firsts)]
        for key in differing_settings(result.comparison.runs)
    ]
    return Table("Settings that differ", ["setting", *(each.label for each in result.standings)], rows)


def runs(result: Result) -> Table:
    """A row per run: seed, outcome, images, main score, folder, alarms."""
    rows = []
    for standing in result.standings:
        for run in standing.group.runs:
            seed, scores = seed_of(run), measured(run, result.metric)
            rows.append(
                [
                    Cell(standing.label),
                    Cell(seed, float(seed) if seed.isdecimal() else None),
                    Cell(outcome(run)),
                    Cell(f"{run.images:,}", run.images),
                    *(Cell(NONE if value is None else number(value), value) for value in scores),
                    Cell(str(run.folder)),
                    Cell("; ".join(str(alarm.get("line", "")) for alarm in alarms_of(run))),
                ]
            )
    scored = [f"best {result.metric}", f"final {result.metric}"]
    return Table("Runs", ["group", "seed", "status", "images", *scored, "folder", "alarms"], rows)


def all_of(result: Result) -> Sequence[Table]:
    """All tables that are not empty."""
    tables = (scores(result), pairs(result), settings(result), runs(result))
    return [table for table in tables if table.rows]


def _mean_cell(mean: Mean | None, total: int, unfinished: bool) -> Cell:
    """A cell with mean and interval; a star marks a group with unfinished runs."""
    star = "*" if unfinished and mean is not None else ""
    return Cell(estimate(mean, total) + star, None if mean is None else mean.mean)
