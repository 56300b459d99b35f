"""A generator's inputs for grids and scores: the same for equal seeds, whatever the RNG state.

A game that needs real samples (``needs_reference``) is given rows of the data set.
"""

from collections.abc import Callable

import numpy as np
import torch

from ganexp.data.arrays import Arrays
from ganexp.data.reference import random_rows, reference
from ganexp.data.source import Source
from ganexp.games.game import Game
from ganexp.games.request import Inputs, Request
from ganexp.system.rng import seed_for

_VIEWED, _PAIR_COLUMNS = 32, 4
"""How many images a view shows (``Game.views``), and its columns of pairs."""


def grid_inputs(
    game: Game, request: Request, source: Source, data: Callable[[], Arrays], seed: int, purpose: str
) -> tuple[Inputs, int]:
    """Inputs for a grid of samples, and the number of its columns.

    ``data`` loads the data set; it is called only if the game needs real samples. ``purpose``: as for
    ``seed_for``. Raises UserError if the generator does not support the request.
    """
    grid = game.grid(request)
    real = None
    if game.needs_reference:
        arrays = data()
        rows = random_rows(len(arrays.samples), grid.request.count, seed_for(seed, f"sources to {purpose}"))
        real = reference(source, arrays, rows)
    rng = torch.Generator().manual_seed(seed_for(seed, purpose))
    return game.inputs(grid.request, rng, real), grid.columns


def pair_inputs(
    game: Game, count: int, source: Source, data: Callable[[], Arrays], seed: int
) -> dict[str, Inputs]:
    """See ``Game.condition_pairs``. ``data``: as for ``grid_inputs``."""
    purpose, real = "pairs that differ in one condition", None
    if game.needs_reference:
        arrays = data()
        rows = random_rows(len(arrays.samples), count, seed_for(seed, f"sources of {purpose}"))
        real = reference(source, arrays, rows)
    return game.condition_pairs(count, torch.Generator().manual_seed(seed_for(seed, purpose)), real)


def view_inputs(game: Game, source: Source, data: Callable[[], Arrays], seed: int) -> tuple[Inputs, int] | None:
    """Images for ``Game.views``, which are drawn before what these make of them, and the picture's columns.

    None for games without views, and for data that are no images. ``data``: as for ``grid_inputs``.
    """
    if not game.views(game.generator) or not source.is_image:
        return None
    arrays = data()
    rows = random_rows(len(arrays.samples), _VIEWED, seed_for(seed, "images to reconstruct"))
    real, degrade = reference(source, arrays, rows), game.parts.degrade
    x = real.x if degrade is None or not degrade.changes_target else degrade.pair(real.x, real.source).target
    return Inputs((x,), source=x), _PAIR_COLUMNS


def inputs_like_data(game: Game, source: Source, data: Arrays, rows: np.ndarray, seed: int) -> Inputs:
    """Inputs for as many samples as ``rows`` [N] int64, with the labels of these rows of the data set.

    Of a random choice of rows, labels are as frequent as in the data. ``seed``: of the latents.
    """
    real = reference(source, data, rows, labels_only=not game.needs_reference)
    return game.inputs(Request(len(rows)), torch.Generator().manual_seed(seed), real)
