"""Groups runs into replicates, and labels the groups by how they differ.

Runs whose configurations differ only in the seed form a group. Keys of ``RESUMABLE`` (length, evaluation,
device ...) and the path of the data are ignored. Groups are compared only on the same data: scores on different
data are not comparable.
"""

import json
from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from ganexp.config.resolvers import RESUMABLE, identifies_run
from ganexp.runs.saved_run import SavedRun

_PLACES = ("root",)
"""Last parts of keys that hold a path."""

_LONGEST = 48  # characters of a value in a label


@dataclass(frozen=True)
class Group:
    """Replicates: runs of one configuration, sorted by seed."""

    label: str
    runs: list[SavedRun]


@dataclass(frozen=True)
class Comparison:
    """Groups on the same data; ``name`` identifies the data."""

    name: str
    groups: list[Group]

    @property
    def runs(self) -> list[SavedRun]:
        """Every run, group by group."""
        return [run for group in self.groups for run in group.runs]


def comparisons(records: Sequence[SavedRun]) -> list[Comparison]:
    """All runs with a configuration, by data and then by group, sorted by the name of the data."""
    datasets = _data_of(records)
    by_data = _gathered((datasets[index], record) for index, record in enumerate(records) if record.config)
    facts = [({"data": runs[0].choices.get("data", "?")}, _data_settings(runs[0])) for runs in by_data]
    found = []
    for name, runs in zip(_labels(facts), by_data, strict=True):
        members = _gathered((_identity(run), run) for run in runs)
        labels = _labels([(_choices(each[0]), _settings(each[0])) for each in members])
        groups = [Group(label, sorted(each, key=_by_seed)) for label, each in zip(labels, members, strict=True)]
        found.append(Comparison(name, groups))
    return sorted(found, key=lambda comparison: comparison.name)


def differing(records: Iterable[SavedRun]) -> list[str]:
    """The settings whose values differ between the runs, except the seed and paths."""
    return _differing([_settings(record) for record in records])


def seed_of(record: SavedRun) -> str:
    """The seed of the configuration as text, or ``?``."""
    return str(record.config["seed"]) if "seed" in record.config else "?"


def written(value: Any) -> str:
    """A setting's value in one line, as on the command line, cut to 48 characters."""
    if isinstance(value, str):
        text = value
    elif isinstance(value, float):
        text = f"{value:g}"
    else:
        text = json.dumps(value, default=str).replace('"', "").replace(", ", ",")
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."


def _gathered(pairs: Iterable[tuple[Hashable, SavedRun]]) -> list[list[SavedRun]]:
    found: dict[Hashable, list[SavedRun]] = {}
    for key, record in pairs:
        found.setdefault(key, []).append(record)
    return list(found.values())


def _by_seed(record: SavedRun) -> tuple[int, str]:
    seed = seed_of(record)
    return len(seed), seed


def _is_place(key: str) -> bool:
    return key.rsplit(".", 1)[-1] in _PLACES


def _settings(record: SavedRun) -> dict[str, Any]:
    """The settings that identify a run, except its seed and paths."""
    return {
        key: value
        for key, value in record.config.items()
        if identifies_run(key) and key != "seed" and not _is_place(key)
    }


def _identity(record: SavedRun) -> str:
    return json.dumps(_settings(record), sort_keys=True, default=str)


def _data_settings(record: SavedRun) -> dict[str, Any]:
    found = {key: value for key, value in record.config.items() if key.startswith("data.")}
    return found | {"data.fingerprint": _fingerprint(record)[:8]}


def _fingerprint(record: SavedRun) -> str:
    return str(record.manifest.get("data", {}).get("fingerprint", ""))


def _data_of(records: Sequence[SavedRun]) -> list[str]:
    """A key of each run's data: the fingerprint, else that of a run with the same data settings, else these."""
    likes = [
        json.dumps(
            {key: value for key, value in _settings(record).items() if key.startswith("data.")}, default=str
        )
        for record in records
    ]
    known = {
        like: print_ for like, record in zip(likes, records, strict=True) if (print_ := _fingerprint(record))
    }
    return [_fingerprint(record) or known.get(like, like) for like, record in zip(likes, records, strict=True)]


