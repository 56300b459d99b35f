r"""The VAE with another weight of the divergence, for codes whose dimensions each stand for something.

    beta     Higgins et al. 2017, equation 4:  max  E_q log p(x | z) - beta KL
    capacity Burgess et al. 2018, equation 8:  max  E_q log p(x | z) - gamma |KL - C|,  C rising from 0

Both are stated against the ELBO in nats: sums over a sample's values, and the decoder's sigma where it has one.
beta = 1 is the VAE. A program that minimises (mean squared error) + w KL has, with D values in a sample,

    beta = w D / (2 sigma^2)

of a Gaussian of standard deviation sigma: its factor in front does not matter to Adam.
"""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from ganexp.config.ranges import NonNegative, Positive, Share
from ganexp.distributed.collectives import global_mean
from ganexp.games.game import StepPlan, StepProgress
from ganexp.games.likelihood import Gaussian
from ganexp.games.vae import VAE


@dataclass(eq=False, repr=False, kw_only=True)
class BetaVAE(VAE):
    """Higgins et al. 2017. ``kl`` is the weighted divergence, ``divergence`` the divergence in nats."""

    beta: NonNegative

    def divergence_loss(self, divergence: Tensor) -> Tensor:
        return self.beta * divergence.mean()

    def divergence_logs(self, divergence: Tensor) -> dict[str, Tensor]:
        return {"divergence": divergence.detach().mean()}

    def about(self) -> list[str]:
        line = f"beta {self.beta:g} is of the divergence in the ELBO in nats, of which 1 is the VAE"
        if isinstance(self.likelihood, Gaussian):
            line += (
                f"; with mean squared error it is a weight of {2 * self.likelihood.sigma**2 * self.beta:g} / D"
            )
            line += " for samples of D values"
        return [*super().about(), line]


@dataclass(eq=False, repr=False, kw_only=True)
class CapacityVAE(VAE):
    """Burgess et al. 2018: the divergence is held at C nats, which rises linearly to ``capacity``.

    It is there after the share ``rise`` of the run. The difference is of the mean over the batch, of all
    processes: samples may differ in what they need.
    """

    gamma: NonNegative
    capacity: Positive
    rise: Share

    target: Tensor = field(init=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.register_buffer("target", torch.zeros(()))

    def begin_step(self, progress: StepProgress) -> StepPlan:
        plan = super().begin_step(progress)
        reached = progress.done / self.rise if self.rise else 1.0
        self.target.fill_(self.capacity * min(1.0, reached))
        return plan

    def divergence_loss(self, divergence: Tensor) -> Tensor:
        return self.gamma * (global_mean(divergence) - self.target).abs()

    def divergence_logs(self, divergence: Tensor) -> dict[str, Tensor]:
        return {"divergence": divergence.detach().mean(), "capacity": self.target.clone()}

    def about(self) -> list[str]:
        held = f"the divergence is held at C nats, which rises from 0 to {self.capacity:g}"
        return [*super().about(), f"{held}, by a weight of {self.gamma:g}"]
