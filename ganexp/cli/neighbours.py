"""``ganexp neighbours``: does a generator make new images, or does it copy its training images?

The picture shows samples, each followed by its nearest training images. The printed figures compare the
distance from samples to their nearest training image with the distance between nearest training images.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from omegaconf import DictConfig
from PIL import Image
from tqdm import tqdm

from ganexp.data.arrays import Arrays
from ganexp.data.picture import save_png, tile
from ganexp.errors import UserError
from ganexp.games.sampling import generate
from ganexp.games.seeded_inputs import inputs_like_data
from ganexp.metrics.features import Features
from ganexp.metrics.neighbours import nearest
from ganexp.system.rng import seed_for
from ganexp.system.terminal import print_lines
from ganexp.training.build import build
from ganexp.training.load import open_run

_BATCH = 100
_PIECE = 2048  # training images compared at a time
_RARE = 1  # percent


def neighbours(cfg: DictConfig) -> None:
    """Writes the picture and prints the distances; see ``conf/neighbours.yaml``. Raises UserError."""
    run = open_run(cfg)
    source, device = run.source, run.device
    if not source.is_image:
        raise UserError("neighbours are looked at as images, and this run makes none")
    data = run.data()
    if len(data.samples) <= cfg.k:
        raise UserError(f"k={cfg.k}: there are {len(data.samples)} training images")
    loaded = run.generator(cfg.checkpoint)
    seed = seed_for(cfg.seed, "neighbours")
    rng = np.random.default_rng(seed)
    count = max(cfg.n, cfg.count)
    inputs = inputs_like_data(loaded.game, source, data, rng.choice(len(data.labels), count), seed)
    made = source.encode(generate(loaded.net, inputs, _BATCH, device))
    own = rng.permutation(len(data.samples))[:count]
    features: Features = build(cfg.features)(source, data, device)
    queries = np.vstack([features(made).features, features(data.samples[own]).features])
    distances, rows = nearest(queries, _pieces(data, features), max(cfg.k, 2))
    made_to_real, rows = distances[:count], rows[:count]
    real_to_real = distances[count:, 1]  # the nearest is the image itself
    out = Path(cfg.out).expanduser() if cfg.out else run.folder / "samples" / "neighbours.png"
    try:
        save_png(_picture(made[: cfg.n], data, rows[: cfg.n, : cfg.k]), out)
    except OSError as error:
        raise UserError(f"out={out}: cannot be written: {error.strerror or error}") from None
    print_lines(_told(made_to_real[:, 0], real_to_real, features.about))
    print_lines(f"{cfg.n} samples, each with its {cfg.k} nearest training images: {out}")


def _pieces(data: Arrays, features: Features) -> Iterator[np.ndarray]:
    for start in tqdm(range(0, len(data.samples), _PIECE), desc="comparing", disable=None, leave=False):
        yield features(np.ascontiguousarray(data.samples[start : start + _PIECE])).features


def _picture(made: np.ndarray, data: Arrays, rows: np.ndarray) -> Image.Image:
    """A row per sample [N, C, H, W] uint8: the sample, a gap, its neighbours (``rows`` [N, k]) in order."""
    gap = np.full_like(made[0], 32)
    line = [[sample, gap, *data.samples[near]] for sample, near in zip(made, rows, strict=True)]
    return tile(np.stack([image for images in line for image in images]), 2 + rows.shape[1])


def _told(made: np.ndarray, real: np.ndarray, about: str) -> str:
    """Two lines that compare ``made`` (sample to training image) with ``real`` (training image to another)."""
    near = np.percentile(real, _RARE)
    typical = float(np.median(real))
    ratio = f"{np.median(made) / typical:.2f} times" if typical else "any number of times"
    return (
        f"by {about}: samples lie {ratio} as far from their nearest training image as training images do from "
        f"theirs (medians of {len(made):,}; 0 would be copies)\n"
        f"{(made < near).mean():.1%} of samples lie nearer than {100 - _RARE}% of training images do; "
        f"{int((made == 0).sum())} are copies"
    )
