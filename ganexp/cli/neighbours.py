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
from ganexp.system.terminal import plural, print_lines
from ganexp.training.build import build
from ganexp.training.load import open_run

_BATCH = 100
_CHUNK = 2048  # training images whose features are held at a time
_PERCENTILE = 1  # samples nearer than this percentile of training images are counted


def neighbours(cfg: DictConfig) -> None:
    """Writes the picture and prints the distances; see ``conf/neighbours.yaml``. Raises UserError."""
    run = open_run(cfg)
    source, device = run.source, run.device
    if not source.is_image:
        raise UserError("neighbours needs a run of images; this run's samples are not images")
    data = run.data()
    if len(data.samples) <= cfg.k:
        raise UserError(f"k={cfg.k}: should be below the number of training images, {len(data.samples)}")
    loaded = run.generator(cfg.checkpoint)
    seed = seed_for(cfg.seed, "neighbours")
    rng = np.random.default_rng(seed)
    count = max(cfg.n, cfg.count)
    # what is made of a training image resembles it, also where nothing is copied
    given = run.evaluated() if loaded.game.needs_reference else data
    inputs = inputs_like_data(loaded.game, source, given, rng.choice(len(given.labels), count), seed)
    samples = source.encode(generate(loaded.net, inputs, _BATCH, device))
    real_rows = rng.permutation(len(data.samples))[:count]
    features: Features = build(cfg.features)(source, data, device)
    queries = np.vstack([features(samples).features, features(data.samples[real_rows]).features])
    distances, rows = nearest(queries, _feature_chunks(data, features), max(cfg.k, 2))
    sample_distances, rows = distances[:count], rows[:count]
    real_distances = distances[count:, 1]  # the nearest is the image itself
    out = Path(cfg.out).expanduser() if cfg.out else run.folder / "samples" / "neighbours.png"
    try:
        save_png(_picture(samples[: cfg.n], data, rows[: cfg.n, : cfg.k]), out)
    except OSError as error:
        raise UserError(f"out={out}: cannot be written: {error.strerror or error}") from None
    print_lines(_summary(sample_distances[:, 0], real_distances, features.about))
    print_lines(f"{plural(cfg.n, 'sample')}, each with its {plural(cfg.k, 'nearest training image')}: {out}")


def _feature_chunks(data: Arrays, features: Features) -> Iterator[np.ndarray]:
    for start in tqdm(range(0, len(data.samples), _CHUNK), desc="comparing", disable=None, leave=False):
        yield features(np.ascontiguousarray(data.samples[start : start + _CHUNK])).features


def _picture(samples: np.ndarray, data: Arrays, rows: np.ndarray) -> Image.Image:
    """A row per sample [N, C, H, W] uint8: the sample, a gap, its neighbours (``rows`` [N, k]) in order."""
    gap = np.full_like(samples[0], 32)
    line = [[sample, gap, *data.samples[near]] for sample, near in zip(samples, rows, strict=True)]
    return tile(np.stack([image for images in line for image in images]), 2 + rows.shape[1])


def _summary(samples: np.ndarray, real: np.ndarray, about: str) -> str:
    """Two lines. ``samples``: distances of samples to training images; ``real``: of these to one another."""
    threshold = np.percentile(real, _PERCENTILE)
    typical = float(np.median(real))
    copies = int((samples == 0).sum())
    ratio = f"{np.median(samples) / typical:.2f} times" if typical else "any number of times"
    return (
        f"by {about}: samples lie {ratio} as far from their nearest training image as training images do from "
        f"theirs (medians of {len(samples):,}; 0 would be copies)\n"
        f"{(samples < threshold).mean():.1%} of samples lie nearer than {100 - _PERCENTILE}% of training "
        f"images do; {copies} {'is a copy' if copies == 1 else 'are copies'}"
    )
