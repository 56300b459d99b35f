"""Labels from a file beside the images: ``dataset.json`` (as StyleGAN's tools write it) or ``labels.csv``."""

import csv
import io
import json
from collections.abc import Iterator
from typing import Any, NamedTuple

from ganexp.data.file_tree import FileTree
from ganexp.errors import UserError, first_line

_MAX_LABEL = 2**31 - 1


class _Entry(NamedTuple):
    """One image's label and its place in the file, such as ``line 3`` or ``entry 7``."""

    where: str
    name: str
    label: str


def written_labels(tree: FileTree) -> dict[str, str] | None:
    """Each image's label, as text; None if there is no such file.

    Raises UserError, with the file and the line or entry, where the file is invalid or gives an image two
    labels.
    """
    for file, entries in (("dataset.json", _read_json), ("labels.csv", _read_csv)):
        text = tree.text(file)
        if text is None:
            continue
        try:
            return _label_by_name(entries(text))
        except UserError as error:
            raise UserError(f"{file} in {tree.root}{error}") from None
    return None


def label_sort_key(label: str) -> tuple[bool, int, str]:
    """A sort key: numbers by value, then words alphabetically."""
    is_number = label.isdecimal() and len(label) <= len(str(_MAX_LABEL))
    return (False, int(label), label) if is_number else (True, 0, label)


def _label_by_name(entries: Iterator[_Entry] | None) -> dict[str, str] | None:
    if entries is None:
        return None
    found: dict[str, _Entry] = {}
    for entry in entries:
        first = found.setdefault(entry.name, entry)
        if first.label != entry.label:
            raise UserError(
                f", {entry.where}: {entry.name} has the label {entry.label}, but {first.label} in {first.where}"
            )
    return {name: entry.label for name, entry in found.items()}


def _read_csv(text: str) -> Iterator[_Entry]:
    """Lines ``name,label``; further columns are ignored."""
    reader = csv.reader(io.StringIO(text))
    try:
        for row in reader:
            where = f"line {reader.line_num}"
            if not row:
                continue
            if len(row) < 2 or not row[1].strip():
                raise UserError(f", {where}: {row[0]} has no label; a line is name,label")
            yield _Entry(where, row[0], row[1])
    except csv.Error as error:
        raise UserError(f", line {reader.line_num}, cannot be understood: {error}") from None


def _read_json(text: str) -> Iterator[_Entry] | None:
    """``{"labels": [["a/1.png", 3], ...]}``; None for ``{"labels": null}``."""
    try:
        content = json.loads(text)
    except RecursionError:
        raise UserError(" cannot be understood: it is nested too deeply") from None
    except ValueError as error:
        raise UserError(f" cannot be understood: {first_line(error)}") from None
    if not isinstance(content, dict) or not isinstance(content.get("labels", ""), list | None):
        raise UserError(' cannot be understood: it has to hold {"labels": [["a/1.png", 3], ...]}')
    return None if content["labels"] is None else map(_entry, range(len(content["labels"])), content["labels"])


def _entry(index: int, pair: Any) -> _Entry:
    where = f"entry {index}"
    if not isinstance(pair, list) or len(pair) != 2 or not isinstance(pair[0], str):
        raise UserError(f', {where}: it is no pair of a name and a label, such as ["a/1.png", 3]')
    name, label = pair
    is_number = isinstance(label, int) and not isinstance(label, bool) and 0 <= label <= _MAX_LABEL
    is_word = isinstance(label, str) and label.strip()
    if not (is_number or is_word):
        told = json.dumps(label)[:40]
        raise UserError(
            f", {where}: {name} has the label {told}; a label is a word or an integer from 0 to {_MAX_LABEL}"
        )
    return _Entry(where, name, str(label))
