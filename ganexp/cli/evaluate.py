"""``ganexp evaluate``: scores a run's generator, or a folder of images, and prints the floor beside it."""

import json
import math
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from omegaconf import DictConfig, OmegaConf

from ganexp.config.stored import read_run
from ganexp.data.folder import Folder, class_names
from ganexp.data.held_out import TRAINING
from ganexp.data.source import Source
from ganexp.errors import UserError, print_to_stderr
from ganexp.metrics.metric import Scores
from ganexp.metrics.table import score_table
from ganexp.runs.lock import is_held
from ganexp.runs.log import finite
from ganexp.runs.tensorboard import EventWriter
from ganexp.system.atomic import unshare
from ganexp.system.terminal import plural, print_lines
from ganexp.training.evaluation import Evaluator
from ganexp.training.load import open_run


def evaluate(cfg: DictConfig) -> None:
    """Prints the scores and appends them to evaluations.jsonl; see ``conf/evaluate.yaml``. Raises UserError."""
    result = measure(cfg)
    if cfg.format == "json":
        print(json.dumps(result))
        return
    for line in result["warnings"]:
        print_to_stderr(line)
    if cfg.against is None:
        folder, seen = Path(cfg.run).expanduser(), plural(result["images"], "image")
        print_lines(f"{folder}, {result['checkpoint']}, {seen} seen")
    else:
        print_lines(cfg.against)
    split = "" if result["split"] == TRAINING else f" of the split {result['split']}"
    samples = f"{plural(result['count'], 'sample')} against {result['real_count']:,} real ones{split}"
    print_lines(f"{samples}, by {result['features']}")
    published = read_run(cfg.run, trust=cfg.trust).evaluate.published
    beside = {"real": result["floor"], **result["baseline"]}
    print_lines(score_table(result["scores"], beside, published, result.get("images")))


def _metrics(cfg: DictConfig, run: DictConfig) -> Any:
    """Those that were asked for, or else the run's and ``checks``. Raises UserError where there are none."""
    if cfg.metrics:
        return cfg.metrics
    if not run.metrics:
        raise UserError("this run has no metrics of its own: set metrics=[fid] or others that fit its game")
    return {**run.metrics, **(cfg.checks or {})}


def measure(cfg: DictConfig) -> dict[str, Any]:
    """Scores a run's generator or the images of ``cfg.against``; appended to the run's evaluations.jsonl.

    ``scores`` and ``floor`` by the scores' names, ``baseline``: those of a trivial method, by its name;
    ``count``, ``real_count``, ``split``, ``seed``, ``features``,
    ``warnings``; ``checkpoint`` and ``images`` seen, or ``against``. Raises UserError.
    """
    opened = open_run(cfg)
    run, source, data = opened.config, opened.source, opened.data()
    loaded = opened.generator(cfg.checkpoint) if cfg.against is None else None
    wanted = {
        "metrics": _metrics(cfg, run),
        "degrade": run.degrade,
        "features": cfg.features or run.features,
        "evaluate": {"count": cfg.count, "seed": cfg.seed, "split": cfg.split or run.evaluate.split},
    }
    evaluator = Evaluator(source, data, OmegaConf.create(wanted), opened.device)
    subject: dict[str, Any]
    trivial: tuple[str, Scores] | None = None
    if loaded is not None:
        name, seen = loaded.checkpoint.file.name, loaded.checkpoint.content["progress"]["images"]
        subject, count = {"checkpoint": name, "images": seen}, evaluator.count
        inputs = evaluator.inputs(loaded.game, data)
        scores = evaluator.score_generator(loaded.net, inputs)
        trivial = evaluator.score_baseline(loaded.game, inputs)
    else:
        images, labels = _images(cfg.against, source, data.classes, evaluator.count)
        subject, count = {"against": cfg.against}, len(images)
        scores = evaluator.score_samples(images, labels)
    result = subject | {
        "count": count,
        "real_count": evaluator.count,
        "split": evaluator.split,
        "seed": cfg.seed,
        "features": evaluator.features.about,
        "scores": finite(scores),
        "floor": finite(evaluator.floor()),
        "baseline": {trivial[0]: finite(trivial[1])} if trivial else {},
        "warnings": evaluator.warnings(count),
    }
    _record(result, opened.folder)
    return result


def _images(
    against: str, source: Source, classes: tuple[str, ...], count: int
) -> tuple[np.ndarray, np.ndarray | None]:
    """At most ``count`` images of a folder or zip, [N, C, H, W] uint8 in the run's shape, and their labels [N].

    Labels are None unless the folder has the same ``classes`` as the run; folders are never several attributes.
    Raises UserError.
    """
    if not source.is_image:
        raise UserError(f"against={against}: only runs of images are compared with images")
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
    data = images.load()
    if len(data.samples) < 2:
        raise UserError(f"against={against}: at least 2 images are needed, it holds {len(data.samples)}")
    if len(data.samples) < count:
        held = f"{against} holds {len(data.samples):,} images, and the floor is computed with {count:,}"
        print_to_stderr(f"{held}: for equal numbers, set count={len(data.samples)}")
    picked = np.sort(np.random.default_rng(0).permutation(len(data.samples))[:count])
    same_classes = source.label_kind == "classes" and sorted(data.classes) == sorted(classes)
    labels = np.array([classes.index(data.classes[k]) for k in data.labels[picked]]) if same_classes else None
    return np.ascontiguousarray(data.samples[picked]), labels


def _record(result: dict[str, Any], folder: Path) -> None:
    """Appends a line to evaluations.jsonl and, for a checkpoint's scores, scalars to TensorBoard.

    Nothing is written to TensorBoard while the run trains, because it reads only one event file of a
    folder at a time.
    """
    file = folder / "evaluations.jsonl"
    with suppress(OSError):  # the run folder may be read-only
        unshare(file)
        with file.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(result) + "\n")
        if "images" in result and not is_held(folder):
            writer = EventWriter(folder, 0)
            scalars = {name: math.nan if value is None else value for name, value in result["scores"].items()}
            writer.scalars({f"evaluate/{name}": value for name, value in scalars.items()}, result["images"])
            writer.close()
