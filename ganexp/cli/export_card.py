"""What ``ganexp export`` writes beside the weights: a card, a configuration and a manifest to be shared."""

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import yaml
from omegaconf import DictConfig

from ganexp import __version__
from ganexp.export.card import CardFacts, card, score_rows
from ganexp.export.portable import Exportable
from ganexp.export.sent import RECORD, sha256
from ganexp.export.shareable import shareable_config, shareable_manifest
from ganexp.runs.saved_run import SavedRun
from ganexp.runs.stored_checkpoints import LoadedCheckpoint
from ganexp.system.atomic import read_regular, replacing
from ganexp.training.load import OpenedRun

_MAX_BYTES = 50_000_000
"""Of evaluations.jsonl."""


def describe(
    cfg: DictConfig,
    run: OpenedRun,
    checkpoint: LoadedCheckpoint,
    exported: Exportable,
    files: dict[str, str],
    differences: dict[str, float],
    folder: Path,
) -> None:
    """Writes config.yaml, run.json, README.md, export.json; of a scored run metrics.jsonl. Raises OSError."""
    saved = SavedRun(run.folder)
    manifest = shareable_manifest(saved.manifest)
    manifest["images"] = checkpoint.content["progress"]["images"]
    scores, floor, scored = _scores(saved, manifest["images"])
    facts = CardFacts(
        title=cfg.title or "-".join(_chosen(manifest)) or "a generator of ganexp",
        choices=manifest.get("choices", {}),
        images=manifest["images"],
        version=manifest.get("versions", {}).get("ganexp", __version__),
        terms=run.source.terms,
        licence=cfg.license,
        scores=score_rows(scores, floor, {name: saved.direction(name) for name in scores}),
        scored=scored,
        files=files,
        differences=differences,
        has_picture=(folder / "samples.png").is_file(),
    )
    texts = {
        "config.yaml": yaml.safe_dump(shareable_config(run.config), sort_keys=False),
        "run.json": json.dumps(manifest, indent=2) + "\n",
        "README.md": card(facts, exported),
    }
    if scores:
        row = {"images": manifest["images"], **{f"score/{name}": value for name, value in scores.items()}}
        texts["metrics.jsonl"] = json.dumps(row) + "\n"
    for name, text in texts.items():
        _write_text(folder / name, text)
    hashes = {name: sha256(folder / name) for name in (*files.values(), *texts)}
    record = {"differences": differences, "sha256": hashes}
    _write_text(folder / RECORD, json.dumps(record, indent=2) + "\n")


def _chosen(manifest: dict[str, Any]) -> list[str]:
    choices = manifest.get("choices", {})
    return [choices[group] for group in ("game", "arch", "data") if group in choices]


def _scores(saved: SavedRun, images: int) -> tuple[dict[str, Any], dict[str, Any], str]:
    """Scores, those of real samples, and how they were computed: by ``ganexp evaluate``, or in training."""
    with suppress(OSError, ValueError, KeyError, IndexError, TypeError):
        content = read_regular(saved.folder / "evaluations.jsonl", _MAX_BYTES).decode("utf-8")
        records = [json.loads(line) for line in content.splitlines()]
        last = [record for record in records if record.get("images") == images][-1]
        told = f"{last['count']:,} samples against {last['real_count']:,} real ones, by {last['features']}."
        return dict(last["scores"]), dict(last["floor"]), told
    told = "Computed during training; `ganexp evaluate` computes those of real samples beside them."
    return saved.scores, {}, told


def _write_text(file: Path, text: str) -> None:
    with replacing(file) as temporary:
        temporary.write_text(text, encoding="utf-8")
