r"""Regularisers of one player.

``penalty(call)`` takes a ``PlayerCall``, which describes a player's turn, and returns a scalar that includes
the penalty's weight. ``player`` names the player whose loss it is added to; for most it is the critic.

Penalties on a critic's gradient with respect to single samples (``SampleGradientPenalty``) take one norm per
sample, over all dimensions but the batch, in float32 even under autocast. A sample's logit must depend on that
sample alone, so the critic must not have batch norm.

``every`` makes a penalty lazy (Karras et al. 2020, appendix B): it is computed in one of ``every`` turns, with
``every`` times the weight, and is zero in the others. The game calls ``begin_turn`` before each turn.
"""

from collections.abc import Callable
from typing import ClassVar, NamedTuple, Protocol, cast

import torch
from torch import Tensor, nn

from ganexp.config.ranges import Count, NonNegative, Share
from ganexp.distributed import collectives
from ganexp.system.float32 import at_least_float32

Critic = Callable[[Tensor], Tensor]
"""A discriminator as a function of samples alone; returns logits [N] or [N, ...], at least float32."""


class PlayerCall(NamedTuple):
    """A turn's networks and tensors, as a penalty receives them.

    ``critic`` is bound to labels, pair and pack, and draws a new augmentation at each call; ``plain_critic``
    does not augment. ``real``, ``fake``: [N, ...] as passed to the critic; logits [N] or [N, ...].
    ``real_logits`` is None in a generator's turn whose loss does not need them. ``inputs``: the generator's
    arguments for the fakes. ``real_outputs``, ``fake_outputs``: [N, K], what the discriminator gives beside the
    logits; None if it gives nothing.
    """

    critic: Critic
    plain_critic: Critic
    real: Tensor
    fake: Tensor
    real_logits: Tensor | None
    fake_logits: Tensor
    generator: nn.Module
    inputs: tuple[Tensor, ...]
    real_outputs: Tensor | None = None
    fake_outputs: Tensor | None = None


