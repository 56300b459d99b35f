"""What ``ganexp edit`` writes: a table, a sheet, files; and the sentence that it prints."""

import csv
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from ganexp.cli.edit_direction import Edits
from ganexp.cli.edit_identity import Identity
from ganexp.cli.edit_images import GivenImages
from ganexp.data.picture import tile
from ganexp.latents.inversion import Inverted
from ganexp.system.atomic import replacing

SHEET, TABLE, LATENTS = "sheet.png", "edit.csv", "latents.npz"


class Result(NamedTuple):
    """What was made of N images. All images are [N, C, H, W] uint8.

    ``edited``: by strength. ``psnr``: in decibels [N]. ``identity``: see ``edit_identity.py``. ``order``: the
    rows of the sheet and the table, from the first to the last.
    """

    images: GivenImages
    inverted: Inverted
    reconstructed: np.ndarray
    edited: dict[float, np.ndarray]
    psnr: np.ndarray
    identity: Identity | None
    order: np.ndarray


def write_table(result: Result, file: Path) -> None:
    """Writes the CSV. Raises OSError."""
    head = ["image", "psnr", "identity_rank", "objective", "radius", "start"]
    probabilities = None if result.identity is None else result.identity.probabilities
    if probabilities is not None:
        made = ["image", "reconstruction", *(f"{strength:+g}" for strength in result.edited)]
        head += [f"probability_{name}" for name in made]
    with replacing(file) as beside, beside.open("w", newline="", encoding="utf-8") as stream:
        table = csv.writer(stream)
        table.writerow(head)
        for row in result.order:
            rank = "" if result.identity is None else str(result.identity.ranks[row])
            objective, radius = (
                _cell(part[row]) for part in (result.inverted.objective, result.inverted.radius)
            )
            cells = [result.images.stems[row], _cell(result.psnr[row]), rank, objective, radius]
            cells += [result.inverted.starts[row]]
            cells += [] if probabilities is None else [_cell(one) for one in probabilities[:, row]]
            table.writerow(cells)


def _cell(value: Any) -> str:
    return f"{float(value):.6g}"


def sheet(result: Result, rows: int) -> Image.Image:
    """A row of each image: itself, the reconstruction, the edits. Of sorted images, evenly spaced ones."""
    chosen = result.order[:rows]
    if len(result.order) > rows and bool((np.diff(result.order) < 0).any()):
        chosen = result.order[np.linspace(0, len(result.order) - 1, rows).round().astype(int)]
    columns = [result.images.stored, result.reconstructed, *result.edited.values()]
    shown = np.stack([images[chosen] for images in columns], 1)
    return tile(shown.reshape(-1, *shown.shape[2:]), len(columns))


def write_latents(result: Result, file: Path) -> None:
    """Writes an npz: ``points`` [N, ...] float32, ``names`` [N]. Raises OSError."""
    with replacing(file) as beside, beside.open("wb") as stream:
        points, names = result.inverted.points.numpy(), np.array(result.images.stems)
        np.savez(stream, allow_pickle=False, points=points, names=names)


def told(result: Result, edits: Edits | None) -> list[str]:
    """Sentences that say how near the reconstructions are, and what the edits do."""
    psnr, identity = result.psnr, result.identity
    lines = [
        f"{result.images.about}: PSNR of reconstructions: best {psnr.max():.2f}, median {np.median(psnr):.2f}, "
        f"worst {psnr.min():.2f} dB"
    ]
    if identity is None:
        return lines
    first, middle = (identity.ranks == 1).sum(), np.median(identity.ranks)
    lines.append(
        f"the own image is the nearest of {identity.among:,} to {first} of {len(psnr)} reconstructions (median "
        f"place {middle:g}), by {identity.about}"
    )
    if edits is not None and identity.probabilities is not None:
        _, before, *after = identity.probabilities.mean(1)
        each = ", ".join(f"{value:.2f} at {one:+g}" for one, value in zip(result.edited, after, strict=True))
        lines.append(f"probability of {edits.name}, by the same: {before:.2f} in reconstructions, {each}")
    return lines
