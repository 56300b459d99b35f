"""Generators that come with ganexp: ``run=zoo:<name>`` for every verb that needs a generator alone.

Each is a folder of ``ganexp export``. Verbs write beside what they read, so that one is copied to
``outputs/zoo/<name>`` when it is first used. ``scripts/train_zoo.py`` trains them.
"""

from pathlib import Path

from ganexp.errors import UserError, suggest
from ganexp.system.atomic import make_folder, replacing

MODELS = Path(__file__).parent / "models"

PREFIX = "zoo:"


def names() -> list[str]:
    """What stands behind ``zoo:``."""
    return sorted(folder.parent.name for folder in MODELS.glob("*/config.yaml"))


def run_folder(run: str) -> str:
    """A run's folder; of ``zoo:<name>`` that of its copy, which is made anew if it is not as it came.

    Raises UserError for an unknown name, and where the copy cannot be written.
    """
    if not run.startswith(PREFIX):
        return run
    name = run.removeprefix(PREFIX)
    if name not in names():
        raise UserError(f"run={run}: {suggest(name, names()) or 'none came with this installation'}")
    copy = Path("outputs/zoo") / name
    try:
        with make_folder(copy):
            for file in sorted((MODELS / name).iterdir()):
                _copy(file, copy / file.name)
    except OSError as error:
        raise UserError(f"run={run}: {copy} cannot be written: {error.strerror or error}") from None
    return str(copy)


def _copy(file: Path, copy: Path) -> None:
    content = file.read_bytes()
    if not copy.is_file() or copy.read_bytes() != content:
        with replacing(copy) as temporary:
            temporary.write_bytes(content)
