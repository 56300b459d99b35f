"""Packing: Lin et al. 2018, section 1.1. The discriminator takes m samples (a pack) at once.

    L_d(D(x_1, ..., x_m), D(G(z_1), ..., G(z_m)))

A pack is all real or all fake, so the discriminator can detect mode collapse by the lack of variety in a pack.
Samples of a pack are joined along the channels; losses and penalties treat a pack as one sample.
"""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from ganexp.config.ranges import Count
from ganexp.data.batches import Batch
from ganexp.games.gan import GAN


@dataclass(eq=False, repr=False, kw_only=True)
class PacGAN(GAN):
    """``generator(z)`` against a discriminator of ``packing`` samples; a batch holds whole packs."""

    BATCH_UNIT: ClassVar[str | None] = "packing"

    packing: Count

    def real(self, batch: Batch) -> Tensor:
        return pack(batch.x, self.packing)

    def fake(self, batch: Batch) -> tuple[Tensor, tuple[Tensor, ...]]:
        samples, inputs = super().fake(batch)
        return pack(samples, self.packing), inputs


def pack(samples: Tensor, packing: int) -> Tensor:
    """Joins ``packing`` samples each: [N, C, ...] to [N / packing, packing * C, ...]."""
    count, channels, *rest = samples.shape
    return samples.reshape(count // packing, packing * channels, *rest)
