"""Batches on the device, in an order that depends only on the seed and the position.

The shuffled orders of all epochs form one endless sequence of indices; a batch takes the next ones. So every
sample is drawn once per epoch, every batch is full (an epoch's last batch is filled up from the next epoch),
and the position in the sequence is the loader's whole state.

Paired sources have the index of their sample and are mirrored with it. Unpaired sources, from another domain,
have a sequence of their own.
"""

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import NamedTuple, TypeVar

import numpy as np
import torch
from torch import Tensor

from ganexp.data.store import Store, to_device
from ganexp.system.rng import seed_for


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


class Domain(NamedTuple):
    """Samples of one domain: their store, their number, and the conversion to what networks take."""

    store: Store
    size: int
    decode: Callable[[Tensor], Tensor]


class BatchLoader:
    """A data set in batches on a device.

    ``batch_size`` is the global batch size, over ``world`` ranks. Each rank takes a contiguous slice of the
    global batch: no sample is drawn twice and packs are not split. ``sources`` are paired with the samples
    unless ``paired`` is false. ``mirror``: each sample, with its source, is mirrored with probability 1/2.
    """

    def __init__(  # noqa: PLR0913 - data, their order, and the rank's slice
        self,
        samples: Domain,
        labels: np.ndarray,
        batch_size: int,
        seed: int,
        *,
        sources: Domain | None = None,
        paired: bool = True,
        mirror: bool = False,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        self.batch_size = batch_size
        self.position = 0
        """Samples drawn since the run began, on all ranks together."""
        self._labels = torch.from_numpy(labels)
        self._samples, self._sources = samples, sources
        self._paired = paired
        self._mirror = mirror
        self._order = _EndlessOrder(samples.size, seed, "order")
        self._source_order = self._order
        if sources is not None and not paired:
            self._source_order = _EndlessOrder(sources.size, seed, "order of the sources")
        share = batch_size // world
        self._part = slice(rank * share, (rank + 1) * share)

    def __len__(self) -> int:
        return self._samples.size

    @property
    def epoch_number(self) -> int:
        """The current epoch, counted from 1."""
        return self.position // len(self) + 1

    def epoch(self) -> Iterator[Batch]:
        """The batches from the current position to the end of the current epoch."""
        drawn = _fetch_ahead(
            self._rows(self.position), self._take, max(d.store.prefetch for d in self._domains())
        )
        for x, source, rows in drawn:
            self.position += self.batch_size
            x = self._samples.decode(x)
            source = None if self._sources is None or source is None else self._sources.decode(source)
            if self._mirror:
                x, source = mirrored(x, source)
            yield Batch(x, to_device(self._labels[rows], x.device), source)

    def state_dict(self) -> dict[str, int]:
        """The position, for a checkpoint."""
        return {"position": self.position}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Continues from a checkpoint's position."""
        self.position = state["position"]

    def _domains(self) -> list[Domain]:
        return [self._samples] if self._sources is None else [self._samples, self._sources]

    def _rows(self, position: int) -> Iterator[tuple[Tensor, Tensor]]:
        """For each batch, this rank's row numbers of the samples and of the sources."""
        end = (position // len(self) + 1) * len(self)
        while position < end:
            rows = self._order.rows(position, self.batch_size)[self._part]
            paired = self._sources is None or self._paired
            yield rows, rows if paired else self._source_order.rows(position, self.batch_size)[self._part]
            position += self.batch_size

    def _take(self, rows: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor | None, Tensor]:
        source = None if self._sources is None else self._sources.store.take(rows[1])
        return self._samples.store.take(rows[0]), source, rows[0]


class _EndlessOrder:
    """The shuffled orders of all epochs, concatenated. The latest two are kept, as batches come in order."""

    def __init__(self, count: int, seed: int, purpose: str) -> None:
        self._count = count
        self._seed = seed
        self._purpose = purpose
        self._known: dict[int, Tensor] = {}

    def rows(self, position: int, number: int) -> Tensor:
        """``number`` row numbers, starting at a position."""
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


def mirrored(x: Tensor, source: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
    """Samples [N, ..., W], each flipped left to right with probability 1/2, its source together with it."""
    flip = torch.rand(len(x), device=x.device) < 0.5

    def flipped(samples: Tensor) -> Tensor:
        return torch.where(flip.view(-1, *[1] * (samples.dim() - 1)), samples.flip(-1), samples)

    return flipped(x), None if source is None else flipped(source)


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
