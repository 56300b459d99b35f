r"""BiGAN (Donahue et al. 2017, equation 3), which is ALI (Dumoulin et al. 2017) with an encoder without noise.

    min_{G, E} max_D  E log D(x, E(x)) + E log(1 - D(G(z), z))

The discriminator judges samples with their codes, joined to one vector each, so that losses and penalties see a
pair as one sample. The encoder wants pairs of real samples to be taken for generated ones: it minimises the
generator's loss of negated logits. That is the paper's objective for losses that treat real and fake alike; of
loss=lsgan that is so with loss.a=-1. The papers update G and E at once; here D moves first, then G, then E.

The anomaly score is EGBAD's (Zenati et al. 2018, section 3):

    A(x) = alpha |x - G(E(x))|_1 + (1 - alpha) L_D(x)
    L_D  = |f(x, E(x)) - f(G(E(x)), E(x))|_1 with the discriminator's features f,  or  -log D(x, E(x))
"""

import math
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor, nn

from ganexp.config.ranges import Share
from ganexp.data.batches import Batch
from ganexp.games.anomaly import AnomalyParts, absolute_sum, heat_map
from ganexp.games.game import Player, Turn, View
from ganexp.games.gan import GAN
from ganexp.games.posterior import PointAutoencoder, Reconstructor
from ganexp.penalties import Critic
from ganexp.system.float32 import at_least_float32


@dataclass(eq=False, repr=False, kw_only=True)
class BiGAN(GAN):
    """``generator(z)`` and ``encoder(x)`` against ``discriminator`` of samples joined with codes."""

    NETS: ClassVar[tuple[str, ...]] = ("generator", "discriminator", "encoder")

    alpha: Share
    feature_matching: bool

    generator: PointAutoencoder = field(init=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        encoder, decoder = self.parts.nets["encoder"], self.parts.nets["generator"]
        del self.encoder  # it is a part of the generator, which is the averaged module
        self.generator = PointAutoencoder(encoder, decoder)  # type: ignore[arg-type]
        through = (decoder,) if self.reuse_fake else ()
        self.players = {
            "d": self.players["d"]._replace(graph_through=through),
            "g": self.players["g"]._replace(net=decoder),
            "e": Player(encoder, self.encoder_turn, every=self.n_critic),
        }

    def encoder_turn(self, batch: Batch) -> Turn:
        """The encoder wants real pairs to be taken for generated ones, as the generator wants the opposite."""
        real_logits = self.critic(batch)(self.real(batch))
        wanted = None
        if self.loss.needs_real:
            with torch.no_grad():
                wanted = -self.critic(batch)(self.fake(batch)[0])
        return Turn({"adversarial": self.loss.g(real=wanted, fake=-real_logits)}, {})

    def real(self, batch: Batch) -> Tensor:
        return _joined(batch.x, self.generator.codes(batch.x))

    def fake(self, batch: Batch) -> tuple[Tensor, tuple[Tensor, ...]]:
        samples, inputs = super().fake(batch)
        return _joined(samples, *inputs), inputs

    def critic(self, batch: Batch, *, augmented: bool = True) -> Critic:
        """Of samples and codes only the samples are augmented."""
        plain, shape = super().critic(batch, augmented=False), batch.x.shape[1:]
        values = math.prod(shape)

        def critic(pairs: Tensor) -> Tensor:
            if not augmented:
                return plain(pairs)
            (samples,) = self.augment(pairs[:, :values].unflatten(1, shape))
            return plain(_joined(samples, pairs[:, values:]))

        return critic

    def anomaly(self, x: Tensor) -> AnomalyParts:
        """See ``AnomalyScorer``."""
        codes = self.generator.codes(x)
        made = self.generator(codes)
        real = self.discriminator.features(_joined(x, codes))
        if self.feature_matching:
            judged = absolute_sum(real, self.discriminator.features(_joined(made, codes)))
        else:
            judged = nn.functional.softplus(-at_least_float32(self.discriminator.head(real)))
        score = self.alpha * absolute_sum(x, made) + (1 - self.alpha) * judged
        return AnomalyParts(score, heat_map(x, made), at_least_float32(made))

    def views(self, generator: nn.Module) -> dict[str, View]:
        assert isinstance(generator, PointAutoencoder)
        return {"reconstructions": View(Reconstructor(generator), reconstructs=True)}


def _joined(samples: Tensor, codes: Tensor) -> Tensor:
    """Samples [N, ...] and codes [N, latent] as pairs [N, values + latent]."""
    return torch.cat([samples.flatten(1), codes.to(samples.dtype)], 1)
