r"""f-AnoGAN: Schlegl et al. 2019, section 2.2, "izi_f": an encoder for a GAN that is trained already.

    the encoder minimises  E |x - G(E(x))|^2 / n + kappa |f(x) - f(G(E(x)))|^2 / n_f

f are the discriminator's ``features``; n and n_f count the values of an image and of its features. G and f are
those of another run (``start_from``) of the same data, which saw normal images only. They are no players: their
weights and batch norm's statistics stay as they are.

The anomaly score of an image is the same sum.
"""

from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor

from ganexp.config.ranges import NonNegative
from ganexp.data.batches import Batch
from ganexp.games.adversarial import refuse_unused
from ganexp.games.anomaly import AnomalyParts, heat_map, reconstruction_inputs, squared_error
from ganexp.games.game import Game, Player, Turn
from ganexp.games.posterior import PointAutoencoder, Reconstructor
from ganexp.games.request import Inputs, Request
from ganexp.nets.layers import DiscriminatorBase
from ganexp.system.float32 import at_least_float32


@dataclass(eq=False, repr=False, kw_only=True)
class FAnoGAN(Game):
    """``encoder(x)`` learns which z of the frozen ``generator(z)`` an image is made from."""

    NETS: ClassVar[tuple[str, ...]] = ("generator", "discriminator", "encoder")

    USES_LOSS: ClassVar[bool] = False
    """Whether it is played with a loss and penalties. A literal: config/combinations.py reads it."""

    NEEDS_START: ClassVar[bool] = True

    needs_reference: ClassVar[bool] = True

    kappa: NonNegative

    discriminator: DiscriminatorBase = field(init=False)
    generator: Reconstructor = field(init=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        refuse_unused(self.parts.nets, labels=False, outputs=True, mask=False)
        encoder, decoder = self.parts.nets["encoder"], self.parts.nets["generator"]
        del self.encoder  # it is a part of the generator, which is the averaged module
        self.generator = Reconstructor(PointAutoencoder(encoder, decoder))  # type: ignore[arg-type]
        self.players = {"e": Player(encoder, self.turn)}

    def turn(self, batch: Batch) -> Turn:
        """The two terms of the encoder's loss, through the frozen generator and discriminator."""
        made = self.generator(batch.x)
        losses = {
            "reconstruction": squared_error(batch.x, made).mean(),
            "features": self.kappa * self.feature_error(batch.x, made).mean(),
        }
        return Turn(losses, {})

    def feature_error(self, x: Tensor, made: Tensor) -> Tensor:
        """The mean squared difference of the features of each pair of images [N]; gradients reach ``made``."""
        with torch.no_grad():
            wanted = self.discriminator.features(x)
        return squared_error(wanted, self.discriminator.features(made))

    def anomaly(self, x: Tensor) -> AnomalyParts:
        """See ``AnomalyScorer``: the loss of each image."""
        made = self.generator(x)
        score = squared_error(x, made) + self.kappa * self.feature_error(x, made)
        return AnomalyParts(score, heat_map(x, made), at_least_float32(made))

    def inputs(self, request: Request, rng: torch.Generator, reference: Batch | None = None) -> Inputs:
        return reconstruction_inputs(request, reference)