class StyledGenerator(Protocol):
    """A generator that makes samples of styles w, as StyleGAN2: G(...) = synthesis(styles(...))."""

    synthesis: Callable[[Tensor], Tensor]
    """Styles [N, layers, D] to samples."""

    def styles(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        """The styles [N, layers, D] of the generator's arguments."""
        ...


def as_styled(generator: nn.Module) -> StyledGenerator | None:
    """The generator as one of styles; None if it has none.

    ``isinstance`` of a protocol does not find submodules from Python 3.12 on: it looks at no ``__getattr__``.
    """
    has_all = all(callable(getattr(generator, name, None)) for name in ("styles", "synthesis"))
    return cast(StyledGenerator, generator) if has_all else None


class Penalty(nn.Module):
    """Base class: the weight and the lazy interval. A subclass implements the equation in ``term``.

    The weight is a buffer, so that a schedule can change it in a captured CUDA graph too.
    """

    player: ClassVar[str] = "d"
    """The player whose loss it is added to."""

    double_backward: ClassVar[bool] = False
    """Whether it differentiates per-sample gradients of that player's network."""

    needs_styles: ClassVar[bool] = False
    """Whether the generator has to be a ``StyledGenerator``. A literal: config/combinations.py reads it."""

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
        """Sets whether the penalty is computed in turn ``number``, counted from 0."""
        self.active = number % self.every == 0


class SampleGradientPenalty(Penalty):
    """Base class of penalties on the critic's gradient with respect to each sample."""

    double_backward: ClassVar[bool] = True


class GradientPenalty(SampleGradientPenalty):
    r"""Gulrajani et al. 2017, equation 3: :math:`\lambda\, E (\|\nabla D(\hat x)\|_2 - 1)^2`.

    :math:`\hat x = \epsilon x + (1 - \epsilon) G(z)` with one :math:`\epsilon \sim U[0, 1]` per sample.
    """

    def __init__(self, weight: NonNegative, target: NonNegative, every: Count) -> None:
        super().__init__(weight, every)
        self.target = target

    def term(self, call: PlayerCall) -> Tensor:
        real = call.real
        epsilon = torch.rand(len(real), *[1] * (real.dim() - 1), device=real.device)
        return _mean_squared_deviation(self.target, call.critic, torch.lerp(call.fake, real, epsilon))


class Dragan(SampleGradientPenalty):
    r"""Kodali et al. 2017, section 2.3: :math:`\lambda\, E (\|\nabla D(x + \delta)\|_2 - k)^2`.

    :math:`\delta = \alpha\, c\, \mathrm{std}(x)\, u` as in the authors' code (kodalinaveen3/DRAGAN, where
    c = 0.5): one :math:`\alpha \sim U[0, 1]` per sample, one :math:`u \sim U[0, 1]` per value, and the standard
    deviation of all values of the batch. The root mean square of :math:`\delta` is c / 3 standard deviations,
    0.167 in their code. In the paper :math:`\delta` is Gaussian, with a variance that the user chooses.
    ``noise`` is c.
    """

    def __init__(self, weight: NonNegative, target: NonNegative, noise: NonNegative, every: Count) -> None:
        super().__init__(weight, every)
        self.target = target
        self.noise = noise

    def term(self, call: PlayerCall) -> Tensor:
        real = call.real
        alpha = torch.rand(len(real), *[1] * (real.dim() - 1), device=real.device)
        delta = alpha * self.noise * collectives.global_std(real) * torch.rand_like(real)
        return _mean_squared_deviation(self.target, call.critic, real + delta)


class R1(SampleGradientPenalty):
    r"""Mescheder et al. 2018, equation 9: :math:`\frac{\gamma}{2} E \|\nabla D(x)\|_2^2` on real samples."""

    def __init__(self, weight: NonNegative, every: Count) -> None:
        super().__init__(weight, every)

    def term(self, call: PlayerCall) -> Tensor:
        return 0.5 * _squared_norms(call.critic, call.real).mean()


class R2(SampleGradientPenalty):
    r"""Mescheder et al. 2018, section 4.1: :math:`\frac{\gamma}{2} E \|\nabla D(G(z))\|_2^2` on fakes."""

    def __init__(self, weight: NonNegative, every: Count) -> None:
        super().__init__(weight, every)

    def term(self, call: PlayerCall) -> Tensor:
        return 0.5 * _squared_norms(call.critic, call.fake).mean()


class PathLength(Penalty):
    r"""Karras et al. 2020, section 3.2: :math:`E (\|J_w^T y\|_2 - a)^2`, of the generator.

    :math:`J_w^T y` is the gradient of :math:`\langle G, y \rangle` by w, for :math:`y \sim N(0, I / (H W))`.
    Where each layer has a w of its own, the squared norms are averaged over the layers. :math:`a` is a running
    mean of the norms of all processes, which starts at 0 and moves to a batch's mean by ``decay``; the gradient
    passes through that share, as in the authors' program. Only the first 1 / ``batch_divisor`` of its
    arguments is used, which saves memory and time.
    """

    player: ClassVar[str] = "g"
    double_backward: ClassVar[bool] = True
    needs_styles: ClassVar[bool] = True

    mean: Tensor

    def __init__(self, weight: NonNegative, decay: Share, batch_divisor: Count, every: Count) -> None:
        super().__init__(weight, every)
        self.decay, self.batch_divisor = decay, batch_divisor
        self.register_buffer("mean", torch.zeros(()))

    def term(self, call: PlayerCall) -> Tensor:
        generator = as_styled(call.generator)
        assert generator is not None
        count = max(1, len(call.inputs[0]) // self.batch_divisor)
        styles = generator.styles(*(part[:count] for part in call.inputs))
        samples = generator.synthesis(styles)
        y = torch.randn(*samples.shape, device=samples.device, dtype=samples.dtype)
        y = y / samples[0, 0].numel() ** 0.5
        (gradient,) = torch.autograd.grad((samples * y).sum(), styles, create_graph=True)
        squares = gradient.square().sum(2).mean(1)
        lengths = (squares + torch.finfo(torch.float32).tiny).sqrt()  # as in _mean_squared_deviation
        mean = torch.lerp(self.mean, collectives.global_mean(lengths).to(self.mean.dtype), self.decay)
        self.mean.copy_(mean.detach())
        return (lengths - mean).square().mean()


class Drift(Penalty):
    r"""Karras et al. 2018, appendix A.1: :math:`\epsilon_{drift}\, E\, D(x)^2` on real samples.

    The Wasserstein loss is the same for D and D + c; this keeps the logits near zero.
    """

    def __init__(self, weight: NonNegative, every: Count) -> None:
        super().__init__(weight, every)

    def term(self, call: PlayerCall) -> Tensor:
        assert call.real_logits is not None, "a discriminator's turn has them"
        return call.real_logits.square().mean()


def _squared_norms(critic: Critic, samples: Tensor) -> Tensor:
    """Each sample's squared gradient norm, shape [N], differentiable in the critic's weights."""
    samples = samples.detach().requires_grad_(True)
    (gradient,) = torch.autograd.grad(critic(samples).sum(), samples, create_graph=True)
    return gradient.flatten(1).square().sum(1)


def _mean_squared_deviation(target: float, critic: Critic, samples: Tensor) -> Tensor:
    """The mean squared distance of the gradient norms from ``target``.

    The square root's derivative is infinite at 0, which a critic without gradient reaches. Adding the smallest
    normal float32 keeps it finite there and changes no other norm.
    """
    norms = (_squared_norms(critic, samples) + torch.finfo(torch.float32).tiny).sqrt()
    return (norms - target).square().mean()
