"""A game without a critic and without an adversarial loss: Kingma & Welling 2014, equation 10.

min_{E, D}  E |x - D(z)|^2 / 2 + beta KL(N(mu(x), sigma(x)) || N(0, I)),  z ~ N(mu(x), sigma(x))
"""

import math
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import nn

from ganexp.config.ranges import Count, NonNegative, Shape
from ganexp.data.batches import Batch
from ganexp.errors import UserError
from ganexp.games.game import Game, Player, Turn
from ganexp.games.prior import LatentPrior
from ganexp.games.request import Inputs, Request
from ganexp.nets.layers import GeneratorBase


@dataclass(eq=False, repr=False, kw_only=True)
class VAE(Game):
    """``encoder(x)`` and ``decoder(z)`` are one player; the decoder is what is shown."""

    NETS: ClassVar[tuple[str, ...]] = ("encoder", "decoder")

    beta: NonNegative
    weight: NonNegative

    encoder: nn.Module = field(init=False)
    decoder: GeneratorBase = field(init=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.parts.loss is not None:
            raise UserError("this game has no critic: say loss=none")
        self.generator = self.decoder
        self.prior = LatentPrior(self.decoder.latent, "normal")
        both = nn.ModuleDict({"encoder": self.encoder, "decoder": self.decoder})
        self.players = {"vae": Player(both, self.turn)}

    def turn(self, batch: Batch) -> Turn:
        """Both terms are sums over a sample's numbers, and means over the batch."""
        mean, log_variance = self.encoder(batch.x).chunk(2, 1)
        z = mean + torch.randn_like(mean) * (0.5 * log_variance).exp()
        squares = 0.5 * (batch.x - self.decoder(z)).square().flatten(1).sum(1).mean()
        divergence = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(1).mean()
        losses = {"reconstruction": self.weight * squares, "kl": self.weight * self.beta * divergence}
        return Turn(losses, {"sigma": (0.5 * log_variance.detach()).exp().mean()})

    def inputs(self, request: Request, rng: torch.Generator, reference: Batch | None = None) -> Inputs:
        if request.label is not None:
            raise UserError("label: this run knows no labels")
        assert self.prior is not None
        return Inputs((self.prior(request.count, generator=rng),))


class Encoder(nn.Sequential):
    """Samples [N, *shape] to means and log variances of codes [N, 2 latent]."""

    def __init__(self, shape: Shape, latent: Count, width: Count) -> None:
        first = nn.Linear(math.prod(shape), width)
        super().__init__(nn.Flatten(), first, nn.LeakyReLU(0.2), nn.Linear(width, 2 * latent))
