r"""What the games with an encoder share: the posterior of a sample's code, and the two networks as one.

    q(z | x) = N(mu(x), diag(sigma(x)^2)),   z = mu + sigma e,   e ~ N(0, I)
    KL(q(z | x) || N(0, I)) = sum_j (mu_j^2 + sigma_j^2 - 1 - ln sigma_j^2) / 2

Kingma & Welling 2014, section 2.4 and appendix B. An encoder's output is [N, 2 latent]: mu, then ln sigma^2.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from ganexp.errors import UserError
from ganexp.games.prior import Prior
from ganexp.games.request import Inputs, Request
from ganexp.nets.layers import GeneratorBase
from ganexp.system.float32 import at_least_float32


class Posterior(NamedTuple):
    """The normal distributions of N codes: ``mean`` and ``log_variance`` [N, latent], float32 at least."""

    mean: Tensor
    log_variance: Tensor

    @property
    def sigma(self) -> Tensor:
        """Standard deviations [N, latent]."""
        return (0.5 * self.log_variance).exp()

    def draw(self) -> Tensor:
        """Codes [N, latent], with gradients to mean and variance; noise comes from the global RNG."""
        mean = self.mean
        return mean + self.sigma * torch.randn(*mean.shape, device=mean.device, dtype=mean.dtype)

    def divergence(self) -> Tensor:
        """KL from N(0, I) in nats [N]: the sum over the dimensions of a code."""
        mean, log_variance = self
        return 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(1)


class Autoencoder(GeneratorBase):
    """An encoder and a decoder as one module, so that both are averaged. A call is the decoder's: [N, latent].

    Raises UserError for an encoder of other codes, and for networks that take labels.
    """

    def __init__(self, encoder: nn.Module, decoder: GeneratorBase) -> None:
        super().__init__()
        for name, net in (("encoder", encoder), ("generator", decoder)):
            if getattr(net, "classes", 0):
                raise UserError(f"arch.{name}.classes={net.classes}: this game has no labels; game=cgan has")
        known = getattr(encoder, "latent", decoder.latent)
        if known != decoder.latent:
            raise UserError(
                f"arch.encoder.latent={known}: the codes have arch.generator.latent={decoder.latent} dimensions"
            )
        self.encoder = encoder
        self.decoder = decoder
        self.latent = decoder.latent
        self.classes = 0

    def forward(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        samples: Tensor = self.decoder(z)
        return samples

    def posterior(self, x: Tensor) -> Posterior:
        """The distribution of the codes of samples [N, ...]."""
        mean, log_variance = at_least_float32(self.encoder(x)).chunk(2, 1)
        return Posterior(mean, log_variance)

    def codes(self, x: Tensor) -> Tensor:
        """The code [N, latent] that stands for each of the samples [N, ...]: the mean of its distribution."""
        return self.posterior(x).mean


class PointAutoencoder(Autoencoder):
    """An autoencoder whose encoder gives one code for a sample, [N, latent], and no distribution."""

    def codes(self, x: Tensor) -> Tensor:
        codes: Tensor = self.encoder(x)
        return codes


class Reconstructor(nn.Module):
    """Samples [N, ...] to what the decoder makes of their codes, the means of distributions."""

    def __init__(self, autoencoder: Autoencoder) -> None:
        super().__init__()
        self.autoencoder = autoencoder

    def forward(self, x: Tensor) -> Tensor:
        samples: Tensor = self.autoencoder(self.autoencoder.codes(x))
        return samples


def inputs_from_prior(prior: Prior | None, request: Request, rng: torch.Generator) -> Inputs:
    """The decoder's inputs for new samples. Raises UserError for a request of labels or codes."""
    assert prior is not None
    if request.label is not None:
        raise UserError("label: this run knows no labels; train one with game=cgan")
    if request.codes:
        raise UserError("code: this run has no codes to ask for; train one with game=infogan")
    return Inputs((request.repeat(prior(request.draws, generator=rng)),))
