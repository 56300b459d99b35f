"""Decodes many images on all cores, directly into the prepared set's ``.npy`` file."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from ganexp.data.decode import Recipe, decode
from ganexp.data.file_tree import FileTree
from ganexp.errors import UserError
from ganexp.system.cpus import cpu_count

_IMAGES_PER_TASK = 128  # images per task of a worker process
_MIN_PARALLEL = 512  # with fewer images, starting workers takes longer than decoding


class DecodeTask(NamedTuple):
    """One task: decode the images ``names`` into the rows of ``out`` from ``first`` on."""

    root: Path
    names: tuple[str, ...]
    first: int
    recipe: Recipe
    out: Path


FailedRows = list[tuple[int, str]]
"""Rows whose images could not be decoded, and why."""


def decode_into(out: Path, tree: FileTree, names: Sequence[str], recipe: Recipe) -> FailedRows:
    """Decodes the named images into a new ``.npy`` [N, C, H, W] uint8; returns the rows that failed."""
    shape = (len(names), recipe.channels, recipe.resolution, recipe.resolution)
    np.lib.format.open_memmap(out, "w+", np.uint8, shape).flush()
    tasks = [
        DecodeTask(tree.root, tuple(names[first : first + _IMAGES_PER_TASK]), first, recipe, out)
        for first in range(0, len(names), _IMAGES_PER_TASK)
    ]
    failed: FailedRows = []
    with tqdm(total=len(names), desc="preparing", unit=" images", delay=1, disable=None, leave=False) as bar:
        for found, count in _results(tree, tasks, len(names)):
            failed += found
            bar.update(count)
    return sorted(failed)


def drop_rows(file: Path, rows: Sequence[int]) -> np.ndarray:
    """Removes rows from a ``.npy``; returns the indices of the rows kept."""
    old = np.load(file, mmap_mode="r", allow_pickle=False)
    kept = np.setdiff1d(np.arange(len(old)), np.array(rows, np.int64))
    beside = file.with_suffix(".kept.npy")
    new = np.lib.format.open_memmap(beside, "w+", old.dtype, (len(kept), *old.shape[1:]))
    for start in range(0, len(kept), _IMAGES_PER_TASK):
        new[start : start + _IMAGES_PER_TASK] = old[kept[start : start + _IMAGES_PER_TASK]]
    new.flush()
    beside.replace(file)
    return kept


def _results(tree: FileTree, tasks: list[DecodeTask], count: int) -> Iterator[tuple[FailedRows, int]]:
    """For each task, as it is completed: the rows that failed, and the number of its images."""
    if count < _MIN_PARALLEL or cpu_count() == 1:
        for task in tasks:
            yield _decode_task(tree, task), len(task.names)
        return
    context = multiprocessing.get_context("spawn")  # a fork is unsafe: torch may have started threads
    with ProcessPoolExecutor(cpu_count(), mp_context=context, initializer=_init_worker) as pool:
        running = {pool.submit(_decode_in_worker, task): len(task.names) for task in tasks}
        try:
            for done in as_completed(running):
                yield done.result(), running[done]
        except BrokenProcessPool:
            raise UserError(
                "the processes that decode images ended: in a Python script, put the calls of ganexp under "
                "if __name__ == '__main__': (or the memory was not enough for them)"
            ) from None
        finally:
            pool.shutdown(cancel_futures=True)


def _decode_task(tree: FileTree, task: DecodeTask) -> FailedRows:
    samples = np.load(task.out, mmap_mode="r+", allow_pickle=False)
    failed: FailedRows = []
    for row, name in enumerate(task.names, task.first):
        try:
            samples[row] = decode(tree.read(name), name, task.recipe)
        except UserError as error:
            failed.append((row, str(error)))
    samples.flush()
    return failed


def _decode_in_worker(task: DecodeTask) -> FailedRows:
    return _decode_task(_opened(task.root), task)


@cache
def _opened(root: Path) -> FileTree:
    """Cached, so that a worker opens a zip once."""
    return FileTree(root)


def _init_worker() -> None:
    """Initialises a worker: it ignores Ctrl-C, and exits when its parent ends instead of waiting forever."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
