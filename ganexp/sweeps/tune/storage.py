"""``study.log``: Optuna's journal in a file, a line of JSON for each thing that happened.

Of a file Optuna keeps no snapshots, which are all that it would pickle.
"""

import warnings
from pathlib import Path

import optuna
from filelock import FileLock
from optuna.exceptions import ExperimentalWarning
from optuna.pruners import BasePruner
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
from optuna.trial import FrozenTrial

from ganexp.errors import UserError
from ganexp.system.atomic import check_regular, replacing

SETTINGS = "settings"
"""A trial's attribute: its overrides, as plain text."""


def open_study(folder: Path, *, lower: bool, pruner: BasePruner) -> optuna.Study:
    """The study that ``folder`` holds, made if need be. Raises UserError where its journal is damaged."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)  # what there is to tell is told in our words
    warnings.filterwarnings("ignore", category=ExperimentalWarning)
    file, lock = folder / "study.journal", _Lock(folder / ".locks" / "journal")
    _mend(file, lock)
    damaged = f"{file} is damaged: take its last whole lines, or another name=..."
    try:
        study = optuna.create_study(
            storage=JournalStorage(JournalFileBackend(str(file), lock_obj=lock)),
            study_name=folder.name,
            direction="minimize" if lower else "maximize",
            pruner=pruner,
            load_if_exists=True,
        )
    except OSError:
        raise  # a full disk is told as such
    except Exception:  # whatever Optuna stumbles over as it reads what is written there
        raise UserError(damaged) from None
    if not all(_is_sound(trial) for trial in study.get_trials(deepcopy=False)):
        raise UserError(damaged)
    return study


def _is_sound(trial: FrozenTrial) -> bool:
    """Whether its settings are a list of ``key=value``; only a trial that has just begun may have none yet."""
    settings = trial.user_attrs.get(SETTINGS, None if trial.state.is_finished() else [])
    return isinstance(settings, list) and all(isinstance(word, str) and "=" in word for word in settings)


class _Lock(JournalFileOpenLock):
    """The operating system's, gone with the process that holds it; Optuna's own would stay for 30 seconds."""

    def __init__(self, file: Path) -> None:
        self._held = FileLock(file)

    def acquire(self) -> bool:
        self._held.acquire()
        return True

    def release(self) -> None:
        self._held.release()


def _mend(file: Path, lock: _Lock) -> None:
    """Half a line, of a process that died while it wrote, would spoil the next one too."""
    check_regular(file)
    lock.acquire()
    try:
        content = file.read_bytes() if file.is_file() else b""
        if not content.endswith(b"\n") and content:
            with replacing(file) as beside:
                beside.write_bytes(content[: content.rfind(b"\n") + 1])
    finally:
        lock.release()
