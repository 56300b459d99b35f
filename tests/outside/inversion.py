"""An encoder for a generator that is trained already: Schlegl et al. 2019, f-AnoGAN, "izi".

    min_E  E |x - G(E(x))|^2

The generator is another run's (``start_from``) and is no player: it stays as it is. What is shown is G(E(x)).
"""

import math
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor, nn

from ganexp.config.ranges import Count, Shape
from ganexp.data.batches import Batch
from ganexp.errors import UserError
from ganexp.games.game import Game, Player, Turn
from ganexp.games.request import Inputs, Request


@dataclass(eq=False, repr=False, kw_only=True)
class Inversion(Game):
    """``encoder(x)`` learns what ``generator`` makes x from."""

    NETS: ClassVar[tuple[str, ...]] = ("generator", "encoder")
    needs_reference: ClassVar[bool] = True

    encoder: nn.Module = field(init=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.generator = Reconstruction(self.encoder, self.generator)
        self.players = {"e": Player(self.encoder, self.turn)}

    def turn(self, batch: Batch) -> Turn:
        """How far each sample is from what its code gives."""
        return Turn({"reconstruction": (batch.x - self.generator(batch.x)).square().mean()}, {})

    def inputs(self, request: Request, rng: torch.Generator, reference: Batch | None = None) -> Inputs:
        if request.label is not None:
            raise UserError("label: this run knows no labels")
        assert reference is not None
        return Inputs((reference.x,), target=reference.x)


class Reconstruction(nn.Module):
    """Samples [N, ...] to what their codes give [N, ...]."""

    def __init__(self, encoder: nn.Module, decoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder

    def forward(self, x: Tensor) -> Tensor:
        samples: Tensor = self.decoder(self.encoder(x))
        return samples


class Encoder(nn.Sequential):
    """Samples [N, *shape] to codes [N, latent]."""

    def __init__(self, shape: Shape, latent: Count, width: Count) -> None:
        first = nn.Linear(math.prod(shape), width)
        super().__init__(nn.Flatten(), first, nn.LeakyReLU(0.2), nn.Linear(width, latent))
