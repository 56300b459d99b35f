"""The file lock of a run folder: one process at a time may write, and only for the run in the folder."""

import os
from pathlib import Path

from filelock import FileLock, Timeout
from omegaconf import DictConfig, OmegaConf

from ganexp.config.resolvers import RESUMABLE
from ganexp.config.stored import check_links, load_config, not_a_run
from ganexp.errors import UserError
from ganexp.system.atomic import replacing


class RunLock:
    """Locks ``folder``, created if missing, for the run that ``cfg`` describes.

    Raises UserError if another process holds the lock, or if the folder holds another run.
    """

    def __init__(self, folder: Path, cfg: DictConfig) -> None:
        self._file = folder / "config.yaml"
        self._cfg = cfg
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._lock = acquire_lock(folder / ".lock", f"{folder} is in use by another process")
        self._lock_stat = (folder / ".lock").stat()  # held open, so its inode number cannot be reused
        try:
            self._check_same_run(folder)
        except BaseException:
            self.release()
            raise

    def write(self) -> None:
        """Writes ``config.yaml``; a resumed run may be longer than before."""
        stored_form = OmegaConf.merge(self._cfg, {"resume": None, "trust": False})
        with replacing(self._file, self._file.parent) as beside:
            beside.write_text(OmegaConf.to_yaml(stored_form), encoding="utf-8")

    @property
    def lost(self) -> bool:
        """Whether the folder was removed, moved or replaced since it was locked."""
        try:
            return not os.path.samestat((self._folder / ".lock").stat(), self._lock_stat)
        except OSError:
            return not self._file.is_file()  # removing the lock file alone is harmless

    def release(self) -> None:
        """Releases the lock."""
        self._lock.release()

    def _check_same_run(self, folder: Path) -> None:
        if not self._file.is_file():
            if self._cfg.resume is not None:
                raise UserError(not_a_run(folder))
            self.write()
        if not self._cfg.trust:
            check_links(folder)
        stored = load_config(self._file)
        for key in sorted({*self._cfg, *stored} - set(RESUMABLE)):
            if OmegaConf.select(stored, key) != OmegaConf.select(self._cfg, key):
                raise UserError(f"{folder} holds another run ({key} differs): choose another name=...")


def acquire_lock(file: Path, message: str) -> FileLock:
    """Acquires a file lock, which ends with this process. Raises UserError(busy) if another process has it."""
    lock = FileLock(file)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise UserError(message) from None
    return lock


def is_held(folder: Path) -> bool:
    """Whether a process holds a run folder's lock; also True where the lock file cannot be opened."""
    lock = FileLock(folder / ".lock")
    if not Path(lock.lock_file).exists():
        return False
    try:
        with lock.acquire(timeout=0):
            return False
    except (Timeout, OSError):
        return True
