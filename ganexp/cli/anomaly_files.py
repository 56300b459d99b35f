"""The files of ``ganexp anomaly``: scores, heat maps, a page and a record."""

import csv
import json
import shutil
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from omegaconf import DictConfig
from PIL import Image
from tqdm import tqdm

from ganexp.cli.anomaly_images import Scored
from ganexp.cli.anomaly_page import Row, page, pictures
from ganexp.cli.anomaly_scores import NetworkScores, coloured
from ganexp.cli.translate_files import holds_other_files
from ganexp.data.picture import save_png
from ganexp.errors import UserError
from ganexp.metrics.detection import Detection
from ganexp.system.atomic import replacing
from ganexp.system.terminal import plural

_RECORD, _HEAT_MAPS = "anomaly.json", "heat_maps"


class AnomalyResult(NamedTuple):
    """``tested``: the network's scores of the images; ``scores``: every score [N] by its name, the run's first.

    ``found``: what each finds, empty where it is not known which images are anomalous; ``limit``: the threshold
    of the run's score; ``notes``: lines on how it came about.
    """

    tested: NetworkScores
    scores: dict[str, np.ndarray]
    found: dict[str, Detection]
    limit: float | None
    notes: list[str]


def checked_folder(cfg: DictConfig) -> Path:
    """Where the results go. Raises UserError for a folder with files that are not results of this verb."""
    if cfg.output is None:
        return Path(cfg.run).expanduser() / "anomaly"
    if holds_other_files(cfg.output, None if cfg.input is None else Path(cfg.input), _RECORD):
        raise UserError(f"output={cfg.output}: it has other files than scores: choose another folder")
    return Path(cfg.output).expanduser()


def write_results(
    folder: Path, cfg: DictConfig, images: Scored, result: AnomalyResult, record: dict[str, Any]
) -> None:
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


def _page_rows(images: Scored, result: AnomalyResult, chosen: np.ndarray) -> list[Row]:
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
