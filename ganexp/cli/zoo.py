"""``ganexp zoo`` lists the generators that come with ganexp, and draws samples of each. Needs no torch."""

import re
from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw

from ganexp.cli.arguments import parse, values_by_key
from ganexp.config.exported_files import GENERATOR, PICTURE
from ganexp.config.zoo import MODELS, PREFIX, names
from ganexp.data.picture import save_png
from ganexp.errors import UserError, print_to_stderr
from ganexp.runs.saved_run import SavedRun
from ganexp.system.terminal import align_columns, print_lines

ZOO = """ganexp zoo [out=FILE]

Lists the generators that come with ganexp; every verb that needs a generator alone takes them:
ganexp sample run=zoo:digits

  out   a picture with samples of each; by default outputs/zoo/zoo.png"""

_SIDE, _LINE = 256, 20


def zoo(arguments: Sequence[str]) -> None:
    """Prints a line for each, and writes the picture. Raises UserError."""
    paths, settings = parse(arguments)
    if paths:
        raise UserError(f"{paths[0]}: ganexp zoo takes no folders")
    out = Path(values_by_key(settings, ["out"]).get("out", "outputs/zoo/zoo.png")).expanduser()
    rows = [("name", "what", "size", "score", "licence")]
    for name in names():
        run, card = SavedRun(MODELS / name), (MODELS / name / "README.md").read_text(encoding="utf-8")
        title, licence = (re.search(pattern, card, re.MULTILINE) for pattern in (r"^# (.*)", r"^license: (.*)"))
        size = (MODELS / name / GENERATOR).stat().st_size / 1e6
        told = title[1] if title else "", f"{size:.2f} MB", run.score or "", licence[1] if licence else ""
        rows.append((PREFIX + name, *told))
    print_lines(align_columns(rows, right=[2]))
    try:
        save_png(_picture(), out)
    except OSError as error:
        print_to_stderr(f"out={out}: the picture cannot be written: {error.strerror or error}")
        return
    print_lines(f"samples of each: {out}")


def _picture() -> Image.Image:
    """The samples of all, side by side, each with its name above it."""
    found = names()
    picture = Image.new("RGB", (max(1, len(found)) * (_SIDE + 8), _SIDE + _LINE), "white")
    draw = ImageDraw.Draw(picture)
    for number, name in enumerate(found):
        left = number * (_SIDE + 8)
        draw.text((left, 4), PREFIX + name, "black")
        with Image.open(MODELS / name / PICTURE) as samples:
            picture.paste(samples.convert("RGB").resize((_SIDE, _SIDE)), (left, _LINE))
    return picture
