"""Decodes many images on all cores, directly into the prepared set's ``.npy`` file."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from ganexp.data.decode import Recipe, decode
from ganexp.data.file_tree import FileTree
from ganexp.errors import UserError
from ganexp.system.cpus import cpu_count

_PIECE = 128  # images per task of a worker process
_ALONE = 512  # with fewer images, starting workers takes longer than decoding


class Piece(NamedTuple):
    """One task: decode the images ``names`` into the rows of ``out`` from ``first`` on."""

    root: Path
    names: tuple[str, ...]
    first: int
    recipe: Recipe
    out: Path


Bad = list[tuple[int, str]]
"""Rows whose images could not be decoded, and why."""


def decode_into(out: Path, tree: FileTree, names: Sequence[str], recipe: Recipe) -> Bad:
    """Decodes the named images into a new ``.npy`` [N, C, H, W] uint8; returns the rows that failed."""
    shape = (len(names), recipe.channels, recipe.resolution, recipe.resolution)
    np.lib.format.open_memmap(out, "w+", np.uint8, shape).flush()
    pieces = [
        Piece(tree.root, tuple(names[first : first + _PIECE]), first, recipe, out)
        for first in range(0, len(names), _PIECE)
    ]
    bad: Bad = []
    with tqdm(total=len(names), desc="preparing", unit=" images", delay=1, disable=None, leave=False) as bar:
        for found, count in _results(tree, pieces, len(names)):
            bad += found
            bar.update(count)
    return sorted(bad)


def drop_rows(file: Path, rows: Sequence[int]) -> np.ndarray:
    """Removes rows from a ``.npy``; returns the indices of the rows kept."""
    old = np.load(file, mmap_mode="r", allow_pickle=False)
    kept = np.setdiff1d(np.arange(len(old)), np.array(rows, np.int64))
    beside = file.with_suffix(".kept.npy")
    new = np.lib.format.open_memmap(beside, "w+", old.dtype, (len(kept), *old.shape[1:]))
    for start in range(0, len(kept), _PIECE):
        new[start : start + _PIECE] = old[kept[start : start + _PIECE]]
    new.flush()
    beside.replace(file)
    return kept


def _results(tree: FileTree, pieces: list[Piece], count: int) -> Iterator[tuple[Bad, int]]:
    """For each piece, as it is completed: the rows that failed, and the number of its images."""
    if count < _ALONE or cpu_count() == 1:
        for piece in pieces:
            yield _decode_piece(tree, piece), len(piece.names)
        return
    context = multiprocessing.get_context("spawn")  # a fork is unsafe: torch may have started threads
    with ProcessPoolExecutor(cpu_count(), mp_context=context, initializer=_belong_to_parent) as pool:
        running = {pool.submit(_decode_elsewhere, piece): len(piece.names) for piece in pieces}
        try:
            for done in as_completed(running):
                yield done.result(), running[done]
        finally:
            pool.shutdown(cancel_futures=True)


def _decode_piece(tree: FileTree, piece: Piece) -> Bad:
    samples = np.load(piece.out, mmap_mode="r+", allow_pickle=False)
    bad: Bad = []
    for row, name in enumerate(piece.names, piece.first):
        try:
            samples[row] = decode(tree.read(name), name, piece.recipe)
        except UserError as error:
            bad.append((row, str(error)))
    samples.flush()
    return bad


def _decode_elsewhere(piece: Piece) -> Bad:
    return _decode_piece(_opened(piece.root), piece)


@cache
def _opened(root: Path) -> FileTree:
    """Cached, so that a worker opens a zip once."""
    return FileTree(root)


def _belong_to_parent() -> None:
    """Initialises a worker: it ignores Ctrl-C, and exits when its parent ends instead of waiting forever."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
