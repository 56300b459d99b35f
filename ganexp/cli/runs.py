"""``ganexp runs`` lists runs; ``ganexp diff`` shows how two of them differ. Neither needs torch.

A key is a setting (``optim.lr``), a group's choice (``loss``), a score (``fid_cnn``) or another metric of the
last epoch, or one of ``run``, ``status``, ``age``, ``images``, ``seconds``.
"""

import operator
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from ganexp.cli.arguments import Setting, parse, values_by_key
from ganexp.config.resolvers import identifies_run
from ganexp.errors import UserError, suggest
from ganexp.runs.saved_run import SavedRun, find_runs
from ganexp.system.terminal import align_columns, plural, print_lines

RUNS = """ganexp runs [FOLDER...] [KEY=VALUE ...] [sort=KEY] [columns=KEY,KEY]

Lists the runs in the folders (by default outputs), newest first.

  KEY=VALUE   only runs with this value; also !=, <, <=, > and >= (in quotes: 'fid_cnn<20')
  sort=KEY    ascending; sort=-KEY: descending
  columns     the keys to show
  KEY         a setting (optim.lr), a choice (loss), a score (fid_cnn), status, age, images,
              seconds, run"""

DIFF = """ganexp diff RUN RUN

Shows how two runs differ: settings, versions, device, data, last scores. Equal values are left out."""

_COLUMNS = ("status", "age", "images", "data", "loss", "arch", "seed", "score", "run")
_RELATIONS: dict[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_UNITS = ((86400, "d"), (3600, "h"), (60, "min"))


def runs(arguments: Sequence[str]) -> None:
    """Prints a table of runs, filtered and sorted by the arguments. Raises UserError."""
    paths, settings = parse(arguments)
    options = values_by_key(
        [setting for setting in settings if setting.key in ("sort", "columns")], ["sort", "columns"]
    )
    filters = [setting for setting in settings if setting.key not in ("sort", "columns")]
    columns = options.get("columns", ",".join(_COLUMNS)).split(",")
    order = options.get("sort", "age")
    records = [(record, facts(record)) for record in find_runs(paths or ["outputs"])]
    keys = {key for _, values in records for key in values}
    for key in (*columns, order.lstrip("-"), *(setting.key for setting in filters)):
        if key not in keys and key not in _COLUMNS:
            raise UserError(f"{key}: no run has this key; {suggest(key, _similar_keys(key, keys))}")
    shown = [values for _, values in records if all(_matches(values, setting) for setting in filters)]
    shown.sort(key=lambda values: _rank(values, order), reverse=order.startswith("-"))
    print(align_columns([columns, *([_text(key, values) for key in columns] for values in shown)]))
    total = plural(len(records), "run")
    print_lines(f"{len(shown):,} of {total}" if filters else total)


def diff(arguments: Sequence[str]) -> None:
    """Prints what differs between two runs. Raises UserError."""
    paths, settings = parse(arguments)
    values_by_key(settings, [])
    if len(paths) != 2:
        raise UserError("diff takes two runs: ganexp diff outputs/<name>/<run> outputs/<name>/<run>")
    records_by_path = [find_runs([path]) for path in paths]
    for path, records in zip(paths, records_by_path, strict=True):
        if len(records) > 1:
            raise UserError(f"{path} holds {len(records)} runs: name one of them")
    one, two = (records[0] for records in records_by_path)
    sections = list(_differences(one, two))
    print_lines(f"A: {paths[0]}\nB: {paths[1]}")
    for title, rows in sections:
        print()
        print(align_columns([[title, "A", "B"], *rows]))
    if not sections:
        print("nothing differs: settings, versions, data, device and last scores are equal")


def facts(record: SavedRun) -> dict[str, Any]:
    """All values of a run that can be displayed, sorted and filtered by, by key."""
    last = record.last_rows[-1] if record.last_rows else {}
    start = record.manifest.get("start")
    return (
        last
        | record.config
        | record.choices
        | record.scores
        | {
            "run": str(record.folder),
            "status": record.status,
            "age": _age(start) if isinstance(start, str) else None,
            "images": record.images,
            "seconds": record.manifest.get("seconds"),
            "score": record.score,
        }
    )


def _differences(one: SavedRun, two: SavedRun) -> Iterator[tuple[str, list[list[str]]]]:
    """Section titles with their rows: a key and its values in the two runs."""
    pairs = {
        "settings": (one.config, two.config),
        "choices": (one.choices, two.choices),
        "made by": (_made_by(one), _made_by(two)),
        "data": (one.manifest.get("data", {}), two.manifest.get("data", {})),
        "outcome": (_outcome(one), _outcome(two)),
    }
    for title, (one_values, two_values) in pairs.items():
        rows = [
            [key, _shown(one_values.get(key)), _shown(two_values.get(key))]
            for key in sorted({*one_values, *two_values})
            if one_values.get(key) != two_values.get(key)
        ]
        if title == "settings":
            rows.sort(key=lambda row: not identifies_run(row[0]))  # settings that identify a run come first
        if rows:
            yield title, rows


def _made_by(record: SavedRun) -> dict[str, Any]:
    manifest = record.manifest
    commit = manifest.get("git") or {}
    return {**manifest.get("versions", {}), "device": manifest.get("device"), "commit": commit.get("commit")}


def _outcome(record: SavedRun) -> dict[str, Any]:
    alarms = ", ".join(str(alarm.get("kind")) for alarm in record.manifest.get("alarms", []))
    return {"status": record.status, "images": record.images, "alarms": alarms} | record.scores


def _matches(values: dict[str, Any], setting: Setting) -> bool:
    value = values.get(setting.key)
    relation = _RELATIONS[setting.relation]
    number = _number(setting.value)
    if number is not None and isinstance(value, int | float) and not isinstance(value, bool):
        return relation(value, number)
    if setting.relation in ("=", "!="):
        return relation(_shown(value).lower(), setting.value.lower())
    return False


def _rank(values: dict[str, Any], order: str) -> tuple[bool, bool, float, str]:
    """Sort key: numbers before strings; missing values come last in either direction."""
    value = values.get(order.lstrip("-"))
    missing = (value is None) != order.startswith("-")
    if isinstance(value, int | float):
        return missing, False, float(value), ""
    return missing, True, 0.0, str(value)


def _similar_keys(key: str, keys: set[str]) -> list[str]:
    """At most five similar keys to suggest, or the default columns."""
    from difflib import get_close_matches

    return get_close_matches(key, sorted(keys), n=5, cutoff=0.4) or list(_COLUMNS)


def _age(start: str) -> float | None:
    """Seconds since a run's start."""
    try:
        return (datetime.now(timezone.utc) - datetime.fromisoformat(start)).total_seconds()
    except (ValueError, TypeError):
        return None


def _text(key: str, values: dict[str, Any]) -> str:
    value = values.get(key)
    if key == "age" and value is not None:
        return next((f"{value / unit:.0f} {name}" for unit, name in _UNITS if value >= unit), f"{value:.0f} s")
    if key == "run":
        return str(Path(str(value)))
    return f"{value:,}" if isinstance(value, int) and key == "images" else _shown(value)


def _shown(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.5g}" if isinstance(value, float) else str(value)


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
