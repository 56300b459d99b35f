"""``ganexp film``: an animation of a run's sample grids, which use the same latents at each epoch."""

from pathlib import Path
from typing import Any

from omegaconf import DictConfig
from PIL import Image, ImageDraw, ImageFont

from ganexp.errors import UserError
from ganexp.runs.records import grids
from ganexp.runs.saved_run import SavedRun
from ganexp.system.atomic import replacing
from ganexp.system.terminal import print_lines

_CAPTION_HEIGHT = 22  # pixels
_LAST_FRAME_DURATION = 2000  # milliseconds


def film(cfg: DictConfig) -> None:
    """Writes the animation and prints its path; see ``conf/film.yaml``. Raises UserError."""
    folder = Path(cfg.run).expanduser()
    epochs = grids(folder)
    if len(epochs) < 2:
        raise UserError(
            f"{folder}: a film needs sample grids of at least two epochs; samples/ has {len(epochs)}"
        )
    epochs = _spaced(epochs, cfg.frames)
    rows = {row["epoch"]: row for row in SavedRun(folder).rows if isinstance(row.get("epoch"), int)}
    frames = [_frame(grid, rows.get(_epoch_of(grid), {}), cfg.width) for grid in epochs]
    duration = max(20, round(1000 * cfg.seconds / len(frames)))
    out = Path(cfg.out).expanduser() if cfg.out else folder / "samples" / f"film.{cfg.format}"
    try:
        with replacing(out) as temporary:
            frames[0].save(
                temporary,
                cfg.format.upper(),
                save_all=True,
                append_images=frames[1:],
                duration=[duration] * (len(frames) - 1) + [_LAST_FRAME_DURATION],
                loop=0,
            )
    except OSError as error:
        raise UserError(f"out={out}: cannot be written: {error.strerror or error}") from None
    print_lines(f"{len(frames)} epochs: {out}")


def _spaced(grids: list[Path], most: int) -> list[Path]:
    """At most ``most`` evenly spaced grids, including the first and the last."""
    if len(grids) <= most:
        return grids
    return [grids[round(n * (len(grids) - 1) / (most - 1))] for n in range(most)]


def _epoch_of(grid: Path) -> int:
    digits = grid.stem.partition("_")[2]
    return int(digits) if digits.isdecimal() else 0


def _frame(grid: Path, row: dict[str, Any], width: int) -> Image.Image:
    """A grid with a caption: epoch, images seen and first score. Raises UserError where it is damaged."""
    try:
        with Image.open(grid) as file:
            picture = file.convert("RGB")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        raise UserError(f"{grid} is damaged: it cannot be read as a PNG") from None
    if picture.width > width:
        height = round(picture.height * width / picture.width)
        picture = picture.resize((width, height), Image.Resampling.LANCZOS)
    canvas = Image.new("RGB", (picture.width, picture.height + _CAPTION_HEIGHT), (32, 32, 32))
    canvas.paste(picture)
    text = f"epoch {_epoch_of(grid)}"
    if "images" in row:
        text += f", {row['images']:,} images"
    scores = [f"{name.removeprefix('score/')} {row[name]:.3g}" for name in row if _is_score(name, row[name])]
    text += "".join(f", {score}" for score in scores[:1])
    ImageDraw.Draw(canvas).text((6, picture.height + 4), text, (230, 230, 230), ImageFont.load_default(13))
    return canvas


def _is_score(name: str, value: Any) -> bool:
    return name.startswith("score/") and isinstance(value, int | float)
