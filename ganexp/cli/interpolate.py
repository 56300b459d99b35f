"""``ganexp interpolate``: walks through a run's latents, as a picture and a film, and how smooth they are."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from omegaconf import DictConfig
from PIL import Image

from ganexp.cli.out_file import picture_file
from ganexp.cli.requested_walks import Walkers, numbers_along, walkers
from ganexp.cli.smoothness_told import smoothness_told
from ganexp.data.moving_picture import SHORTEST, check_film_format, save_film
from ganexp.data.picture import save_png
from ganexp.errors import UserError
from ganexp.latents.latent_space import LatentSpace
from ganexp.latents.space import space_of
from ganexp.latents.walks import Walk, along_numbers, between_points
from ganexp.system.rng import seed_for
from ganexp.system.terminal import plural, print_lines
from ganexp.training.build import build
from ganexp.training.load import OpenedRun, open_run

_UNRELATED = 64
"""Random samples, with whose distances the steps of a walk are compared."""

_MAX_COLUMNS = 17
"""Of the picture: longer ways are shown by evenly spaced samples, both ends included."""


def interpolate(cfg: DictConfig) -> None:
    """Writes a picture and a film, prints the smoothness; see ``conf/interpolate.yaml``. Raises UserError."""
    if cfg.format != "png":
        check_film_format(cfg.format)
    out = picture_file(cfg.out)
    run = open_run(cfg)
    loaded = run.generator(cfg.checkpoint)
    space = space_of(loaded.game, loaded.net, cfg.latents, cfg.truncation)
    if cfg.along is None:
        who = walkers(cfg, cfg.walks, space, run)
        keys = torch.stack([who.draw(space, walk, cfg.n, cfg.seed) for walk in range(who.count)])
        walk = between_points(space, keys, build(cfg.path), cfg.frames, loop=cfg.loop)
    else:
        who, walk = _along(cfg, space, run)
    samples = np.stack(
        [space.samples(points, who.label(row), cfg.batch_size) for row, points in enumerate(walk.points)]
    )
    out = out or run.folder / "samples" / f"{_name(cfg)}.png"
    try:
        written = [_save_picture(samples, walk, run, out)]
        if cfg.format != "png":
            written.append(_save_film(samples, walk, run, cfg, out))
    except OSError as error:
        raise UserError(f"out={out}: cannot be written: {error.strerror or error}") from None
    print_lines(smoothness_told(samples, walk, _unrelated(space, who, cfg), run))
    print_lines(
        f"{plural(who.count, 'walk')} of {plural(samples.shape[1], 'sample')} in {space.name}: {written[0]}"
    )
    for film in written[1:]:
        print_lines(f"film: {film}")


def _along(cfg: DictConfig, space: LatentSpace, run: OpenedRun) -> tuple[Walkers, Walk]:
    """A row for each number of the same point; of one number, ``walks`` rows of different points."""
    numbers = numbers_along(cfg.along, space)
    if len(numbers) > 1 and cfg.walks != 1:
        raise UserError(f"walks={cfg.walks}: {len(numbers)} numbers of along make a walk each: leave walks out")
    who = walkers(cfg, max(cfg.walks, len(numbers)), space, run)
    if len(numbers) > 1:
        if who.alike:
            raise UserError("label: several labels and several numbers of along: choose one of them")
        same = None if who.labels is None else who.labels[:1].expand_as(who.labels)
        who = replace(who, alike=True, labels=same)
    rows = numbers * (who.count if len(numbers) == 1 else 1)
    points = torch.cat([who.draw(space, row, 1, cfg.seed) for row in range(who.count)])
    mean, deviation = space.moments()
    shifts = torch.linspace(-cfg.reach, cfg.reach, cfg.frames + 1)
    # a code's own values, as those of ganexp sample
    values = [
        shifts if number >= space.noise_size else mean[number] + shifts * deviation[number] for number in rows
    ]
    return who, along_numbers(points, rows, torch.stack(values))


def _name(cfg: DictConfig) -> str:
    parts = ["interpolate", *([] if cfg.latents is None else [cfg.latents]), "seed", str(cfg.seed)]
    if cfg.along is not None:
        parts += ["along", *str(cfg.along).strip("[]").replace(" ", "").replace("..", "-").split(",")]
    return "_".join(parts)


def _save_picture(samples: np.ndarray, walk: Walk, run: OpenedRun, out: Path) -> Path:
    """A row for each way of each walk."""
    steps = walk.ways.shape[1]
    columns = min(steps, _MAX_COLUMNS)
    shown = walk.ways[:, torch.linspace(0, steps - 1, columns).round().long()]
    table = samples[:, shown.numpy()].reshape(-1, *samples.shape[2:])
    save_png(run.source.draw(table, columns), out)
    return out


def _save_film(samples: np.ndarray, walk: Walk, run: OpenedRun, cfg: DictConfig, out: Path) -> Path:
    """Each frame has a sample of each walk. A walk with two ends goes there and back."""
    order = list(range(samples.shape[1]))
    order += [] if walk.closed else order[-2:0:-1]
    columns = int(np.ceil(np.sqrt(len(samples))))
    frames: list[Image.Image] = [run.source.draw(samples[:, place], columns) for place in order]
    duration = max(SHORTEST, round(1000 * cfg.seconds / len(frames)))
    file = out.with_name(f"{out.stem}.{cfg.format}")
    save_film(frames, [duration] * len(frames), cfg.format, file)
    return file


def _unrelated(space: LatentSpace, who: Walkers, cfg: DictConfig) -> np.ndarray:
    """Random samples [N, ...] with the labels of the walks."""
    rng = torch.Generator().manual_seed(seed_for(cfg.seed, "unrelated samples"))
    labels = None if who.labels is None else who.labels[torch.arange(_UNRELATED) % who.count]
    return space.samples(space.draw(_UNRELATED, rng, labels), labels, cfg.batch_size)
