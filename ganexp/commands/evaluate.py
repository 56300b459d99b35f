"""``ganexp evaluate``: the scores of a run's generator, or of any folder of images, beside the floor."""

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from omegaconf import DictConfig, OmegaConf

from ganexp.build import build, build_game
from ganexp.config.settle import read_run
from ganexp.data.folder import Folder, class_names
from ganexp.data.source import Source
from ganexp.errors import UserError, tell
from ganexp.evaluation import Evaluator
from ganexp.files import unshare
from ganexp.journal import finite
from ganexp.lab import load
from ganexp.state import load_averaged
from ganexp.vault import chosen


def evaluate(cfg: DictConfig) -> None:
    """Prints what ``conf/evaluate.yaml`` describes and adds it to evaluations.jsonl. Raises UserError."""
    folder = Path(cfg.run).expanduser()
    run = read_run(cfg.run, trust=cfg.trust)
    device = build(cfg.device)
    source: Source = build(run.data)
    data = load(source, own=cfg.trust)
    if cfg.against is None:
        found = chosen(folder / "checkpoints", cfg.checkpoint)
        game = build_game(run)
        load_averaged(game.generator, found.content)
        of = {"checkpoint": found.file.name, "images": found.content["progress"]["images"]}
    else:
        of = {"against": cfg.against}
    wanted = {
        "metrics": cfg.metrics or run.metrics,
        "features": cfg.features or run.features,
        "evaluate": {"count": cfg.count, "seed": cfg.seed},
    }
    evaluator = Evaluator(source, data, OmegaConf.create(wanted), device)
    if cfg.against is None:
        inputs = evaluator.inputs(game, data.labels)
        scores = evaluator.of_generator(game.generator.to(device), inputs)
    else:
        scores = evaluator.of_samples(_images(cfg.against, source, evaluator.count))
    result = of | {
        "count": evaluator.count,
        "seed": cfg.seed,
        "features": evaluator.features.about,
        "scores": finite(scores),
        "floor": finite(evaluator.floor()),
        "cautions": evaluator.cautions(),
    }
    _keep(result, folder / "evaluations.jsonl")
    print(json.dumps(result) if cfg.format == "json" else _table(folder, result))


def _images(against: str, source: Source, count: int) -> np.ndarray:
    """At most ``count`` images of a folder or zip, [N, C, H, W] uint8, of the run's size. Raises UserError."""
    if len(source.shape) != 3:
        raise UserError(f"against={against}: this run makes points, not images")
    root = Path(against).expanduser().absolute()
    images = Folder(
        root=str(root),
        split=None,
        channels=1 if source.shape[0] == 1 else 3,
        crop="centre",
        on_error="raise",
        resolution=source.shape[1],
        shape=source.shape,
        classes=len(class_names(root, None)),
        bounded=True,
        mirror=False,
    )
    samples = images.load().samples
    if len(samples) < count:
        tell(f"{against} holds {len(samples):,} images; scores of {count:,} would be more certain")
    picked = np.random.default_rng(0).permutation(len(samples))[:count]
    return np.ascontiguousarray(samples[np.sort(picked)])


def _keep(result: dict[str, Any], file: Path) -> None:
    with suppress(OSError):
        unshare(file)
    with suppress(OSError), file.open("a", encoding="utf-8") as stream:  # a run may be looked at only
        stream.write(json.dumps(result) + "\n")


def _shown(score: float | None) -> str:
    return f"{'infinite':>12}" if score is None else f"{score:12.4f}"


def _table(folder: Path, result: dict[str, Any]) -> str:
    scores, floor = result["scores"], result["floor"]
    of = result.get("against") or f"{folder}, {result['checkpoint']}, {result['images']:,} images seen"
    lines = [
        of,
        f"{result['count']:,} samples against as many real ones, by {result['features']}",
        f"{'score':20} {'generated':>12} {'real':>12}",
    ]
    lines += [f"{name:20} {_shown(value)} {_shown(floor[name])}" for name, value in scores.items()]
    for line in result["cautions"]:
        tell(line)
    return "\n".join(lines)