def _choices(record: SavedRun) -> dict[str, str]:
    """The choices by config group. ``penalties=[r1,r2]`` is not in the manifest; the keys of config show it."""
    found = {key: value for key, value in record.choices.items() if key not in RESUMABLE}
    if found and "penalties" not in found:
        names = {key.split(".")[1] for key in record.config if key.startswith("penalties.")}
        found["penalties"] = f"[{','.join(sorted(names))}]" if names else "None"
    return found


Facts = tuple[dict[str, str], dict[str, Any]]
"""The choices and the settings of a group or data set."""


def _labels(facts: Sequence[Facts]) -> list[str]:
    """A unique label for each: the choices that differ, then as few settings as are needed."""
    choices = [chosen for chosen, _ in facts]
    usual = next(([key] for key in ("loss", "data") if all(key in chosen for chosen in choices)), [])
    keys = _telling(choices) or usual
    labels = [_label(chosen, keys) for chosen in choices]
    for text, count in Counter(labels).items():
        if count > 1:
            alike = [index for index, label in enumerate(labels) if label == text]
            for index, more in zip(alike, _distinctions([facts[index][1] for index in alike]), strict=True):
                labels[index] = f"{text} {more}".strip()
    return _numbered(labels)


def _telling(choices: Sequence[dict[str, str]]) -> list[str]:
    """The choices that differ, without redundant ones, such as an optimiser that each loss sets itself.

    A choice that is None in some of them, such as penalties, is always kept: the user asked for it.
    """
    kept: list[str] = []
    for key in _differing(choices):
        before, after = (
            {tuple(chosen.get(k) for k in keys) for chosen in choices} for keys in (kept, [*kept, key])
        )
        asked = any(chosen.get(key, "None") == "None" for chosen in choices)
        kept += [key] if asked or len(after) > len(before) else []
    return kept


def _label(chosen: dict[str, str], keys: Sequence[str]) -> str:
    """``loss=rpgan penalties=[r1,r2]``; choices that are None are omitted unless all of them are."""
    said = [f"{key}={chosen[key]}" for key in keys if chosen.get(key, "None") != "None"]
    return " ".join(said or [f"{key}=null" for key in keys[:1]])


def _distinctions(settings: Sequence[dict[str, Any]]) -> list[str]:
    """As few settings as distinguish them, chosen greedily; on a tie the first key wins."""
    keys = sorted(_differing(settings), key=lambda key: key.endswith("_target_"))
    rows: list[tuple[str, ...]] = [()] * len(settings)
    while keys and len(set(rows)) < len(rows):
        columns = {key: [_setting(each, key) for each in settings] for key in keys}
        grown = {key: [(*row, cell) for row, cell in zip(rows, columns[key], strict=True)] for key in columns}
        best = max(keys, key=lambda key: len(set(grown[key])))
        if len(set(grown[best])) == len(set(rows)):
            break
        rows = grown[best]
        keys.remove(best)
    return [" ".join(row) for row in rows]


def _setting(settings: dict[str, Any], key: str) -> str:
    return f"{key}={written(settings[key])}" if key in settings else f"{key}=-"


def _differing(tables: Sequence[dict[str, Any]]) -> list[str]:
    """Keys whose values differ between the tables, in the order of their first occurrence."""
    keys = dict.fromkeys(key for table in tables for key in table)
    missing = object()
    return [
        key for key in keys if any(table.get(key, missing) != tables[0].get(key, missing) for table in tables)
    ]


def _numbered(labels: Sequence[str]) -> list[str]:
    """Makes equal labels unique: ``label``, ``label (2)``, ``label (3)`` ..."""
    seen: Counter[str] = Counter()
    found = []
    for label in labels:
        seen[label] += 1
        found.append(label if seen[label] == 1 else f"{label} ({seen[label]})")
    return found
