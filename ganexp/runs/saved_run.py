"""Reads stored runs, also incomplete or damaged ones, for listing and comparing. Needs no torch."""

import json
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from ganexp.config.exported_files import RECORD
from ganexp.config.stored import read_bounded_yaml
from ganexp.errors import UserError
from ganexp.metrics.directions import Direction, direction_of, metric_directions, shipped_directions
from ganexp.runs.manifest import Manifest, status_of
from ganexp.runs.manifest_schema import is_huge
from ganexp.system.atomic import open_regular
from ganexp.system.nested import leaves

_TAIL = 1 << 20  # bytes


_METRIC = re.compile(r"metrics\.\w+\._target_")


@dataclass(frozen=True)
class SavedRun:
    """One run folder. What is missing or damaged in it reads as empty."""

    folder: Path

    @cached_property
    def config(self) -> dict[str, Any]:
        """Every setting by its dotted path: ``optim.lr``, ``arch.generator.width``; lists stay whole."""
        with suppress(UserError):
            found = leaves(read_bounded_yaml(self.folder / "config.yaml"), lists=False)
            return {".".join(map(str, path)): value for path, value in found}
        return {}

    @cached_property
    def manifest(self) -> dict[str, Any]:
        """``run.json``."""
        return Manifest(self.folder / "run.json").content

    @cached_property
    def status(self) -> str:
        """running, finished, interrupted, failed, diverged; unknown where the manifest has none."""
        return status_of(self.folder) or "unknown"

    @cached_property
    def rows(self) -> list[dict[str, Any]]:
        """The lines of metrics.jsonl, one per epoch, sorted by ``images``."""
        return _rows(_lines(self.folder / "metrics.jsonl"))

    @cached_property
    def last_rows(self) -> list[dict[str, Any]]:
        """The rows in the last MiB of metrics.jsonl: thousands of epochs, read quickly from a long file too."""
        return _rows(_lines(self.folder / "metrics.jsonl", _TAIL))

    @property
    def choices(self) -> dict[str, str]:
        """The configuration groups' choices: ``{"loss": "wgan_gp", "data": "mnist", ...}``."""
        return {key: str(value) for key, value in self.manifest.get("choices", {}).items()}

    @property
    def images(self) -> int:
        """Real images seen: the larger count of run.json and metrics.jsonl."""
        return max(
            int(self.manifest.get("images", 0)), int(self.last_rows[-1]["images"]) if self.last_rows else 0
        )

    @property
    def scores(self) -> dict[str, float]:
        """The last value of each score, by its name without ``score/``."""
        found: dict[str, float] = {}
        for row in self.last_rows:
            score_values = {key: value for key, value in row.items() if key.startswith("score/")}
            found |= {
                key.removeprefix("score/"): float(value)
                for key, value in score_values.items()
                if isinstance(value, int | float)
            }
        return found

    @cached_property
    def directions(self) -> dict[str, Direction]:
        """Whether each score is better lower or higher: from ``run.json``, or else from its metrics."""
        targets = [str(value) for key, value in self.config.items() if _METRIC.fullmatch(key)]
        return {**shipped_directions(), **metric_directions(targets), **self.manifest.get("scores", {})}

    def direction(self, name: str) -> Direction:
        """Whether a score, or the speed, is better ``lower`` or ``higher``; else ``unknown``."""
        return "higher" if name == "images_per_second" else direction_of(name, self.directions)

    @property
    def score(self) -> str | None:
        """The first score as text: ``fid_cnn 12.34``."""
        return next((f"{name} {value:.4g}" for name, value in self.scores.items()), None)

    def series(self, name: str) -> list[tuple[int, float]]:
        """Pairs of ``images`` and a metric's value, where that is a finite number."""
        found = ((row["images"], row.get(name)) for row in self.rows)
        return [(images, float(value)) for images, value in found if isinstance(value, int | float)]


def find_runs(paths: Iterable[str | Path]) -> list[SavedRun]:
    """Every run at or below the paths, once, sorted by folder. Raises UserError where there is none."""
    folders: set[Path] = set()
    for given in paths:
        path = Path(given).expanduser()
        if not path.is_dir():
            raise UserError(f"{given}: there is no such folder")
        found = set(_runs(path))
        if not found:
            raise UserError(f"{given}: there is no run in it (a run has a config.yaml and a run.json)")
        folders |= found
    return [SavedRun(folder) for folder in sorted(folders)]


def _runs(path: Path) -> Iterator[Path]:
    """Run folders at or below ``path``; does not search inside a run folder.

    Exported generators below it are copies, and left out.
    """
    if (path / "config.yaml").is_file() and (path / "run.json").is_file():
        yield path
        return
    with suppress(OSError):
        for inner in path.iterdir():
            if inner.is_dir() and not inner.is_symlink() and not (inner / RECORD).is_file():
                yield from _runs(inner)


def _rows(lines: Iterable[str]) -> list[dict[str, Any]]:
    rows = []
    for line in lines:
        with suppress(ValueError, RecursionError):
            row = json.loads(line)
            if isinstance(row, dict) and isinstance(row.get("images"), int):
                rows.append({key: value for key, value in row.items() if not is_huge(value)})
    rows = [row for row in rows if "images" in row]
    return sorted(rows, key=lambda row: int(row["images"]))


def _lines(file: Path, max_bytes: int | None = None) -> list[str]:
    """The lines of a file, or the complete ones in its last ``max_bytes`` bytes; [] where it cannot be read."""
    with suppress(OSError), open_regular(file) as stream:
        before = 0 if max_bytes is None else max(0, stream.seek(0, os.SEEK_END) - max_bytes)
        stream.seek(before)
        lines = stream.read().decode("utf-8", "replace").splitlines()
        return lines[1:] if before else lines
    return []
