"""Sample grids of several runs after equally many images, small enough to embed in one page."""

import base64
import io
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from PIL import Image, features

from ganexp.compare.groups import Group, seed_of
from ganexp.runs.saved_run import SavedRun

_LONGEST_SIDE = 360  # pixels
_QUALITY = 70
_MAX_PIXELS = 40_000_000  # larger grids are not opened: the run may be untrusted


class Grid(NamedTuple):
    """A sample grid as a data URI, after ``images`` real images."""

    label: str
    seed: str
    images: int
    uri: str


class Gallery(NamedTuple):
    """One grid of each group, the grids of the other seeds, and how many did not fit the budget."""

    firsts: list[Grid]
    others: list[Grid]
    left_out: int


def gallery(groups: Sequence[Group], budget: int) -> Gallery:
    """Grids at the largest number of images that all groups have reached; ``budget`` is in bytes of data URIs.

    The run of each group with the most images comes first; the other runs follow while the budget lasts.
    """
    longest = {group.label: max(group.runs, key=_last_images) for group in groups}
    counts = [count for run in longest.values() if (count := _last_images(run))]
    if not counts:
        return Gallery([], [], 0)
    candidates = [(group.label, run) for group in groups for run in group.runs]
    candidates.sort(key=lambda pair: pair[1] is not longest[pair[0]])  # one per group, then the others
    found: dict[bool, list[Grid]] = {True: [], False: []}
    left_out = 0
    for label, run in candidates:
        if budget <= 0:
            left_out += bool(_files(run))
            continue
        grid = _grid(label, run, min(counts))
        if grid is not None:
            found[run is longest[label]].append(grid)
            budget -= len(grid.uri)
    return Gallery(found[True], found[False], left_out)


def _last_images(run: SavedRun) -> int:
    return max(_files(run), default=0)


def _files(run: SavedRun) -> dict[int, Path]:
    """The existing grids by images seen; symbolic links are ignored, as they may lead out of the run folder."""
    folder = run.folder / "samples"
    if folder.is_symlink():
        return {}
    named = {
        row["images"]: folder / f"epoch_{row['epoch']:04d}.png"
        for row in run.rows
        if isinstance(row.get("epoch"), int)
    }
    return {images: file for images, file in named.items() if file.is_file() and not file.is_symlink()}


def _grid(label: str, run: SavedRun, most: int) -> Grid | None:
    """The last grid at or below ``most`` images; None if there is none or it cannot be read."""
    files = _files(run)
    images = max((count for count in files if count <= most), default=None)
    uri = None if images is None else _uri(files[images])
    return None if images is None or uri is None else Grid(label, seed_of(run), images, uri)


def _uri(file: Path) -> str | None:
    kind = "WEBP" if features.check("webp") else "JPEG"
    encoded = io.BytesIO()
    try:
        with Image.open(file, formats=["PNG"]) as picture:
            if picture.width * picture.height > _MAX_PIXELS:
                return None
            small = picture.convert("RGB")
        small.thumbnail((_LONGEST_SIDE, _LONGEST_SIDE), Image.Resampling.LANCZOS)
        small.save(encoded, kind, quality=_QUALITY)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None  # damaged, or not an image
    return f"data:image/{kind.lower()};base64,{base64.b64encode(encoded.getvalue()).decode()}"
