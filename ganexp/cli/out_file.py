"""The setting ``out`` of verbs that write a picture."""

from pathlib import Path

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
