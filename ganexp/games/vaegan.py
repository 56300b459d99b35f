r"""VAE-GAN: Larsen et al. 2016, Algorithm 1.

    L_prior   KL(q(z | x) || N(0, I))
    L_feature |phi(x) - phi(G(z))|^2 / (2 sigma^2), summed over the features,   z ~ q(z | x)
    L_GAN     the adversarial loss, of real samples against G(z_p), z_p ~ N(0, I), and G(z)

    the encoder minimises        L_prior + L_feature
    the decoder (generator)      gamma L_feature + L_g
    the discriminator            L_d + penalties

phi are the discriminator's ``features``: the output of its trunk, which its head makes the logit of. So
reconstructions are compared by what the discriminator looks at, and not pixel by pixel. The paper's sigma is 1;
features without a norm are smaller than that, and the codes would collapse. Nobody gets another's
terms: the encoder not the adversarial loss, the discriminator not the feature loss.

The two kinds of fakes alternate in one batch of twice the size, beside each real sample twice, so that any loss
and penalty applies. The adversarial loss is the mean over it: real samples count as much as both kinds of fakes
together, where the paper's sum has them once and each kind of fakes once. The paper updates all networks at
once; here the discriminator moves first, then the generator, then the encoder, each with the others' new
weights.
"""

from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor, nn

from ganexp.config.ranges import NonNegative, Positive
from ganexp.data.batches import Batch
from ganexp.games.adversarial import AdversarialGame
from ganexp.games.anomaly import AnomalyParts, scored_by_error
from ganexp.games.game import Player, Turn, View
from ganexp.games.posterior import Autoencoder, Posterior, Reconstructor, inputs_from_prior
from ganexp.games.prior import LatentPrior
from ganexp.games.request import Inputs, Request
from ganexp.games.turns import generator_turn
from ganexp.system.float32 import at_least_float32


@dataclass(eq=False, repr=False, kw_only=True)
class VAEGAN(AdversarialGame):
    """``encoder(x)``, the decoder ``generator(z)``, and ``discriminator(x)`` with ``features(x)``."""

    NETS: ClassVar[tuple[str, ...]] = ("encoder", "generator", "discriminator")

    gamma: NonNegative
    feature_sigma: Positive

    generator: Autoencoder = field(init=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        encoder, decoder = self.parts.nets["encoder"], self.parts.nets["generator"]
        del self.encoder  # it is a part of the generator, which is the averaged module
        self.generator = Autoencoder(encoder, decoder)  # type: ignore[arg-type]
        self.prior = LatentPrior(self.generator.latent, "normal")
        through = (decoder,) if self.reuse_fake else ()
        self.players = {
            "d": self.players["d"]._replace(graph_through=through),
            "g": self.players["g"]._replace(net=decoder),
            "e": Player(encoder, self.encoder_turn, every=self.n_critic),
        }

    def real(self, batch: Batch) -> Tensor:
        return batch.x.repeat_interleave(2, 0)

    def training_inputs(self, batch: Batch) -> tuple[Tensor, ...]:
        """Latents [2 N, latent]: those of the prior at even places, and behind each one of the posterior."""
        assert self.prior is not None
        with torch.no_grad():  # the encoder has no part in the adversarial loss
            posterior = self.generator.posterior(batch.x)
            codes = [self.prior(len(batch.x), device=batch.x.device), posterior.draw()]
        return (torch.stack(codes, 1).flatten(0, 1),)

    def generator_turn(self, batch: Batch) -> Turn:
        """The adversarial loss of both kinds of fakes, and the weighted feature loss of reconstructions."""
        call = self.generator_call(batch)
        losses, logs = generator_turn(self.loss, self.penalties_of("g"), call)
        losses["features"] = self.gamma * self.feature_loss(call.fake[1::2], batch)
        return Turn(losses, logs)

    def encoder_turn(self, batch: Batch) -> Turn:
        """The divergence from the prior and the feature loss, through the frozen decoder and discriminator."""
        posterior: Posterior = self.generator.posterior(batch.x)
        made = self.generator(posterior.draw())
        losses = {"features": self.feature_loss(made, batch), "kl": posterior.divergence().mean()}
        return Turn(losses, {"sigma": posterior.sigma.detach().mean()})

    def feature_loss(self, made: Tensor, batch: Batch) -> Tensor:
        """-log of the Gaussian of features without its constant: the sum over features, the batch's mean."""
        with torch.no_grad():
            wanted = at_least_float32(self.discriminator.features(self.fade_details(batch.x)))
        squares = (at_least_float32(self.discriminator.features(made)) - wanted).square()
        return squares.flatten(1).sum(1).mean() / (2 * self.feature_sigma**2)

    def inputs(self, request: Request, rng: torch.Generator, reference: Batch | None = None) -> Inputs:
        return inputs_from_prior(self.prior, request, rng)

    def views(self, generator: nn.Module) -> dict[str, View]:
        assert isinstance(generator, Autoencoder)
        return {"reconstructions": View(Reconstructor(generator), reconstructs=True)}

    def anomaly(self, x: Tensor) -> AnomalyParts:
        """See ``AnomalyScorer``: how badly an image is reconstructed."""
        return scored_by_error(Reconstructor(self.generator), x)
