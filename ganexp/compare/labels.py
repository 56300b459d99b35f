"""Labels that tell groups of runs, or data sets, apart by as few choices and settings as are needed."""

import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

_LONGEST = 48  # characters of a value in a label

Description = tuple[dict[str, str], dict[str, Any]]
"""The choices and the settings of a group or data set."""


def labels(descriptions: Sequence[Description]) -> list[str]:
    """A unique label for each: the choices that differ, then as few settings as are needed."""
    choices = [chosen for chosen, _ in descriptions]
    default = next(([key] for key in ("loss", "data") if all(key in chosen for chosen in choices)), [])
    keys = _distinguishing_choices(choices) or default
    texts = [_label(chosen, keys) for chosen in choices]
    for text, count in Counter(texts).items():
        if count > 1:
            equal = [index for index, label in enumerate(texts) if label == text]
            for index, more in zip(
                equal, _distinguishing_settings([descriptions[index][1] for index in equal]), strict=True
            ):
                texts[index] = f"{text} {more}".strip()
    return _numbered(texts)


def _distinguishing_choices(choices: Sequence[dict[str, str]]) -> list[str]:
    """The choices that differ, without redundant ones, such as an optimiser that each loss sets itself.

    A choice that is None in some of them, such as penalties, is always kept: the user asked for it.
    """
    kept: list[str] = []
    for key in differing_keys(choices):
        before, after = (
            {tuple(chosen.get(k) for k in keys) for chosen in choices} for keys in (kept, [*kept, key])
        )
        sometimes_none = any(chosen.get(key, "None") == "None" for chosen in choices)
        kept += [key] if sometimes_none or len(after) > len(before) else []
    return kept


def _label(chosen: dict[str, str], keys: Sequence[str]) -> str:
    """``loss=rpgan penalties=[r1,r2]``; choices that are None are omitted unless all of them are."""
    parts = [f"{key}={chosen[key]}" for key in keys if chosen.get(key, "None") != "None"]
    return " ".join(parts or [f"{key}=null" for key in keys[:1]])


def _distinguishing_settings(settings: Sequence[dict[str, Any]]) -> list[str]:
    """As few settings as distinguish them, chosen greedily; on a tie the first key wins."""
    keys = sorted(differing_keys(settings), key=lambda key: key.endswith("_target_"))
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
    return f"{key}={value_text(settings[key])}" if key in settings else f"{key}=-"


def differing_keys(tables: Sequence[dict[str, Any]]) -> list[str]:
    """Keys whose values differ between the tables, in the order of their first occurrence."""
    keys = dict.fromkeys(key for table in tables for key in table)
    missing = object()
    return [
        key for key in keys if any(table.get(key, missing) != tables[0].get(key, missing) for table in tables)
    ]


def _numbered(labels: Sequence[str]) -> list[str]:
    """Makes equal labels unique: ``label``, ``label (2)``, ``label (3)`` ..."""
    counts: Counter[str] = Counter()
    numbered = []
    for label in labels:
        counts[label] += 1
        numbered.append(label if counts[label] == 1 else f"{label} ({counts[label]})")
    return numbered


def value_text(value: Any) -> str:
    """A setting's value in one line, as on the command line, cut to 48 characters."""
    if isinstance(value, str):
        text = value
    elif isinstance(value, float):
        text = f"{value:g}"
    else:
        text = json.dumps(value, default=str).replace('"', "").replace(", ", ",")
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."
