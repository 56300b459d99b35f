"""Real samples for previews and evaluation: an image-to-image generator's inputs, targets and labels."""

import numpy as np
import torch

from ganexp.data.arrays import Arrays
from ganexp.data.batches import Batch
from ganexp.data.source import Source

_UNPAIRED_SEED = 0


def random_rows(total: int, count: int, seed: int) -> np.ndarray:
    """``count`` random rows of ``total``, the same for equal seeds; they repeat only if ``count > total``."""
    order = np.random.default_rng(seed).permutation(total)
    return np.resize(order, count)


def reference(source: Source, data: Arrays, rows: np.ndarray, *, labels_only: bool = False) -> Batch:
    """Rows of a data set as a batch on the CPU: samples and sources as networks take them, and labels.

    Unpaired sources do not belong to the samples: equally many rows have the same ones. ``labels_only``: ``x``
    is empty, for generators that need labels only.
    """
    if labels_only:
        return Batch(torch.empty(len(rows), 0), torch.from_numpy(data.labels[rows]))
    x = source.decode(torch.from_numpy(np.ascontiguousarray(data.samples[rows])))
    y = torch.from_numpy(data.labels[rows])
    if data.sources is None:
        return Batch(x, y)
    source_rows = rows if source.paired else random_rows(len(data.sources), len(rows), _UNPAIRED_SEED)
    stored = np.ascontiguousarray(data.sources[source_rows])
    return Batch(x, y, source.decode_sources(torch.from_numpy(stored)))
