"""Batches on the device, in an order that depends on the seed and the position alone.

The epochs' shuffled orders, one after the other, are one endless row of images; a batch is the next piece
of it. So every image comes once an epoch, every batch is full (the last of an epoch takes its rest from
the next), and the number of images seen is the whole state.
"""

import hashlib
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from ganexp.data.source import Arrays


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
    return samples.to(torch.float32, memory_format=torch.channels_last).div_(127.5).sub_(1)


class Deck:
    """A data set on a device, dealt in batches."""

    def __init__(self, arrays: Arrays, batch_size: int, seed: int, device: torch.device) -> None:
        self.samples = torch.from_numpy(arrays.samples).to(device)
        self.labels = torch.from_numpy(arrays.labels).to(device)
        self.batch_size = batch_size
        self.seed = seed

    def __len__(self) -> int:
        return len(self.samples)

    def epoch(self, images: int) -> Iterator[Batch]:
        """The batches from the position ``images`` to the end of the epoch that it lies in."""
        end = (images // len(self) + 1) * len(self)
        order, first = self._order(images // len(self)), images // len(self) * len(self)
        while images < end:
            while len(order) < images + self.batch_size - first:
                order = torch.cat([order, self._order((first + len(order)) // len(self))])
            indices = order[images - first : images - first + self.batch_size].to(self.samples.device)
            yield Batch(to_network(self.samples[indices]), self.labels[indices])
            images += self.batch_size

    def _order(self, epoch: int) -> Tensor:
        rng = torch.Generator().manual_seed(seed_for(self.seed, f"order of epoch {epoch}"))
        return torch.randperm(len(self), generator=rng)
