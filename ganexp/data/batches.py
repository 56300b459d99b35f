"""Batches on the device, in an order that depends on the seed and the position alone.

The epochs' shuffled orders, one after the other, are one endless row of images; a batch is the next piece
of it. So every image comes once an epoch, every batch is full (the last of an epoch takes its rest from
the next), and the number of images seen is the whole state.
"""

import hashlib
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import NamedTuple

import torch
from torch import Tensor

from ganexp.data.arrays import Arrays
from ganexp.data.store import Store, to_device
from ganexp.errors import UserError


class Batch(NamedTuple):
    """Real samples on the device: ``x`` [N, ...] float32 (images in [-1, 1]), labels ``y`` [N] int64."""

    x: Tensor
    y: Tensor


def seed_for(seed: int, purpose: str) -> int:
    """A seed of its own for each purpose (an epoch's order, the preview), so that none disturbs another."""
    digest = hashlib.sha256(f"{seed}/{purpose}".encode()).digest()
    return int.from_bytes(digest[:8], "little") >> 1


def to_network(samples: Tensor) -> Tensor:
    """What networks see: uint8 images become float32 in [-1, 1]; points stay as they are.

    Channels come last in memory, which is what convolutions are fastest with.
    """
    if samples.dtype != torch.uint8:
        return samples
    return samples.to(torch.float32, memory_format=torch.channels_last).mul_(1 / 127.5).sub_(1)


class Deck:
    """A data set, dealt in batches on a device.

    ``batch_size`` counts the images of a step on all of ``world`` processes together; each takes its
    share of them, a piece of the row, so that none is dealt twice and what stands together stays together.
    Raises UserError where they cannot share alike.
    """

    def __init__(
        self,
        arrays: Arrays,
        batch_size: int,
        seed: int,
        samples: Store,
        *,
        mirror: bool = False,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        self.batch_size = batch_size
        self._count = len(arrays.samples)
        self._labels = torch.from_numpy(arrays.labels)
        self._seed = seed
        self._samples = samples
        self._mirror = mirror
        if batch_size % world:
            raise UserError(f"batch_size={batch_size}: {world} processes cannot share it alike")
        share = batch_size // world
        self._part = slice(rank * share, (rank + 1) * share)

    def __len__(self) -> int:
        return self._count

    def epoch(self, images: int) -> Iterator[Batch]:
        """The batches from the position ``images`` to the end of the epoch that it lies in."""
        pieces = (rows[self._part] for rows in self._rows(images))
        for samples, rows in _ahead(self._samples, pieces):
            x = to_network(samples)
            if self._mirror:
                x = mirrored(x)
            yield Batch(x, to_device(self._labels[rows], x.device))

    def _rows(self, images: int) -> Iterator[Tensor]:
        """The row numbers of each batch."""
        end = (images // len(self) + 1) * len(self)
        order, first = self._order(images // len(self)), images // len(self) * len(self)
        while images < end:
            while len(order) < images + self.batch_size - first:
                order = torch.cat([order, self._order((first + len(order)) // len(self))])
            yield order[images - first : images - first + self.batch_size]
            images += self.batch_size

    def _order(self, epoch: int) -> Tensor:
        rng = torch.Generator().manual_seed(seed_for(self._seed, f"order of epoch {epoch}"))
        return torch.randperm(len(self), generator=rng)


def mirrored(x: Tensor) -> Tensor:
    """Images [N, C, H, W], each flipped left to right with probability 1/2."""
    flip = torch.rand(len(x), 1, 1, 1, device=x.device) < 0.5
    return torch.where(flip, x.flip(-1), x)


def _ahead(samples: Store, pieces: Iterator[Tensor]) -> Iterator[tuple[Tensor, Tensor]]:
    """Samples and their rows, in order; a thread fetches them early where fetching takes time."""
    if not samples.ahead:
        for rows in pieces:
            yield samples.take(rows), rows
        return
    with ThreadPoolExecutor(1) as thread:
        waiting = deque((thread.submit(samples.take, rows), rows) for rows in islice(pieces, samples.ahead))
        while waiting:
            fetched, rows = waiting.popleft()
            for following in islice(pieces, 1):
                waiting.append((thread.submit(samples.take, following), following))
            yield fetched.result(), rows
