"""``ganexp anomaly``: scores images with a run that can tell unusual ones, and measures what it finds.

No label and no statistic of the images that are scored enters a score, a threshold or the choice of weights.
"""

import csv
import json
import shutil
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from omegaconf import DictConfig, OmegaConf
from PIL import Image
from torch import nn
from tqdm import tqdm

from ganexp.cli.anomaly_images import Scored, images_to_score
from ganexp.cli.anomaly_page import Row, page, pictures, text_table
from ganexp.cli.anomaly_scores import (
    COMPONENTS,
    Floor,
    NetworkScores,
    coloured,
    component_error,
    minus_ink,
    network_scores,
)
from ganexp.data.picture import save_png
from ganexp.errors import UserError
from ganexp.games.anomaly import AnomalyScorer
from ganexp.metrics.detection import Detection, detection, threshold
from ganexp.system.atomic import replacing
from ganexp.system.rng import seed_for
from ganexp.system.terminal import plural, print_lines
from ganexp.training.load import OpenedRun, open_run

_RECORD, _HEAT_MAPS = "anomaly.json", "heat_maps"
_SCORERS = "fanogan, bigan, ganomaly, vae or vaegan"


class _Result(NamedTuple):
    """``tested``: the network's scores of the images; ``scores``: every score [N] by its name, the run's first.

    ``found``: what each finds, empty where it is not known which images are anomalous; ``limit``: the threshold
    of the run's score; ``notes``: lines on how it came about.
    """

    tested: NetworkScores
    scores: dict[str, np.ndarray]
    found: dict[str, Detection]
    limit: float | None
    notes: list[str]


def anomaly(cfg: DictConfig) -> None:
    """Writes scores, heat maps and a page, prints a table; see ``conf/anomaly.yaml``. Raises UserError."""
    run = open_run(cfg)
    if not run.source.is_image:
        raise UserError("run: anomaly needs a run of images; this run's samples are not images")
    game, checkpoint = run.game(cfg.checkpoint)
    if not isinstance(game, AnomalyScorer):
        raise UserError(
            f"run: {type(game).__name__} gives no anomaly score: train one of normal images; game={_SCORERS}"
        )
    assert isinstance(game, nn.Module)
    folder = _checked_folder(cfg)
    images = images_to_score(run, cfg)
    result = _result(cfg, run, game.eval(), images)
    record = {
        "run": str(cfg.run),
        "checkpoint": checkpoint,
        "images": images.about,
        "false_alarms_asked": cfg.false_alarms,
        "threshold": result.limit,
        "anomalous": None if images.anomalous is None else int(images.anomalous.sum()),
        "normal": None if images.anomalous is None else int((~images.anomalous).sum()),
        "settings": OmegaConf.to_container(cfg),
        "scores": {name: _plain(one) for name, one in result.found.items()},
    }
    try:
        _write(folder, cfg, images, result, record)
    except OSError as error:
        raise UserError(f"output={folder}: cannot be written: {error.strerror or error}") from None
    print_lines("\n".join([*result.notes, *([text_table(result.found)] if result.found else [])]))
    print_lines(f"{plural(len(images.names), 'image')}: {folder / 'page.html'}, {folder / 'scores.csv'}")


def _checked_folder(cfg: DictConfig) -> Path:
    """Where the results go. Raises UserError for a folder with files that are not results of this verb."""
    if cfg.output is None:
        return Path(cfg.run).expanduser() / "anomaly"
    folder = Path(cfg.output).expanduser()
    if cfg.input is not None and folder.resolve().is_relative_to(Path(cfg.input).expanduser().resolve()):
        raise UserError(f"output={cfg.output}: it is inside of the input: choose another folder")
    try:
        foreign = folder.exists() and not (folder / _RECORD).is_file() and any(folder.iterdir())
    except OSError as error:
        raise UserError(f"output={cfg.output}: {error.strerror or error}") from None
    if foreign:
        raise UserError(f"output={cfg.output}: it has other files than scores: choose another folder")
    return folder


def _result(cfg: DictConfig, run: OpenedRun, game: AnomalyScorer, images: Scored) -> _Result:
    floors, notes = _floors(run, cfg.seed)

    def all_scores(samples: np.ndarray) -> tuple[NetworkScores, dict[str, np.ndarray]]:
        made = network_scores(game, run.source, samples, cfg.batch_size, run.device)
        own = {f"{type(game).__name__} score": made.score, "its reconstruction error": made.error}
        own["its error by brightness"] = made.relative
        return made, own | {name: floor(samples) for name, floor in floors.items()}

    tested, scores = all_scores(images.samples)
    limits: dict[str, float | None] = dict.fromkeys(scores)
    if images.normal is not None:
        normal = all_scores(images.normal)[1]
        limits = {name: threshold(normal[name], cfg.false_alarms) for name in scores}
    first = next(iter(scores))
    found = {}
    if images.anomalous is not None and images.anomalous.any() and not images.anomalous.all():
        bar = tqdm(scores.items(), desc="measuring", unit=" scores", delay=1, disable=None, leave=False)
        found = {name: detection(values, images.anomalous, limits[name]) for name, values in bar}
    notes = [*_told(cfg, images, limits[first]), *notes]
    return _Result(tested, scores, found, limits[first], notes)


