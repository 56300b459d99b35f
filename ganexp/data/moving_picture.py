"""Writes frames as a moving picture: webp, gif, or mp4 with the package imageio-ffmpeg."""

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import Image

from ganexp.errors import UserError
from ganexp.system.atomic import replacing

FilmFormat = Literal["webp", "gif", "mp4"]

SHORTEST = 20
"""Milliseconds of a frame, at least: programs show shorter ones of a GIF slowly."""


def check_film_format(form: FilmFormat) -> None:
    """Raises UserError where the package is missing that writes the format."""
    if form == "mp4" and find_spec("imageio_ffmpeg") is None:
        raise UserError("format=mp4 needs imageio-ffmpeg: pip install -e '.[film]'; format=webp needs nothing")


def save_film(frames: Sequence[Image.Image], durations: Sequence[int], form: FilmFormat, file: Path) -> None:
    """Writes frames of one size, each with its duration in milliseconds; they are shown again and again.

    An mp4 has a constant rate: that of its shortest frame, and longer ones are repeated. Raises OSError, and
    UserError as ``check_film_format`` does.
    """
    check_film_format(form)
    with replacing(file) as temporary:
        if form == "mp4":
            _write_mp4(frames, durations, temporary)
        else:
            settings: dict[str, Any] = {"save_all": True, "append_images": frames[1:], "loop": 0}
            frames[0].save(temporary, form.upper(), duration=list(durations), **settings)


def _write_mp4(frames: Sequence[Image.Image], durations: Sequence[int], file: Path) -> None:
    import imageio_ffmpeg

    width, height = (side + side % 2 for side in frames[0].size)  # H.264 halves both sides for its colours
    rate = 1000 / min(durations)
    writer = imageio_ffmpeg.write_frames(
        str(file), (width, height), fps=rate, quality=8, macro_block_size=2, output_params=["-f", "mp4"]
    )
    writer.send(None)
    try:
        for frame, duration in zip(frames, durations, strict=True):
            canvas = Image.new("RGB", (width, height))
            canvas.paste(frame.convert("RGB"))
            for _ in range(max(1, round(duration * rate / 1000))):
                writer.send(np.ascontiguousarray(canvas))
    finally:
        writer.close()
