r"""The variational autoencoder: Kingma & Welling 2014, equation 10.

    ELBO(x) = E_q log p(x | z) - KL(q(z | x) || N(0, I))  <=  log p(x),   z ~ q(z | x)

Encoder and decoder are one player that maximises the mean ELBO of a batch, with one z for each sample. Both
terms are sums over a sample's values and a code's dimensions, in nats. There is no discriminator and no
adversarial loss: the game is played with ``loss=none``. The decoder is the node ``generator`` of ``arch``, so
that other games can begin with it.

With the averaged weights (EMA), images are reconstructed by the averaged encoder and decoder together: each is
trained for the other's present weights, not for those of another time.
"""

from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from ganexp.data.batches import Batch
from ganexp.errors import UserError
from ganexp.games.anomaly import AnomalyParts, scored_by_error
from ganexp.games.game import Game, Player, Turn, View
from ganexp.games.likelihood import Likelihood
from ganexp.games.posterior import Autoencoder, Reconstructor, inputs_from_prior
from ganexp.games.prior import LatentPrior
from ganexp.games.request import Inputs, Request


@dataclass(eq=False, repr=False, kw_only=True)
class VAE(Game):
    """``encoder(x)`` and the decoder ``generator(z)``."""

    NETS: ClassVar[tuple[str, ...]] = ("encoder", "generator")

    USES_LOSS: ClassVar[bool] = False
    """Whether it is played with a loss and penalties. A literal: config/combinations.py reads it."""

    likelihood: Any
    """``Likelihood``; ``Any`` because a setting's type is read without importing torch."""

    generator: Autoencoder = field(init=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.likelihood, Likelihood):
            raise UserError("game.likelihood: it does not build a Likelihood; choose it with likelihood=")
        encoder, decoder = self.parts.nets["encoder"], self.parts.nets["generator"]
        del self.encoder  # it is a part of the generator, which is the averaged module
        self.generator = Autoencoder(encoder, decoder)  # type: ignore[arg-type]
        self.prior = LatentPrior(self.generator.latent, "normal")
        self.players = {"vae": Player(nn.ModuleDict({"encoder": encoder, "decoder": decoder}), self.turn)}

    def turn(self, batch: Batch) -> Turn:
        """The two terms of the negative ELBO, and what is only logged: see ``docs/vae.md``."""
        posterior = self.generator.posterior(batch.x)
        found: Tensor = self.likelihood.log_probability(batch.x, self.generator(posterior.draw()))
        divergence = posterior.divergence()
        losses = {"reconstruction": -found.mean(), "kl": self.divergence_loss(divergence)}
        elbo = (found - divergence).detach().mean()
        logs = {"elbo": elbo, "sigma": posterior.sigma.detach().mean()}
        of_likelihood = self.likelihood.logs(elbo, batch.x[0].numel())
        return Turn(losses, self.divergence_logs(divergence) | logs | of_likelihood)

    def divergence_loss(self, divergence: Tensor) -> Tensor:
        """What is minimised of the divergences [N] of a batch."""
        return divergence.mean()

    def divergence_logs(self, divergence: Tensor) -> dict[str, Tensor]:
        """Of the same, what is only logged, where the loss is not the divergence itself."""
        return {}

    def about(self) -> list[str]:
        return [f"decoder: {self.likelihood.about}"]

    def inputs(self, request: Request, rng: torch.Generator, reference: Batch | None = None) -> Inputs:
        return inputs_from_prior(self.prior, request, rng)

    def views(self, generator: nn.Module) -> dict[str, View]:
        assert isinstance(generator, Autoencoder)
        return {"reconstructions": View(Reconstructor(generator), reconstructs=True)}

    def anomaly(self, x: Tensor) -> AnomalyParts:
        """See ``AnomalyScorer``: how badly an image is reconstructed."""
        return scored_by_error(Reconstructor(self.generator), x)
