"""Packing: Lin et al. 2018, section 1.1. The discriminator judges several samples at once.

    L_d(D(x_1, ..., x_m), D(G(z_1), ..., G(z_m)))

All of a pack are real or all generated; a generator that repeats itself is found out by a pack that lacks
variety. Packs are joined along the channels, and losses and penalties see one pack as one sample.
"""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from ganexp.config.ranges import Count
from ganexp.data.batches import Batch
from ganexp.games.gan import GAN


@dataclass(eq=False, repr=False, kw_only=True)
class PacGAN(GAN):
    """``generator(z)`` against ``discriminator`` of ``packing`` samples; a batch holds whole packs."""

    BATCH_UNIT: ClassVar[str | None] = "packing"

    packing: Count

    def real(self, batch: Batch) -> Tensor:
        return pack(batch.x, self.packing)

    def fake(self, batch: Batch) -> tuple[Tensor, tuple[Tensor, ...]]:
        samples, inputs = super().fake(batch)
        return pack(samples, self.packing), inputs


def pack(samples: Tensor, packing: int) -> Tensor:
    """Samples [N, C, ...] joined by so many into [N / packing, packing * C, ...]."""
    count, channels, *rest = samples.shape
    return samples.reshape(count // packing, packing * channels, *rest)