def _floors(run: OpenedRun, seed: int) -> tuple[dict[str, Floor], list[str]]:
    """Scores that take no network, and why one is missing."""
    name = f"PCA-{COMPONENTS} reconstruction error"
    try:
        fitted = component_error(run.data().samples, seed_for(seed, "images that components are fitted on"))
    except UserError as error:
        return {"minus ink": minus_ink}, [f"{name} is left out, because it needs the run's data: {error}"]
    return {name: fitted, "minus ink": minus_ink}, []


def _told(cfg: DictConfig, images: Scored, limit: float | None) -> list[str]:
    """How many images of which kind there are, and where the threshold comes from."""
    lines = [f"{plural(len(images.names), 'image')} of {images.about}"]
    if images.anomalous is not None:
        share = images.anomalous.mean()
        lines[0] += (
            f": {images.anomalous.sum():,} anomalous, {share:.1%}, which is the average precision of chance"
        )
        if share in (0, 1):
            lines.append("no areas: these need both anomalous and normal images")
    else:
        lines.append(
            "no areas: it is not known which images are anomalous; sub-folders normal/ and others, or "
            "anomalous=[<sub-folder>], say so"
        )
    if images.normal is None:
        lines.append(f"no threshold: {images.reason}")
    elif limit is None:
        lines.append(f"no threshold: {len(images.normal)} held-out normal images are too few for {_rate(cfg)}")
    else:
        lines.append(
            f"threshold {limit:.5g}, of {len(images.normal):,} held-out normal images, for {_rate(cfg)}"
        )
    return lines


def _rate(cfg: DictConfig) -> str:
    return f"false_alarms={cfg.false_alarms:g}"


def _write(folder: Path, cfg: DictConfig, images: Scored, result: _Result, record: dict[str, Any]) -> None:
    """An empty record first, which marks the folder as one that may be written again. Raises OSError."""
    with replacing(folder / _RECORD) as beside:
        beside.write_text("{}", encoding="utf-8")
    shutil.rmtree(folder / _HEAT_MAPS, ignore_errors=True)
    order = np.argsort(-result.tested.score, kind="stable")
    with replacing(folder / "scores.csv") as beside, beside.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(["name", "label", "anomalous", "above_threshold", *result.scores])
        for row in order:
            flag = "" if images.anomalous is None else int(images.anomalous[row])
            above = "" if result.limit is None else int(result.tested.score[row] > result.limit)
            values = [f"{scores[row]:.8g}" for scores in result.scores.values()]
            writer.writerow([images.names[row], images.labels[row], flag, above, *values])
    if cfg.heat_maps:
        bar = tqdm(images.names, desc="heat maps", unit=" images", delay=1, disable=None, leave=False)
        for row, name in enumerate(bar):
            heat = coloured(result.tested.heat[row : row + 1])[0].transpose(1, 2, 0)
            save_png(Image.fromarray(heat), folder / _HEAT_MAPS / name)
    rows = _page_rows(images, result, order[: cfg.shown])
    title = f"Anomaly scores of {plural(len(images.names), 'image')}"
    notes = [f"run {cfg.run}, {record['checkpoint']}", *result.notes]
    with replacing(folder / "page.html") as beside:
        beside.write_text(page(title, notes, result.found, rows, len(order)), encoding="utf-8")
    with replacing(folder / _RECORD) as beside:
        beside.write_text(json.dumps(record, indent=1), encoding="utf-8")


def _page_rows(images: Scored, result: _Result, chosen: np.ndarray) -> list[Row]:
    if not len(chosen):
        return []
    tested = result.tested
    shown = pictures(images.samples[chosen], tested.reconstructions[chosen], coloured(tested.heat[chosen]))
    return [
        Row(
            rank=rank + 1,
            name=images.names[row],
            label=images.labels[row],
            anomalous=None if images.anomalous is None else bool(images.anomalous[row]),
            score=float(tested.score[row]),
            above=None if result.limit is None else bool(tested.score[row] > result.limit),
            pictures=shown[rank],
        )
        for rank, row in enumerate(chosen)
    ]


def _plain(one: Detection) -> dict[str, Any]:
    return one._asdict() | {"auroc": one.auroc._asdict(), "average_precision": one.average_precision._asdict()}
