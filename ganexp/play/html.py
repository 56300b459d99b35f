"""What pages show: pictures that are a part of the page, curves of losses, and errors without paths.

Pictures are data URIs, so that nothing is written to be shown and no route serves it.
"""

import base64
import re
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from ganexp.data.picture import png_bytes

_PATH = re.compile(r"(?<![\w.~/])(?:/[^\s/:;,'\"()=]+)+/(?=[^\s/])")
"""The folders of an absolute path."""

_WIDTH, _HEIGHT = 480, 150


class Shown(NamedTuple):
    """One picture with its caption, and the name of its file when it is downloaded."""

    picture: Image.Image
    caption: str
    file: str


def figures(shown: Sequence[Shown | str]) -> str:
    """Pictures side by side, each with a link that downloads it in its full size; else a text."""
    return f'<div class="runs">{"".join(map(_figure, shown))}</div>'


def _figure(shown: Shown | str) -> str:
    if isinstance(shown, str):
        return f"<figure>{told(shown)}</figure>"
    uri = f"data:image/png;base64,{base64.b64encode(png_bytes(shown.picture)).decode()}"
    size = f"{shown.picture.width} x {shown.picture.height}"
    link = f'<a href="{uri}" download="{escape(shown.file)}">download PNG, {size}</a>'
    image = f'<img src="{uri}" alt="{escape(shown.caption)}">'
    return f"<figure>{image}<figcaption>{escape(shown.caption)}<br>{link}</figcaption></figure>"


def told(text: str) -> str:
    """A message, such as that of a UserError, without the folders of this machine."""
    return f'<p class="told">{escape(without_folders(text))}</p>'


def without_folders(text: str) -> str:
    """``text`` with only the last part of each absolute path."""
    for folder in {str(Path.home()), str(Path.cwd())} - {"/"}:
        text = text.replace(f"{folder}/", "").replace(folder, "...")
    return _PATH.sub("", text)


def curves(losses: Sequence[tuple[int, float | None, float | None]]) -> str:
    """The losses of critic and generator by step, as a picture with two lines on one scale."""
    both = [value for _, *values in losses for value in values if value is not None]
    if len(losses) < 2:
        return '<div class="curves"><p>losses: after a few steps</p></div>'
    low, high = min(both), max(both)
    first, last = losses[0][0], losses[-1][0]
    lines, below = "", f'y="{_HEIGHT + 16}" font-size="13"'
    for place, (name, colour) in enumerate((("critic", "#2563eb"), ("generator", "#ea580c"))):
        points = [
            f"{_WIDTH * (step - first) / max(1, last - first):.1f},"
            f"{_HEIGHT * (high - value) / max(high - low, 1e-12):.1f}"
            for step, *values in losses
            if (value := values[place]) is not None
        ]
        lines += f'<polyline fill="none" stroke="{colour}" stroke-width="1.5" points="{" ".join(points)}"/>'
        lines += f'<text x="{8 + 80 * place}" {below} fill="{colour}">{name}</text>'
    about = f"{low:.3g} to {high:.3g}, steps {first:,} to {last:,}"
    lines += f'<text x="{_WIDTH - 4}" {below} text-anchor="end" fill="gray">{about}</text>'
    size = f'viewBox="0 -4 {_WIDTH} {_HEIGHT + 26}"'
    return f'<div class="curves"><svg {size} role="img" aria-label="losses: {about}">{lines}</svg></div>'
