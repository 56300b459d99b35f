"""Real samples to look at a generator with: what a translator is given, what its outputs are compared with."""

import numpy as np
import torch

from ganexp.data.arrays import Arrays
from ganexp.data.batches import Batch
from ganexp.data.source import Source


def real_rows(total: int, count: int, seed: int) -> np.ndarray:
    """``count`` row numbers of ``total``, none twice while there are enough; the same for every run of a
    seed.
    """
    order = np.random.default_rng(seed).permutation(total)
    return np.resize(order, count)


def reference(source: Source, data: Arrays, rows: np.ndarray, *, labels_only: bool = False) -> Batch:
    """Rows of a data set as networks see them, on the CPU: samples, labels and their sources.

    Of unpaired domains the sources are other rows than the samples. ``labels_only``: the samples are empty, for
    generators that are asked for labels and shown nothing.
    """
    if labels_only:
        return Batch(torch.empty(len(rows), 0), torch.from_numpy(data.labels[rows]))
    x = source.decode(torch.from_numpy(np.ascontiguousarray(data.samples[rows])))
    y = torch.from_numpy(data.labels[rows])
    if data.sources is None:
        return Batch(x, y)
    theirs = rows if source.paired else rows % len(data.sources)
    stored = np.ascontiguousarray(data.sources[theirs])
    return Batch(x, y, source.decode_sources(torch.from_numpy(stored)))
