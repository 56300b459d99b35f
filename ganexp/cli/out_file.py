"""Names of files that verbs write: the setting ``out`` of a picture, and names made of what was asked for."""

import re
from pathlib import Path

from ganexp.config.resolvers import MAX_NAME_LENGTH, cut_name
from ganexp.errors import UserError

_ENDINGS = {".png", ".webp", ".gif", ".mp4"}


def picture_file(out: str | None) -> Path | None:
    """The PNG file that ``out`` names, with or without an ending; None if it is null. Raises UserError."""
    if not out:
        return None
    path = Path(out).expanduser()
    if not path.name or path.is_dir():
        raise UserError(f"out={out}: it should be a file")
    stem = path.stem if path.suffix in _ENDINGS else path.name
    return path.with_name(f"{stem}.png")


def safe_name(text: str) -> str:
    """A file's name of letters, digits, ``.``, ``_`` and ``-``; where that loses something, with a hash."""
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", text)
    return name if name == text and len(name) <= MAX_NAME_LENGTH else cut_name(name, text)
