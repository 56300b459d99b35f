"""What ``ganexp export`` writes beside the weights: a card, a configuration and a manifest to be shared."""

import json
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from omegaconf import DictConfig

from ganexp import __version__
from ganexp.config.exported_files import NAMES, PICTURE, RECORD
from ganexp.export.card import CardFacts, card, score_rows
from ganexp.export.portable import Exportable
from ganexp.export.sent import sha256
from ganexp.export.shareable import shareable_config, shareable_manifest
from ganexp.runs.saved_run import SavedRun
from ganexp.runs.stored_checkpoints import LoadedCheckpoint
from ganexp.system.atomic import read_regular, replacing
from ganexp.training.load import OpenedRun

_MAX_BYTES = 50_000_000
"""Of the largest evaluations.jsonl that is read."""


@dataclass(frozen=True)
class Exported:
    """What was exported: of a checkpoint, as ``files`` by format, which differ from it by ``differences``."""

    checkpoint: LoadedCheckpoint
    module: Exportable
    files: dict[str, str]
    differences: dict[str, float]


def describe(cfg: DictConfig, run: OpenedRun, exported: Exported, folder: Path) -> None:
    """Writes config.yaml, run.json, README.md and export.json; of a scored run its scores. Raises OSError."""
    saved = SavedRun(run.folder)
    manifest = shareable_manifest(saved.manifest)
    images = manifest["images"] = exported.checkpoint.content["progress"]["images"]
    scores, evaluation = _scores(saved, images)
    facts = CardFacts(
        title=str(cfg.title or "-".join(_chosen(manifest)) or "a generator of ganexp"),
        choices=manifest.get("choices", {}),
        images=images,
        version=manifest.get("versions", {}).get("ganexp", __version__),
        terms=run.source.terms,
        licence=cfg.license,
        scores=score_rows(scores, evaluation.get("floor", {}), saved.direction),
        scored=_told(evaluation),
        files=exported.files,
        differences=exported.differences,
        verb=_verb(cfg, exported),
        has_picture=(folder / PICTURE).is_file(),
    )
    texts = {
        "config.yaml": yaml.safe_dump(shareable_config(run.config), sort_keys=False),
        "run.json": json.dumps(manifest, indent=2) + "\n",
        "README.md": card(facts, exported.module),
    }
    if scores:
        row = {"images": images, **{f"score/{name}": value for name, value in scores.items()}}
        texts["metrics.jsonl"] = json.dumps(row) + "\n"
    if evaluation:
        texts["evaluations.jsonl"] = json.dumps(evaluation) + "\n"
    for name, text in texts.items():
        _write_text(folder / name, text)
    hashes = {name: sha256(folder / name) for name in NAMES if (folder / name).is_file()}
    record = {"differences": exported.differences, "sha256": hashes}
    _write_text(folder / RECORD, json.dumps(record, indent=2) + "\n")


def _verb(cfg: DictConfig, exported: Exported) -> str | None:
    """The line of ganexp that applies the folder; None where samples need the data set."""
    if exported.module.verb == "translate":
        direction = "" if cfg.direction is None else f" direction={cfg.direction}"
        return f"ganexp translate run=. input=<images> output=<folder>{direction}"
    return "ganexp sample run=." if "z" in exported.module.names else None


def _chosen(manifest: dict[str, Any]) -> list[str]:
    choices = manifest.get("choices", {})
    return [choices[group] for group in ("game", "arch", "data") if group in choices]


def _scores(saved: SavedRun, images: int) -> tuple[dict[str, float], dict[str, Any]]:
    """The scores after so many images, and their record by ``ganexp evaluate``; empty if there are none."""
    with suppress(OSError, ValueError, KeyError, IndexError, TypeError):
        content = read_regular(saved.folder / "evaluations.jsonl", _MAX_BYTES).decode("utf-8")
        records = [json.loads(line) for line in content.splitlines()]
        last = [record for record in records if record.get("images") == images and "against" not in record][-1]
        known = {key: last[key] for key in _EVALUATION}
        return dict(known["scores"]), known
    row: dict[str, Any] = next((row for row in reversed(saved.rows) if row["images"] == images), {})
    found = {key.removeprefix("score/"): value for key, value in row.items() if key.startswith("score/")}
    return found, {}


_EVALUATION = ("images", "count", "real_count", "split", "seed", "features", "scores", "floor")
"""Entries of a record of ``ganexp evaluate``."""


def _told(evaluation: dict[str, Any]) -> str:
    if not evaluation:
        return "Computed during training; `ganexp evaluate` computes those of real samples beside them."
    count, real = evaluation["count"], evaluation["real_count"]
    return f"{count:,} samples against {real:,} real ones, by {evaluation['features']}."


def _write_text(file: Path, text: str) -> None:
    with replacing(file) as temporary:
        temporary.write_text(text, encoding="utf-8")
