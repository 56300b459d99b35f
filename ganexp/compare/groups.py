"""Groups runs into replicates: runs of one configuration that differ only in the seed.

Runs whose configurations differ only in the seed form a group. Keys of ``RESUMABLE`` (length, evaluation,
device ...) and the path of the data are ignored. Groups are compared only on the same data: scores on different
data are not comparable.
"""

import json
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from ganexp.compare.labels import differing_keys, labels
from ganexp.config.resolvers import RESUMABLE, identifies_run
from ganexp.config.stored import without_added
from ganexp.runs.saved_run import SavedRun

_PATH_KEYS = ("root",)
"""Last parts of keys that hold a path."""


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
    data_keys = _data_keys(records)
    by_data = _grouped((data_keys[index], record) for index, record in enumerate(records) if record.config)
    descriptions = [({"data": runs[0].choices.get("data", "?")}, _data_settings(runs[0])) for runs in by_data]
    result = []
    for name, runs in zip(labels(descriptions), by_data, strict=True):
        members = _grouped((_identity(run), run) for run in runs)
        texts = labels([(_choices(each[0]), identifying_settings(each[0])) for each in members])
        groups = [Group(label, sorted(each, key=_by_seed)) for label, each in zip(texts, members, strict=True)]
        result.append(Comparison(name, groups))
    return sorted(result, key=lambda comparison: comparison.name)


def differing_settings(records: Iterable[SavedRun]) -> list[str]:
    """The settings whose values differ between the runs, except the seed and paths."""
    return differing_keys([identifying_settings(record) for record in records])


def seed_of(record: SavedRun) -> str:
    """The seed of the configuration as text, or ``?``."""
    return str(record.config["seed"]) if "seed" in record.config else "?"


def _grouped(pairs: Iterable[tuple[Hashable, SavedRun]]) -> list[list[SavedRun]]:
    groups: dict[Hashable, list[SavedRun]] = {}
    for key, record in pairs:
        groups.setdefault(key, []).append(record)
    return list(groups.values())


def _by_seed(record: SavedRun) -> tuple[int, str]:
    seed = seed_of(record)
    return len(seed), seed


def _is_path(key: str) -> bool:
    return key.rsplit(".", 1)[-1] in _PATH_KEYS


def identifying_settings(record: SavedRun) -> dict[str, Any]:
    """The settings that identify a run, except its seed and paths."""
    return {
        key: value
        for key, value in _comparable(record).items()
        if identifies_run(key) and key != "seed" and not _is_path(key)
    }


def _comparable(record: SavedRun) -> dict[str, Any]:
    """The configuration without settings of the data that were added later and change nothing."""
    data = {key.removeprefix("data."): value for key, value in record.config.items() if key.startswith("data.")}
    kept = without_added(data)
    return {
        key: value
        for key, value in record.config.items()
        if not key.startswith("data.") or key.removeprefix("data.") in kept
    }


def _identity(record: SavedRun) -> str:
    return json.dumps(identifying_settings(record), sort_keys=True, default=str)


def _data_settings(record: SavedRun) -> dict[str, Any]:
    settings = {key: value for key, value in _comparable(record).items() if key.startswith("data.")}
    return settings | {"data.fingerprint": _fingerprint(record)[:8]}


def _fingerprint(record: SavedRun) -> str:
    return str(record.manifest.get("data", {}).get("fingerprint", ""))


def _data_keys(records: Sequence[SavedRun]) -> list[str]:
    """A key of each run's data: its fingerprint, or that of a run with equal data settings, or the settings."""
    settings = [
        json.dumps(
            {key: value for key, value in identifying_settings(record).items() if key.startswith("data.")},
            default=str,
        )
        for record in records
    ]
    known = {key: mark for key, record in zip(settings, records, strict=True) if (mark := _fingerprint(record))}
    return [_fingerprint(record) or known.get(key, key) for key, record in zip(settings, records, strict=True)]


def _choices(record: SavedRun) -> dict[str, str]:
    """The choices by config group. ``penalties=[r1,r2]`` is not in the manifest; the keys of config show it."""
    choices = {key: value for key, value in record.choices.items() if key not in RESUMABLE}
    if choices and "penalties" not in choices:
        names = {key.split(".")[1] for key in record.config if key.startswith("penalties.")}
        choices["penalties"] = f"[{','.join(sorted(names))}]" if names else "None"
    return choices
