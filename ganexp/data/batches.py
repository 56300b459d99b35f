"""Batches on the device, in an order that depends only on the seed and the position.

The shuffled orders of all epochs form one endless sequence of indices; a batch takes the next ones. So every
sample is drawn once per epoch, every batch is full (an epoch's last batch is filled up from the next epoch),
and the position in the sequence is the loader's whole state.

Paired sources have the index of their sample and are mirrored with it. Unpaired sources, from another domain,
have a sequence of their own.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import NamedTuple, TypeVar

import numpy as np
import torch
from torch import Tensor

from ganexp.data.store import Store, to_device
from ganexp.distributed.collectives import ProcessInfo
from ganexp.system.rng import seed_for

_ONLY_PROCESS = ProcessInfo(rank=0, world_size=1, local_rank=0, local_world_size=1)


class Batch(NamedTuple):
    """Real samples on the device.

    ``x``: [N, ...], the critic's real samples (images: float32 in [-1, 1]). ``y``: int64, classes [N] or
    attributes [N, K], see ``Source.label_kind``. ``source``: [N, ...], inputs of an image-to-image generator,
    whose shape and scale may differ from those of ``x``; None for data without sources.
    """

    x: Tensor
    y: Tensor
    source: Tensor | None = None

    def each(self, change: Callable[[Tensor], Tensor]) -> "Batch":
        """The batch with ``change`` applied to each of its tensors."""
        return Batch(*(None if part is None else change(part) for part in self))  # type: ignore[arg-type]


SHARED_ORDER = "order"
"""The order of samples, and of sources that are paired with them by index."""

UNPAIRED_ORDER = "order of the sources"
"""The order of sources that do not belong to the samples. Part of a seed, like ``SHARED_ORDER``."""


class Domain(NamedTuple):
    """The samples or the sources of a data set.

    ``decode``: from the stored format to what networks take. Domains with the same ``order`` are drawn with the
    same row numbers.
    """

    store: Store
    size: int
    decode: Callable[[Tensor], Tensor]
    order: str = SHARED_ORDER


class BatchLoader:
    """A data set in batches on a device.

    ``domains``: the samples and, for image-to-image data, the sources. ``batch_size`` is the global batch size,
    over all ranks. Each rank takes a contiguous slice of the global batch: no sample is drawn twice and packs
    are not split. ``mirror``: each sample, with its source, is mirrored with probability 1/2.
    """

    def __init__(
        self,
        domains: Sequence[Domain],
        labels: np.ndarray,
        batch_size: int,
        seed: int,
        *,
        mirror: bool = False,
        process: ProcessInfo = _ONLY_PROCESS,
    ) -> None:
        self.batch_size = batch_size
        self.position = 0
        """Samples drawn since the run began, on all ranks together."""
        self._domains = domains
        self._labels = torch.from_numpy(labels)
        self._mirror = mirror
        self._orders = {domain.order: _EndlessOrder(domain.size, seed, domain.order) for domain in domains}
        share = batch_size // process.world_size
        self._slice = slice(process.rank * share, (process.rank + 1) * share)

    def __len__(self) -> int:
        return self._domains[0].size

    @property
    def epoch_number(self) -> int:
        """The current epoch, counted from 1."""
        return self.position // len(self) + 1

    def epoch(self) -> Iterator[Batch]:
        """The batches from the current position to the end of the current epoch."""
        prefetch = max(domain.store.prefetch for domain in self._domains)
        for rows, stored in _fetch_ahead(self._rows(self.position), self._take, prefetch):
            self.position += self.batch_size
            x, *sources = [domain.decode(part) for domain, part in zip(self._domains, stored, strict=True)]
            if self._mirror:
                x, *sources = mirrored(x, *sources)
            yield Batch(x, to_device(self._labels[rows], x.device), *sources)

    def state_dict(self) -> dict[str, int]:
        """The position, for a checkpoint."""
        return {"position": self.position}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Continues from a checkpoint's position."""
        self.position = state["position"]

    def _rows(self, position: int) -> Iterator[list[Tensor]]:
        """For each batch to the end of the epoch, this rank's row numbers in each domain."""
        end = (position // len(self) + 1) * len(self)
        while position < end:
            drawn = {name: order.rows(position, self.batch_size) for name, order in self._orders.items()}
            yield [drawn[domain.order][self._slice] for domain in self._domains]
            position += self.batch_size

    def _take(self, rows: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """The samples' row numbers, and the stored rows of each domain."""
        pairs = zip(self._domains, rows, strict=True)
        return rows[0], [domain.store.take(numbers) for domain, numbers in pairs]


class _EndlessOrder:
    """The shuffled orders of all epochs, concatenated. The latest two are kept, as batches come in order."""

    def __init__(self, count: int, seed: int, purpose: str) -> None:
        self._count = count
        self._seed = seed
        self._purpose = purpose
        self._known: dict[int, Tensor] = {}

    def rows(self, position: int, number: int) -> Tensor:
        """``number`` row numbers [number] int64, starting at a position."""
        pieces, found = [], 0
        while found < number:
            epoch, start = divmod(position + found, self._count)
            pieces.append(self._epoch(epoch)[start : start + number - found])
            found += len(pieces[-1])
        return pieces[0] if len(pieces) == 1 else torch.cat(pieces)

    def _epoch(self, epoch: int) -> Tensor:
        if epoch not in self._known:
            rng = torch.Generator().manual_seed(seed_for(self._seed, f"{self._purpose} of epoch {epoch}"))
            self._known = {known: order for known, order in self._known.items() if known == epoch - 1}
            self._known[epoch] = torch.randperm(self._count, generator=rng)
        return self._known[epoch]


def mirrored(*samples: Tensor) -> tuple[Tensor, ...]:
    """Samples [N, ..., W], and their sources, each flipped left to right with probability 1/2.

    The tensors of one index are flipped together.
    """
    flip = torch.rand(len(samples[0]), device=samples[0].device) < 0.5
    return tuple(torch.where(flip.view(-1, *[1] * (x.dim() - 1)), x.flip(-1), x) for x in samples)


R = TypeVar("R")
T = TypeVar("T")


def _fetch_ahead(rows: Iterator[R], take: Callable[[R], T], ahead: int) -> Iterator[T]:
    """Yields ``take`` of each item of ``rows``, in order; a thread takes up to ``ahead`` items in advance."""
    if not ahead:
        yield from map(take, rows)
        return
    with ThreadPoolExecutor(1) as thread:
        waiting = deque(thread.submit(take, some) for some in islice(rows, ahead))
        while waiting:
            fetched = waiting.popleft()
            for following in islice(rows, 1):
                waiting.append(thread.submit(take, following))
            yield fetched.result()
