"""The cache of prepared data sets: decoded once, stored as arrays, then opened as memory maps.

    $GANEXP_CACHE/<name>-<key>/
        samples.npy   [N, C, H, W] uint8
        labels.npy    [N] int64
        sources.npy   [M, C, H, W] uint8, of sets that have them
        meta.json     classes, fingerprint, images left out, settings

The key covers the files (names, sizes, times or checksums) and every setting that changes a pixel. A set is
written to a temporary folder that is renamed at the end, so a killed preparation leaves no incomplete entry. A
file lock makes two runs that need the same set prepare it only once.
"""

import hashlib
import json
import multiprocessing
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import PIL
from filelock import FileLock, Timeout
from platformdirs import user_cache_path

from ganexp.data.arrays import Arrays, fingerprint
from ganexp.errors import UserError
from ganexp.system.atomic import sync

_FORMAT = 1
_META = "meta.json"
_SOURCES = "sources.npy"


def cache_folder() -> Path:
    """``$GANEXP_CACHE``, or the user's cache folder."""
    named = os.environ.get("GANEXP_CACHE")
    return Path(named).expanduser() if named else user_cache_path("ganexp")


@dataclass(frozen=True)
class CacheEntry:
    """One prepared set on disk."""

    folder: Path
    meta: dict[str, Any]

    @property
    def size(self) -> int:
        """Bytes on disk."""
        return sum(file.stat().st_size for file in self.folder.iterdir())

    def open(self) -> Arrays:
        """The data set; samples and sources are memory maps."""
        samples = np.load(self.folder / "samples.npy", mmap_mode="r", allow_pickle=False)
        labels = np.load(self.folder / "labels.npy", allow_pickle=False)
        classes, known = tuple(self.meta["classes"]), self.meta["fingerprint"]
        return Arrays(samples, labels, classes, known, _sources(self.folder))


@dataclass
class CacheWriter:
    """A cache entry being written: a source's ``prepare`` writes the files and sets the fields."""

    folder: Path
    labels: np.ndarray | None = None
    classes: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()

    @property
    def samples(self) -> Path:
        """The file for the samples."""
        return self.folder / "samples.npy"

    @property
    def sources(self) -> Path:
        """The file for the sources, if the set has any."""
        return self.folder / _SOURCES

    def fill(self, arrays: Arrays) -> None:
        """Stores a data set that is in memory."""
        np.save(self.samples, arrays.samples, allow_pickle=False)
        if arrays.sources is not None:
            np.save(self.sources, arrays.sources, allow_pickle=False)
        self.labels, self.classes = arrays.labels, arrays.classes


def get_or_prepare(name: str, identity: dict[str, Any], make: Callable[[CacheWriter], None]) -> CacheEntry:
    """The cache entry of that identity, prepared first if it is missing. Raises UserError."""
    key = hashlib.sha256(json.dumps([_FORMAT, PIL.__version__, name, identity], sort_keys=True).encode())
    folder = cache_folder() / f"{name}-{key.hexdigest()[:16]}"
    found = _entry(folder)
    if found is None:
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            with cache_lock(folder):
                if _entry(folder) is None:  # another run may have prepared it meanwhile
                    _write_entry(folder, name, identity, make)
        except OSError as error:
            reason = error.strerror or error
            raise UserError(
                f"{folder.parent} cannot be written ({reason}): set GANEXP_CACHE=<folder>"
            ) from None
        found = _entry(folder)
        assert found is not None, "a set that was just made is whole"
    return found


def entries() -> list[CacheEntry]:
    """All cache entries of data sets, sorted by name."""
    folders = sorted(cache_folder().glob("*-*")) if cache_folder().is_dir() else []
    return [found for folder in folders if (found := _entry(folder)) is not None]


def clear() -> int:
    """Removes everything in the cache, leftovers of killed runs too; returns the bytes freed."""
    root, freed = cache_folder(), 0
    for folder in root.glob("*-*") if root.is_dir() else []:
        freed += sum(file.stat().st_size for file in folder.iterdir()) if folder.is_dir() else 0
        shutil.rmtree(folder) if folder.is_dir() else folder.unlink()
    return freed


def _sources(folder: Path) -> np.ndarray | None:
    file = folder / _SOURCES
    return np.load(file, mmap_mode="r", allow_pickle=False) if file.is_file() else None


def _entry(folder: Path) -> CacheEntry | None:
    try:
        return CacheEntry(folder, json.loads((folder / _META).read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return None


@contextmanager
def cache_lock(folder: Path) -> Iterator[None]:
    """Holds the file lock of one folder of the cache; the system releases it if the process dies.

    A worker process imports the script that started it. Where that script calls ganexp at its top level, the
    worker would wait here for its own parent: it exits instead.
    """
    if getattr(multiprocessing.current_process(), "_inheriting", False):  # set while a worker imports a script
        raise SystemExit(1)
    folder.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(f"{folder}.lock")
    try:
        lock.acquire(timeout=1)
    except Timeout:
        print(f"another run is preparing {folder.name}: waiting for it", flush=True)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _write_entry(
    folder: Path, name: str, identity: dict[str, Any], make: Callable[[CacheWriter], None]
) -> None:
    partial = folder.with_name(f"{folder.name}.part")
    shutil.rmtree(partial, ignore_errors=True)  # this process has the lock, so this is a dead run's
    partial.mkdir()
    try:
        draft = CacheWriter(partial)
        make(draft)
        assert draft.labels is not None, "a preparation states its labels"
        np.save(partial / "labels.npy", draft.labels, allow_pickle=False)
        samples = np.load(draft.samples, mmap_mode="r", allow_pickle=False)
        meta = {
            "name": name,
            "settings": identity,
            "shape": list(samples.shape),
            "classes": draft.classes,
            "left_out": draft.left_out,
            "fingerprint": fingerprint(samples, draft.labels, draft.classes, _sources(partial)),
        }
        (partial / _META).write_text(json.dumps(meta, indent=1), encoding="utf-8")
        for file in partial.iterdir():
            sync(file)
        partial.rename(folder)
        sync(folder.parent)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
