r"""Regularisers of one player.

A penalty is called as ``penalty(call)`` with a ``PlayerCall``, what it may see of a player's turn, and returns
a scalar that already carries its weight. ``player`` says whose turn it belongs to; most are the critic's.

Those of a critic's gradient with respect to single samples (``GradientTerm``) take one norm per sample, over
everything but the batch, and in float32 also under autocast. Since each sample's gradient has to be its own,
the critic must not mix samples: no batch norm.

``every`` makes a penalty lazy (Karras et al. 2020, appendix B): it is computed in one of so many turns and
weighted up by as much; in the others it is zero. The game calls ``begin_turn`` before each.
"""

from collections.abc import Callable
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from ganexp.config.ranges import Count, NonNegative
from ganexp.distributed import collectives
from ganexp.system.float32 import at_least_float32

Critic = Callable[[Tensor], Tensor]
"""A discriminator as a function of samples alone, to logits [N] or [N, ...] of float32 at least."""


class PlayerCall(NamedTuple):
    """What a penalty sees of a turn.

    ``critic`` is bound to labels, pair and pack, and augments anew at each call; ``plain_critic`` does not
    augment. ``real``, ``fake``: [N, ...] as the critic is shown them; logits [N] or [N, ...]. ``real_logits``
    is None in a generator's turn whose loss does not need them. ``inputs``: what the generator made the fakes
    from.
    """

    critic: Critic
    plain_critic: Critic
    real: Tensor
    fake: Tensor
    real_logits: Tensor | None
    fake_logits: Tensor
    generator: nn.Module
    inputs: tuple[Tensor, ...]


class Penalty(nn.Module):
    """Weight and laziness, which every penalty shares; ``term`` is the equation.

    The weight is a buffer, so that a schedule can drive it in a captured step too.
    """

    player: ClassVar[str] = "d"
    """Whose turn it belongs to."""

    double_backward: ClassVar[bool] = False
    """Whether it differentiates a gradient of that player's network, sample by sample."""

    factor: Tensor

    def __init__(self, weight: float, every: int) -> None:
        super().__init__()
        self.every = every
        self.active = True
        self.register_buffer("factor", torch.tensor(float(weight) * every), persistent=False)

    def term(self, call: PlayerCall) -> Tensor:
        """The penalty without its weight, a scalar."""
        raise NotImplementedError

    def forward(self, call: PlayerCall) -> Tensor:
        if not self.active:
            return call.fake_logits.new_zeros(())
        with torch.autocast(call.real.device.type, enabled=False):
            term = self.term(call._replace(real=at_least_float32(call.real), fake=at_least_float32(call.fake)))
        return self.factor * term

    def begin_turn(self, number: int) -> None:
        """Says whether it acts in the turn with this number, counted from 0."""
        self.active = number % self.every == 0


class GradientTerm(Penalty):
    """The base of penalties of the critic's gradient with respect to each sample."""

    double_backward: ClassVar[bool] = True


class GradientPenalty(GradientTerm):
    r"""Gulrajani et al. 2017, equation 3: :math:`\lambda\, E (\|\nabla D(\hat x)\|_2 - 1)^2`.

    :math:`\hat x = \epsilon x + (1 - \epsilon) G(z)` with one :math:`\epsilon \sim U[0, 1]` per sample.
    """

    def __init__(self, weight: NonNegative, target: NonNegative, every: Count) -> None:
        super().__init__(weight, every)
        self.target = target

    def term(self, call: PlayerCall) -> Tensor:
        real = call.real
        epsilon = torch.rand(len(real), *[1] * (real.dim() - 1), device=real.device)
        return _distance_from(self.target, call.critic, torch.lerp(call.fake, real, epsilon))


class Dragan(GradientTerm):
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

    def term(self, call: PlayerCall) -> Tensor:
        real = call.real
        alpha = torch.rand(len(real), *[1] * (real.dim() - 1), device=real.device)
        delta = alpha * self.noise * collectives.std(real) * torch.rand_like(real)
        return _distance_from(self.target, call.critic, real + delta)


class R1(GradientTerm):
    r"""Mescheder et al. 2018, equation 9: :math:`\frac{\gamma}{2} E \|\nabla D(x)\|_2^2` on real samples."""

    def __init__(self, weight: NonNegative, every: Count) -> None:
        super().__init__(weight, every)

    def term(self, call: PlayerCall) -> Tensor:
        return 0.5 * _squared_norms(call.critic, call.real).mean()


class R2(GradientTerm):
    r"""Mescheder et al. 2018, section 4.1: :math:`\frac{\gamma}{2} E \|\nabla D(G(z))\|_2^2` on fakes."""

    def __init__(self, weight: NonNegative, every: Count) -> None:
        super().__init__(weight, every)

    def term(self, call: PlayerCall) -> Tensor:
        return 0.5 * _squared_norms(call.critic, call.fake).mean()


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
