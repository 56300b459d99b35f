"""Generators that come with ganexp: ``run=zoo:<name>`` for every verb that needs a generator alone.

Each is a folder of ``ganexp export``. Verbs write beside what they read, so that one is copied to
``outputs/zoo/<name>`` when it is first used. ``scripts/train_zoo.py`` trains them.
"""

from pathlib import Path

from ganexp.config.exported_files import GENERATOR
from ganexp.errors import UserError, suggest
from ganexp.system.atomic import make_folder, replacing

MODELS = Path(__file__).parent.parent / "zoo"
"""A folder of each."""

PREFIX = "zoo:"


def names() -> list[str]:
    """What stands behind ``zoo:``."""
    return sorted(folder.parent.name for folder in MODELS.glob("*/config.yaml"))


def run_folder(run: str) -> str:
    """A run's folder; of ``zoo:<name>`` that of its copy, which is made anew if its weights are others.

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
            if not _is_copy(copy, MODELS / name):
                for file in sorted((MODELS / name).iterdir()):
                    with replacing(copy / file.name) as temporary:
                        temporary.write_bytes(file.read_bytes())
    except OSError as error:
        raise UserError(f"run={run}: {copy} cannot be written: {error.strerror or error}") from None
    return str(copy)


def _is_copy(copy: Path, model: Path) -> bool:
    """Whether a copy is there and has these weights; its configuration may have been changed."""
    weights = copy / GENERATOR
    is_whole = (copy / "config.yaml").is_file() and weights.is_file()
    return is_whole and weights.read_bytes() == (model / GENERATOR).read_bytes()
