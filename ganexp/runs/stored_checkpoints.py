"""Finds and reads the checkpoint files of a run; ``checkpoints.py`` writes them.

last.pt                             the newest
best.pt                             the one with the best score, where the run is evaluated
step_00000812_epoch_0014.pt         an older one, from an epoch's end
step_00000850.pt                    an older one, from within an epoch

A folder of ``ganexp export`` has none, and the averaged generator's weights instead (``exported.py``).
"""

import re
from pathlib import Path
from typing import Any, NamedTuple

from ganexp.config.exported_files import GENERATOR
from ganexp.errors import UserError, print_to_stderr
from ganexp.runs.exported import read_generator
from ganexp.system.tensor_file import Damaged, read

_STEP_NAME = re.compile(r"step_(\d{8,})(_epoch_\d{4,})?\.pt")


class LoadedCheckpoint(NamedTuple):
    """A checkpoint, and a line for each newer one that was skipped because it is damaged."""

    content: dict[str, Any]
    file: Path
    skipped: list[str]

    def check_whole(self) -> None:
        """Raises UserError where the checkpoint has the generator alone, as an exported one."""
        if "game" not in self.content:
            raise UserError(f"{self.file}: it has the generator alone, and this needs the run that it is of")


def step_name(step: int, epoch: int | None) -> str:
    """The name, without ``.pt``, that a checkpoint has once it is older; ``epoch``: the one that it ended."""
    return f"step_{step:08d}" + ("" if epoch is None else f"_epoch_{epoch:04d}")


def is_from_epoch_end(name: str) -> bool:
    """Whether a step name is that of a checkpoint from an epoch's end."""
    return "_epoch_" in name


def step_of(file: Path) -> int:
    """The step in the name of an older checkpoint; -1 for other files."""
    match = _STEP_NAME.fullmatch(file.name)
    return int(match[1]) if match else -1


def older_checkpoints(folder: Path) -> list[Path]:
    """The checkpoints older than ``last.pt``, newest first."""
    older = [file for file in folder.glob("*.pt") if step_of(file) >= 0]
    return sorted(older, key=step_of, reverse=True)


def read_valid(file: Path) -> dict[str, Any]:
    """The content of a checkpoint, with a valid ``name`` and valid counters in ``progress``. Raises Damaged."""
    content = read(file)
    name, progress = content.get("name"), content.get("progress")
    counts = (
        [progress.get(key) for key in ("step", "images", "rollbacks")] if isinstance(progress, dict) else [-1]
    )
    if not isinstance(name, str) or not _STEP_NAME.fullmatch(f"{name}.pt"):
        raise Damaged(f"{file} is damaged: its step name is missing or invalid")
    if not all(type(count) is int and count >= 0 for count in counts):
        raise Damaged(f"{file} is damaged: its counters of steps and images are missing or invalid")
    return content


def latest(folder: Path, *, whole_epoch: bool = False) -> LoadedCheckpoint | None:
    """The newest usable checkpoint, None if there is none; ``whole_epoch``: only from those of an epoch's end.

    Raises UserError if all are damaged.
    """
    damaged: list[str] = []
    for file in [folder / "last.pt", *older_checkpoints(folder)]:
        if not file.is_file():
            continue
        try:
            content = read_valid(file)
        except Damaged as error:
            damaged.append(str(error))
            continue
        if not whole_epoch or is_from_epoch_end(content["name"]):
            return LoadedCheckpoint(content, file, damaged)
    if damaged:
        raise UserError("; ".join(damaged) + "; no older one can be used")
    return None


def resolve_checkpoint(folder: Path, checkpoint: str) -> LoadedCheckpoint:
    """The checkpoint that ``best``, ``last`` or a file names, in ``folder`` (``checkpoints/`` of a run).

    ``best`` falls back to ``last`` in a run without ``best.pt``. Prints a line for each newer, damaged
    checkpoint. Raises UserError where there is none.
    """
    if checkpoint == "best" and (folder / "best.pt").is_file():
        return LoadedCheckpoint(read_valid(folder / "best.pt"), folder / "best.pt", [])
    if checkpoint in ("best", "last"):
        found = latest(folder)
        if found is None and (exported := folder.parent / GENERATOR).is_file():
            return LoadedCheckpoint(read_generator(exported), exported, [])
        if found is None:
            raise UserError(f"{folder.parent} has no checkpoint yet: the run was stopped before its first one")
        for line in found.skipped:
            print_to_stderr(f"{line}; taking {found.file.name}")
        return found
    named = [file for file in (Path(checkpoint).expanduser(), folder / checkpoint) if file.is_file()]
    if not named:
        raise UserError(f"checkpoint={checkpoint}: should be best, last or a file of {folder}")
    return LoadedCheckpoint(read_valid(named[0]), named[0], [])
