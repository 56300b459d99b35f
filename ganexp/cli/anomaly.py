"""``ganexp anomaly``: scores images with a run that can tell unusual ones, and measures what it finds.

No label and no statistic of the images that are scored enters a score, a threshold or the choice of weights.
"""

from typing import Any

import numpy as np
from omegaconf import DictConfig, OmegaConf
from torch import nn
from tqdm import tqdm

from ganexp.cli.anomaly_files import AnomalyResult, checked_folder, write_results
from ganexp.cli.anomaly_images import Scored, images_to_score
from ganexp.cli.anomaly_page import text_table
from ganexp.cli.anomaly_scores import (
    COMPONENTS,
    Floor,
    NetworkScores,
    component_error,
    minus_ink,
    network_scores,
)
from ganexp.errors import UserError
from ganexp.games.anomaly import AnomalyScorer
from ganexp.metrics.detection import Detection, detection, threshold
from ganexp.system.rng import seed_for
from ganexp.system.terminal import plural, print_lines
from ganexp.training.load import OpenedRun, open_run

_SCORERS = "fanogan, bigan, ganomaly, vae or vaegan"


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
    folder = checked_folder(cfg)
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
        write_results(folder, cfg, images, result, record)
    except OSError as error:
        raise UserError(f"output={folder}: cannot be written: {error.strerror or error}") from None
    print_lines("\n".join([*result.notes, *([text_table(result.found)] if result.found else [])]))
    print_lines(f"{plural(len(images.names), 'image')}: {folder / 'page.html'}, {folder / 'scores.csv'}")


def _result(cfg: DictConfig, run: OpenedRun, game: AnomalyScorer, images: Scored) -> AnomalyResult:
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
    return AnomalyResult(tested, scores, found, limits[first], notes)


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


def _plain(one: Detection) -> dict[str, Any]:
    return one._asdict() | {"auroc": one.auroc._asdict(), "average_precision": one.average_precision._asdict()}
