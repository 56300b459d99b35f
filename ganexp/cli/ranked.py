"""``ganexp sample format=ranked``: the outputs nearest to their targets, the median, and the farthest."""

import numpy as np
from PIL import Image

from ganexp.data.source import Source
from ganexp.errors import UserError
from ganexp.games.request import Inputs
from ganexp.games.sampling import draw_grid
from ganexp.metrics.paired import psnr_of_each

_EACH = 3  # samples of a row


def ranked(samples: np.ndarray, inputs: Inputs, source: Source) -> tuple[Image.Image, str]:
    """Three rows of samples by their squared error, each between source and target, and a line that tells it.

    ``samples`` [N, ...] float32 as a generator gives them; errors are of stored values, as in ``metrics=psnr``.
    Raises UserError where the samples have no targets, or are fewer than nine.
    """
    if inputs.target is None:
        raise UserError("format=ranked: samples of this run have no targets; runs of game=pix2pix have")
    if len(samples) < 3 * _EACH:
        raise UserError(f"n={len(samples)}: format=ranked shows {3 * _EACH} samples of n: set n=300 or so")
    made, wanted = (source.encode(part) for part in (samples, inputs.target.numpy()))
    decibels = psnr_of_each(made, wanted, source.value_range)
    order = np.argsort(-decibels)
    middle = (len(order) - _EACH) // 2
    rows = np.concatenate([order[:_EACH], order[middle : middle + _EACH], order[-_EACH:]])
    shown = [None if part is None else part[rows] for part in (inputs.source, inputs.target)]
    picture = draw_grid(source, inputs._replace(source=shown[0], target=shown[1]), samples[rows], _EACH)
    best, median, worst = decibels[order[0]], decibels[order[len(order) // 2]], decibels[order[-1]]
    return picture, (
        f"PSNR of {len(samples):,} outputs: best {best:.2f}, median {median:.2f}, worst {worst:.2f} dB; a "
        "row of each"
    )
