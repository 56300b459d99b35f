"""Decoding many images on all cores, straight into the file that will be the prepared set."""

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
from ganexp.system.cpus import cores

_PIECE = 128  # images that a process takes at once
_ALONE = 512  # with fewer images, starting processes takes longer than the work


class Piece(NamedTuple):
    """Some images of a tree and the rows of the array that they belong into."""

    root: Path
    names: tuple[str, ...]
    first: int
    recipe: Recipe
    out: Path


Bad = list[tuple[int, str]]
"""Rows that could not be filled, and why."""


def decode_into(out: Path, tree: FileTree, names: Sequence[str], recipe: Recipe) -> Bad:
    """Writes the named images to a new ``.npy`` of [N, C, H, W] uint8; returns which of them are bad."""
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
    """Removes rows from a ``.npy``; returns the indices that were kept."""
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
    """Each piece's bad images and its length, in the order in which they are done."""
    if count < _ALONE or cores() == 1:
        for piece in pieces:
            yield _decode_piece(tree, piece), len(piece.names)
        return
    context = multiprocessing.get_context("spawn")  # torch may have threads already, which a fork would break
    with ProcessPoolExecutor(cores(), mp_context=context, initializer=_belong_to_parent) as pool:
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
    """A pool's process opens a zip once."""
    return FileTree(root)


def _belong_to_parent() -> None:
    """A pool's process leaves Ctrl-C to its parent, and leaves with it: it would wait for work for ever."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
