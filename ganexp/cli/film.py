"""``ganexp film``: an animation of a run's sample grids, which all use the same latents."""

from pathlib import Path
from typing import Any, NamedTuple

from omegaconf import DictConfig
from PIL import Image, ImageDraw, ImageFont

from ganexp.data.moving_picture import SHORTEST, check_film_format, save_film
from ganexp.errors import UserError
from ganexp.runs.records import early_grids, grids
from ganexp.runs.saved_run import SavedRun
from ganexp.system.terminal import print_lines

_CAPTION_HEIGHT = 22  # pixels
_MAX_DIGITS = 18  # of a number in a file's name: the folder may be untrusted
_LAST_FRAME_DURATION = 2000  # milliseconds


def film(cfg: DictConfig) -> None:
    """Writes the animation and prints its path; see ``conf/film.yaml``. Raises UserError."""
    check_film_format(cfg.format)
    folder = Path(cfg.run).expanduser()
    found = _grids(folder)
    if len(found) < 2:
        raise UserError(f"{folder}: a film needs at least two sample grids; samples/ has {len(found)}")
    frames = [_frame(grid, cfg.width) for grid in _spaced(found, cfg.frames)]
    duration = max(SHORTEST, round(1000 * cfg.seconds / len(frames)))
    out = Path(cfg.out).expanduser() if cfg.out else folder / "samples" / f"film.{cfg.format}"
    try:
        save_film(frames, [duration] * (len(frames) - 1) + [_LAST_FRAME_DURATION], cfg.format, out)
    except OSError as error:
        raise UserError(f"out={out}: cannot be written: {error.strerror or error}") from None
    print_lines(f"{len(frames)} grids: {out}")


class _Grid(NamedTuple):
    """A grid: file, number of its epoch (None within one), its row of metrics.jsonl ({} where it has none)."""

    file: Path
    epoch: int | None
    row: dict[str, Any]


def _grids(folder: Path) -> list[_Grid]:
    """The grids of a run in the order of the images seen; an epoch without a row follows the one before it."""
    rows = SavedRun(folder).rows
    epochs = {row["epoch"]: row for row in rows if isinstance(row.get("epoch"), int)}
    others = {row["images"]: row for row in rows if "epoch" not in row}
    within = [(count, file) for file in early_grids(folder) if (count := _number(file)) is not None]
    found = [(count, _Grid(file, None, others.get(count, {"images": count}))) for count, file in within]
    images = 0
    for file in grids(folder):
        number = _number(file) or 0
        grid = _Grid(file, number, epochs.get(number, {}))
        images = max(images, grid.row.get("images", 0))
        found.append((images, grid))
    return [grid for _, grid in sorted(found, key=lambda pair: pair[0])]


def _number(file: Path) -> int | None:
    """The number in a grid's name."""
    digits = file.stem.partition("_")[2]
    return int(digits) if digits.isdecimal() and len(digits) <= _MAX_DIGITS else None


def _spaced(grids: list[_Grid], most: int) -> list[_Grid]:
    """At most ``most`` evenly spaced grids, including the first and the last."""
    if len(grids) <= most:
        return grids
    return [grids[round(n * (len(grids) - 1) / (most - 1))] for n in range(most)]


def _caption(epoch: int | None, row: dict[str, Any]) -> str:
    """Epoch, images seen and first score, as far as they are known."""
    told = [] if epoch is None else [f"epoch {epoch}"]
    told += [f"{row['images']:,} images"] if "images" in row else []
    scores = [f"{name.removeprefix('score/')} {row[name]:.3g}" for name in row if _is_score(name, row[name])]
    return ", ".join([*told, *scores[:1]])


def _frame(grid: _Grid, width: int) -> Image.Image:
    """A grid with a caption. Raises UserError where it is damaged."""
    try:
        with Image.open(grid.file) as file:
            picture = file.convert("RGB")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        raise UserError(f"{grid.file} is damaged: it cannot be read as a PNG") from None
    if picture.width > width:
        height = round(picture.height * width / picture.width)
        picture = picture.resize((width, height), Image.Resampling.LANCZOS)
    canvas = Image.new("RGB", (picture.width, picture.height + _CAPTION_HEIGHT), (32, 32, 32))
    canvas.paste(picture)
    text = _caption(grid.epoch, grid.row)
    ImageDraw.Draw(canvas).text((6, picture.height + 4), text, (230, 230, 230), ImageFont.load_default(13))
    return canvas


def _is_score(name: str, value: Any) -> bool:
    return name.startswith("score/") and isinstance(value, int | float)
