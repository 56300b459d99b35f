"""Nearest neighbours in a set that may be larger than memory."""

from collections.abc import Iterable

import numpy as np

from ganexp.metrics import check_rows
from ganexp.metrics.prdc import distance_blocks, squared_distances


def nearest(queries: np.ndarray, pieces: Iterable[np.ndarray], k: int) -> tuple[np.ndarray, np.ndarray]:
    """The k rows nearest to each query, by Euclidean distance.

    Args:
        queries: features [N, D].
        pieces: the set to search, as consecutive pieces [M_i, D]; k rows or more in all.
        k: how many neighbours.

    Returns:
        Distances [N, k] float64, ascending, and row numbers [N, k] int64, counted over all pieces.

    Raises:
        UserError: some features are not finite.
    """
    squares, rows = np.empty((len(queries), 0)), np.empty((len(queries), 0), np.int64)
    queries64 = queries.astype(np.float64)
    start = 0
    for piece in pieces:
        check_rows(queries, piece)
        piece_squares = squared_distances(queries64, piece.astype(np.float64))
        near = (
            np.argpartition(piece_squares, k - 1, 1)[:, :k] if len(piece) > k else np.argsort(piece_squares, 1)
        )
        squares = np.hstack([squares, np.take_along_axis(piece_squares, near, 1)])
        rows = np.hstack([rows, start + near])
        order = np.argsort(squares, 1, kind="stable")[:, :k]
        squares, rows = np.take_along_axis(squares, order, 1), np.take_along_axis(rows, order, 1)
        start += len(piece)
    return np.sqrt(squares), rows


def nearest_distances(queries: np.ndarray, among: np.ndarray) -> np.ndarray:
    """The distance from each query [N, D] to the nearest row of ``among`` [M, D], as [N] float64.

    Exactly 0 for a copy. Raises UserError where some features are not finite.
    """
    check_rows(queries, among)
    squares: np.ndarray = np.full(len(queries), np.inf)
    for _, block in distance_blocks(among, queries):
        np.minimum(squares, block.min(0), out=squares)
    return np.asarray(np.sqrt(squares))


def ranks_of_own(queries: np.ndarray, own: np.ndarray, others: np.ndarray) -> np.ndarray:
    """The place of each query's own row among it and all others, by distance from the query: [N], from 1.

    Args:
        queries: features [N, D].
        own: those of the row that belongs to each query [N, D].
        others: rows to compare with [M, D]; those that are as near as the own one are behind it.

    Raises:
        UserError: some features are not finite.
    """
    check_rows(queries, own)
    check_rows(queries, others)
    queries64 = queries.astype(np.float64)
    # not ``squared_distances``, and a margin: a copy of the own row must not be nearer by a rounding error
    limits = (1 - 1e-6) * np.square(queries64 - own).sum(1)
    places = [
        1 + (np.square(query - others).sum(1) < limit).sum()
        for query, limit in zip(queries64, limits, strict=True)
    ]
    return np.array(places, np.int64)
