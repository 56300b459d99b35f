"""``ganexp mix``: coarse styles of one sample and fine styles of another (Karras et al. 2019, figure 3)."""

import numpy as np
import torch
from omegaconf import DictConfig
from torch import Tensor

from ganexp.cli.out_file import picture_file
from ganexp.cli.requested_walks import walkers
from ganexp.data.picture import save_png
from ganexp.errors import UserError
from ganexp.latents.space import space_of
from ganexp.latents.style_space import WSpace
from ganexp.system.terminal import print_lines
from ganexp.training.load import open_run

_EMPTY = -0.75  # fills the corner of the table, in [-1, 1]


def mix(cfg: DictConfig) -> None:
    """Writes the table and prints its path; see ``conf/mix.yaml``. Raises UserError."""
    out = picture_file(cfg.out)
    run = open_run(cfg)
    loaded = run.generator(cfg.checkpoint)
    space = space_of(loaded.game, loaded.net, truncation=cfg.truncation)
    if not isinstance(space, WSpace):
        raise UserError("run: this run's generator has no styles to mix; train one with arch=stylegan2")
    coarse = space.layers // 2 if cfg.coarse is None else cfg.coarse
    if coarse >= space.layers:
        raise UserError(
            f"coarse={coarse}: this generator has {space.layers} layers; choose 1 to {space.layers - 1}"
        )
    who = walkers(cfg, cfg.rows + cfg.columns, space, run)
    if who.alike or who.count != cfg.rows + cfg.columns:
        raise UserError("label: should be one class here")
    points = torch.cat([who.draw(space, number, 1, cfg.seed) for number in range(who.count)])
    styles = mixed(points[: cfg.rows], points[cfg.rows :], coarse, space.layers)
    samples = space.samples(styles.flatten(0, 1), batch_size=cfg.batch_size)
    samples[0] = _EMPTY
    out = out or run.folder / "samples" / f"mix_seed_{cfg.seed}.png"
    try:
        save_png(run.source.draw(np.ascontiguousarray(samples), 1 + cfg.columns), out)
    except OSError as error:
        raise UserError(f"out={out}: cannot be written: {error.strerror or error}") from None
    told = f"layers 0 to {coarse - 1} of the sample on the left"
    print_lines(f"{told}, {coarse} to {space.layers - 1} of the one above: {out}")


def mixed(rows: Tensor, columns: Tensor, coarse: int, layers: int) -> Tensor:
    """Styles [1 + R, 1 + C, layers, size] of a table from w of its rows [R, size] and columns [C, size].

    Its first row and first column are the samples themselves; the corner is 0.
    """
    count, other = len(rows), len(columns)
    table = torch.zeros(1 + count, 1 + other, layers, rows.shape[1])
    table[1:, 1:, :coarse] = rows[:, None, None]
    table[1:, 1:, coarse:] = columns[None, :, None]
    table[1:, 0], table[0, 1:] = rows[:, None], columns[:, None]
    return table
