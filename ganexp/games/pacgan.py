"""Packing: Lin et al. 2018, section 1.1. The discriminator judges several samples at once.

    L_d(D(x_1, ..., x_m), D(G(z_1), ..., G(z_m)))

All of a pack are real or all generated; a generator that repeats itself is found out by a pack that lacks
variety. Packs are joined along the channels, and losses and penalties see one pack as one sample.
"""

from torch import Tensor, nn

from ganexp.config.ranges import Count, Noise, Positive
from ganexp.data.batches import Batch
from ganexp.games.gan import GAN
from ganexp.losses import Loss
from ganexp.nets.layers import LatentNet
from ganexp.penalties import Penalty


class PacGAN(GAN):
    """``generator(z)`` against ``discriminator`` of ``packing`` samples; a batch holds whole packs."""

    def __init__(  # noqa: PLR0913 - the parts that the game joins, and the settings of conf/game
        self,
        generator: LatentNet,
        discriminator: nn.Module,
        loss: Loss,
        penalties: dict[str, Penalty],
        n_critic: Count,
        n_generator: Count,
        noise: Noise,
        reuse_fake: bool,
        clip: Positive | None,
        packing: Count,
    ) -> None:
        super().__init__(
            generator, discriminator, loss, penalties, n_critic, n_generator, noise, reuse_fake, clip
        )
        self.packing = packing

    def real(self, batch: Batch) -> Tensor:
        return pack(batch.x, self.packing)

    def fake(self, batch: Batch) -> Tensor:
        return pack(super().fake(batch), self.packing)


def pack(samples: Tensor, packing: int) -> Tensor:
    """Samples [N, C, ...] joined by so many into [N / packing, packing * C, ...]."""
    count, channels, *rest = samples.shape
    return samples.reshape(count // packing, packing * channels, *rest)
