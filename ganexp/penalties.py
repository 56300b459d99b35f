r"""Regularisers of a critic: functions of its gradient with respect to single samples.

A penalty is called as ``penalty(critic, real, fake)`` with two batches [N, ...] of samples and a function
from samples to logits [N]; it returns a scalar that already carries its weight. One norm is taken per
sample, over everything but the batch, and in float32 also under autocast. Since each sample's gradient
has to be its own, the critic must not mix samples: no batch norm.

``every`` makes a penalty lazy (Karras et al. 2020, appendix B): it is computed in one of so many turns and
weighted up by as much; in the others it is zero. The game tells it when a turn has ``passed``.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from ganexp import dist
from ganexp.config.ranges import Count, NonNegative
from ganexp.precision import at_least_float32

Critic = Callable[[Tensor], Tensor]


class Penalty(nn.Module):
    """Weight and turn-taking, which every penalty shares; ``term`` is the equation."""

    def __init__(self, weight: float, every: int) -> None:
        super().__init__()
        self.weight = weight
        self.every = every
        self.turn = 0

    def term(self, critic: Critic, real: Tensor, fake: Tensor) -> Tensor:
        """The penalty without its weight, a scalar."""
        raise NotImplementedError

    def forward(self, critic: Critic, real: Tensor, fake: Tensor) -> Tensor:
        if self.idle:
            return real.new_zeros(())
        with torch.autocast(real.device.type, enabled=False):
            term = self.term(critic, at_least_float32(real), at_least_float32(fake))
        return self.weight * self.every * term

    @property
    def idle(self) -> bool:
        """Whether it rests in this turn."""
        return self.turn % self.every != 0

    def passed(self) -> None:
        """The critic's turn is over."""
        self.turn += 1

    def get_extra_state(self) -> dict[str, Any]:
        """The turn: a resumed run must be lazy in the same steps."""
        return {"turn": self.turn}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        self.turn = state["turn"]


class GradientPenalty(Penalty):
    r"""Gulrajani et al. 2017, equation 3: :math:`\lambda\, E (\|\nabla D(\hat x)\|_2 - 1)^2`.

    :math:`\hat x = \epsilon x + (1 - \epsilon) G(z)` with one :math:`\epsilon \sim U[0, 1]` per sample.
    """

    def __init__(self, weight: NonNegative, target: NonNegative, every: Count) -> None:
        super().__init__(weight, every)
        self.target = target

    def term(self, critic: Critic, real: Tensor, fake: Tensor) -> Tensor:
        epsilon = torch.rand(len(real), *[1] * (real.dim() - 1), device=real.device)
        return _distance_from(self.target, critic, torch.lerp(fake, real, epsilon))


class Dragan(Penalty):
    r"""Kodali et al. 2017, section 2.3: :math:`\lambda\, E (\|\nabla D(x + \delta)\|_2 - k)^2`.

    :math:`\delta = \alpha\, c\, \mathrm{std}(x)\, u` as in the authors' program (kodalinaveen3/DRAGAN, where
    c is 0.5): one :math:`\alpha \sim U[0, 1]` per sample, one :math:`u \sim U[0, 1]` per value, and the
    deviation of all values of the batch. Its root mean square is c / 3 deviations, 0.167 with theirs. In the
    paper :math:`\delta` is Gaussian, of a variance that is left to the user. ``noise`` is c.
    """

    def __init__(self, weight: NonNegative, target: NonNegative, noise: NonNegative, every: Count) -> None:
        super().__init__(weight, every)
        self.target = target
        self.noise = noise

    def term(self, critic: Critic, real: Tensor, fake: Tensor) -> Tensor:
        alpha = torch.rand(len(real), *[1] * (real.dim() - 1), device=real.device)
        delta = alpha * self.noise * dist.std(real) * torch.rand_like(real)
        return _distance_from(self.target, critic, real + delta)


class R1(Penalty):
    r"""Mescheder et al. 2018, equation 9: :math:`\frac{\gamma}{2} E \|\nabla D(x)\|_2^2` on real samples."""

    def __init__(self, weight: NonNegative, every: Count) -> None:
        super().__init__(weight, every)

    def term(self, critic: Critic, real: Tensor, fake: Tensor) -> Tensor:
        return 0.5 * _squared_norms(critic, real).mean()


class R2(Penalty):
    r"""Mescheder et al. 2018, section 4.1: :math:`\frac{\gamma}{2} E \|\nabla D(G(z))\|_2^2` on fakes."""

    def __init__(self, weight: NonNegative, every: Count) -> None:
        super().__init__(weight, every)

    def term(self, critic: Critic, real: Tensor, fake: Tensor) -> Tensor:
        return 0.5 * _squared_norms(critic, fake).mean()


def _squared_norms(critic: Critic, samples: Tensor) -> Tensor:
    """Each sample's squared gradient norm, shape [N], differentiable in the critic's weights."""
    samples = samples.detach().requires_grad_(True)
    (gradient,) = torch.autograd.grad(critic(samples).sum(), samples, create_graph=True)
    return gradient.flatten(1).square().sum(1)


def _distance_from(target: float, critic: Critic, samples: Tensor) -> Tensor:
    """The mean squared distance of the gradient norms from ``target``.

    The root's derivative is infinite at 0, which a dead critic reaches: the smallest normal float32 keeps
    it finite there and changes no other norm.
    """
    norms = (_squared_norms(critic, samples) + torch.finfo(torch.float32).tiny).sqrt()
    return (norms - target).square().mean()
