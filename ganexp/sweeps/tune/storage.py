"""``study.journal``: Optuna's journal storage in a file, with one line of JSON per event.

Optuna pickles only snapshots, and with a file it keeps none.
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
"""The user attribute of a trial that holds its overrides as text."""


def open_study(folder: Path, *, lower: bool, pruner: BasePruner) -> optuna.Study:
    """Loads or creates the study in ``folder``. Raises UserError where ``study.journal`` is damaged."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)  # ganexp prints its own messages
    warnings.filterwarnings("ignore", category=ExperimentalWarning)
    file, lock = folder / "study.journal", _Lock(folder / ".locks" / "journal")
    _remove_incomplete_line(file, lock)
    damaged = f"{file} is damaged: delete its damaged lines, or choose another name=..."
    try:
        study = optuna.create_study(
            storage=JournalStorage(JournalFileBackend(str(file), lock_obj=lock)),
            study_name=folder.name,
            direction="minimize" if lower else "maximize",
            pruner=pruner,
            load_if_exists=True,
        )
    except OSError:
        raise  # such as a full disk
    except Exception:  # a damaged file may raise anything in Optuna
        raise UserError(damaged) from None
    if not all(_is_valid(trial) for trial in study.get_trials(deepcopy=False)):
        raise UserError(damaged)
    return study


def _is_valid(trial: FrozenTrial) -> bool:
    """Whether its settings are a list of ``key=value``; only a trial that has just started may lack them."""
    settings = trial.user_attrs.get(SETTINGS, None if trial.state.is_finished() else [])
    return isinstance(settings, list) and all(isinstance(word, str) and "=" in word for word in settings)


class _Lock(JournalFileOpenLock):
    """A file lock of the operating system, released when its process dies; Optuna's would stay for 30 s."""

    def __init__(self, file: Path) -> None:
        self._file_lock = FileLock(file)

    def acquire(self) -> bool:
        self._file_lock.acquire()
        return True

    def release(self) -> None:
        self._file_lock.release()


def _remove_incomplete_line(file: Path, lock: _Lock) -> None:
    """Removes an incomplete last line, left by a process that died; the next line would be appended to it."""
    check_regular(file)
    lock.acquire()
    try:
        content = file.read_bytes() if file.is_file() else b""
        if not content.endswith(b"\n") and content:
            with replacing(file) as temporary:
                temporary.write_bytes(content[: content.rfind(b"\n") + 1])
    finally:
        lock.release()
