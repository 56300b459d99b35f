"""A comparison as JSON, for other programs. NaN and infinity do not occur; missing values are null."""

import json
from collections.abc import Sequence
from typing import Any

from ganexp import __version__
from ganexp.compare import sentences
from ganexp.compare.groups import seed_of
from ganexp.compare.measures import measured, series
from ganexp.compare.results import Result, Standing, alarms_of
from ganexp.compare.statistics import Mean
from ganexp.runs.saved_run import SavedRun


def text(results: Sequence[Result], unreadable: Sequence[SavedRun]) -> str:
    """The report's numbers and sentences as JSON."""
    content = {
        "ganexp": __version__,
        "comparisons": [_comparison(result) for result in results],
        "unreadable": [str(run.folder) for run in unreadable],
    }
    return json.dumps(content, indent=1, allow_nan=False) + "\n"


def _comparison(result: Result) -> dict[str, Any]:
    return {
        "data": result.comparison.name,
        "metric": result.metric,
        "by": result.by,
        "better": {name: result.direction(name) for name in result.names},
        "headline": sentences.headline(result),
        "sentences": sentences.difference_sentences(result),
        "warnings": sentences.warnings(result),
        "groups": [_group(standing, result) for standing in result.standings],
        "pairs": [
            {"one": pair.one, "other": pair.other, **pair.difference._asdict(), "p_corrected": pair.corrected}
            for pair in result.pairs
        ],
    }


def _group(standing: Standing, result: Result) -> dict[str, Any]:
    return {
        "label": standing.label,
        "outcomes": standing.outcomes,
        "scores": {
            name: {"best": _mean(summary.best), "final": _mean(summary.final)}
            for name, summary in standing.scores.items()
        },
        "runs": [_run(run, result.names) for run in standing.group.runs],
    }


def _run(run: SavedRun, names: Sequence[str]) -> dict[str, Any]:
    return {
        "folder": str(run.folder),
        "seed": seed_of(run),
        "status": run.status,
        "images": run.images,
        "alarms": [
            {"kind": str(alarm.get("kind", "")), "line": str(alarm.get("line", ""))} for alarm in alarms_of(run)
        ],
        "scores": {name: measured(run, name)._asdict() | {"series": series(run, name)} for name in names},
    }


def _mean(mean: Mean | None) -> dict[str, Any] | None:
    return None if mean is None else mean._asdict()
