"""Compares two runs bit for bit, except for their times."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from torch import Tensor, equal

from ganexp.errors import UserError
from ganexp.system.atomic import read_regular
from ganexp.system.nested import leaves
from ganexp.system.tensor_file import read

TIMES = ("seconds", "speed/images_per_second", "speed/seconds")
"""Times and speeds by their names in checkpoints, metrics.jsonl and TensorBoard; they are not compared."""


def differences(one: Path, two: Path) -> Iterator[str]:
    """Differences of two runs in last.pt, metrics and pictures. Raises UserError where one is damaged."""
    first, second = (_values(read(run / "checkpoints" / "last.pt")) for run in (one, two))
    for path in sorted({*first, *second}):
        if not (path in first and path in second and _same(first[path], second[path])):
            yield f"last.pt: {path}"
    rows = [_metrics(run / "metrics.jsonl") for run in (one, two)]
    if rows[0] != rows[1]:
        differing = [number for number, (a, b) in enumerate(zip(*rows, strict=False), 1) if a != b]
        yield f"metrics.jsonl: {len(rows[0])} and {len(rows[1])} lines, which differ in numbers {differing}"
    grids = [_grids(run / "samples") for run in (one, two)]
    for name in sorted({*grids[0], *grids[1]}):
        if grids[0].get(name) != grids[1].get(name):
            yield f"samples/{name}"


def _same(one: Any, two: Any) -> bool:
    if isinstance(one, Tensor) and isinstance(two, Tensor):
        return one.dtype == two.dtype and equal(one, two)
    return bool(one == two)


def _values(content: dict[str, Any]) -> dict[str, Any]:
    """Every value of a checkpoint by its path, but for wall-clock times."""
    found = leaves(content, lists=True)
    return {"".join(f"/{part}" for part in path): value for path, value in found if not {*path} & {*TIMES}}


def _grids(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.glob("*epoch_*.png") if file.is_file()}


def _metrics(file: Path) -> list[dict[str, Any]]:
    try:
        rows = [json.loads(line) for line in read_regular(file).decode().splitlines()]
    except (OSError, ValueError) as error:
        raise UserError(f"{file} cannot be read: {error}") from None
    return [{key: value for key, value in row.items() if key not in TIMES} for row in rows]
