"""The right to write into a run folder: one process at a time, and only the run that the folder holds."""

import os
from pathlib import Path

from filelock import FileLock, Timeout
from omegaconf import DictConfig, OmegaConf

from ganexp.config.resolvers import RESUMABLE
from ganexp.config.validate import load_config, stays_inside
from ganexp.errors import UserError
from ganexp.system.atomic import replacing


class RunLock:
    """Holds the lock of ``folder``, made if need be, for the run that ``cfg`` describes.

    Raises UserError if another process holds it, or if the folder is another run's.
    """

    def __init__(self, folder: Path, cfg: DictConfig) -> None:
        self._file = folder / "config.yaml"
        self._cfg = cfg
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._lock = locked(folder / ".lock", f"{folder} is being worked on by another process")
        self._ours = (folder / ".lock").stat()  # held open: no other file can have its number meanwhile
        try:
            self._compare(folder)
        except BaseException:
            self.release()
            raise

    def write(self) -> None:
        """Writes the configuration: a resumed run may be longer now."""
        kept = OmegaConf.merge(self._cfg, {"resume": None, "trust": False})
        with replacing(self._file, self._file.parent) as beside:
            beside.write_text(OmegaConf.to_yaml(kept), encoding="utf-8")

    @property
    def lost(self) -> bool:
        """Whether the folder was removed or moved since, or another one stands in its place."""
        try:
            return not os.path.samestat((self._folder / ".lock").stat(), self._ours)
        except OSError:
            return not self._file.is_file()  # who removes the lock alone harms nobody

    def release(self) -> None:
        """Lets another process work here."""
        self._lock.release()

    def _compare(self, folder: Path) -> None:
        if not self._file.is_file():
            if self._cfg.resume is not None:
                raise UserError(f"{folder} is not a run: it has no config.yaml")
            self.write()
        if not self._cfg.trust:
            stays_inside(folder)
        stored = load_config(self._file)
        for key in sorted({*self._cfg, *stored} - set(RESUMABLE)):
            if OmegaConf.select(stored, key) != OmegaConf.select(self._cfg, key):
                raise UserError(f"{folder} holds another run ({key} differs): choose another name=...")


def locked(file: Path, busy: str) -> FileLock:
    """A lock that ends with this process. Raises UserError, with the line ``busy``, if another one has it."""
    lock = FileLock(file)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise UserError(busy) from None
    return lock


def is_held(folder: Path) -> bool:
    """Whether a process is at work in a run folder now; where nobody may look, as in another's, it may be."""
    lock = FileLock(folder / ".lock")
    if not Path(lock.lock_file).exists():
        return False
    try:
        with lock.acquire(timeout=0):
            return False
    except (Timeout, OSError):
        return True
