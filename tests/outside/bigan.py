"""A game of three networks: Donahue et al. 2017, BiGAN, equation 3.

    min_{G, E} max_D  E log D(x, E(x)) + E log(1 - D(G(z), z))

The critic judges samples together with their codes, joined to one vector each, so that losses and penalties see
a pair as one sample.
"""

import math
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor, nn

from ganexp.config.ranges import Count, Shape
from ganexp.data.batches import Batch
from ganexp.games.game import Player, Turn
from ganexp.games.gan import GAN
from ganexp.nets.heads import LinearHead
from ganexp.nets.layers import DiscriminatorBase
from ganexp.penalties import Critic


@dataclass(eq=False, repr=False, kw_only=True)
class BiGAN(GAN):
    """``generator(z)`` and ``encoder(x)`` against ``discriminator`` of samples with codes."""

    NETS: ClassVar[tuple[str, ...]] = ("generator", "discriminator", "encoder")

    encoder: nn.Module = field(init=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.players["e"] = Player(self.encoder, self.encoder_turn, every=self.n_critic)

    def encoder_turn(self, batch: Batch) -> Turn:
        """The encoder wants real pairs to be taken for generated ones, as the generator wants the opposite."""
        real_logits = self.critic(batch)(self.real(batch))
        with torch.no_grad():
            fake_logits = self.critic(batch)(self.fake(batch)[0]) if self.loss.needs_real else None
        wanted = None if fake_logits is None else -fake_logits
        return Turn({"adversarial": self.loss.g(real=wanted, fake=-real_logits)}, {})

    def real(self, batch: Batch) -> Tensor:
        return torch.cat([batch.x.flatten(1), self.encoder(batch.x)], 1)

    def fake(self, batch: Batch) -> tuple[Tensor, tuple[Tensor, ...]]:
        samples, inputs = super().fake(batch)
        return torch.cat([samples.flatten(1), *inputs], 1), inputs

    def critic(self, batch: Batch, *, augmented: bool = True) -> Critic:
        """Of samples and codes only the samples are augmented."""
        plain, shape = super().critic(batch, augmented=False), batch.x.shape[1:]

        def critic(pairs: Tensor) -> Tensor:
            samples, codes = pairs.split([math.prod(shape), pairs.shape[1] - math.prod(shape)], 1)
            (samples,) = self.augment(samples.reshape(-1, *shape)) if augmented else (samples,)
            return plain(torch.cat([samples.flatten(1), codes], 1))

        return critic


class Discriminator(DiscriminatorBase):
    """Samples joined with their codes [N, prod(shape) + latent] to logits [N]."""

    samplewise = True
    classes = 0

    def __init__(self, shape: Shape, latent: Count, width: Count) -> None:
        super().__init__()
        self.hidden = nn.Sequential(nn.Linear(math.prod(shape) + latent, width), nn.LeakyReLU(0.2))
        self.head = LinearHead(width)

    def features(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        vectors: Tensor = self.hidden(x)
        return vectors


class Encoder(nn.Sequential):
    """Samples [N, *shape] to codes [N, latent]."""

    def __init__(self, shape: Shape, latent: Count, width: Count) -> None:
        first = nn.Linear(math.prod(shape), width)
        super().__init__(nn.Flatten(), first, nn.LeakyReLU(0.2), nn.Linear(width, latent))
