r"""Adversarial losses, as functions of logits.

``d(real=, fake=)`` is what the discriminator minimises, ``g(real=, fake=)`` what the generator minimises.
Both take the discriminator's raw outputs, shape [batch], and return a scalar. With :math:`\zeta` for
softplus, :math:`-\log\sigma(x) = \zeta(-x)` and :math:`-\log(1-\sigma(x)) = \zeta(x)`, which stays
finite where ``log(sigmoid(x))`` does not.

``output`` turns logits into what the paper calls D(x); it is only logged, never differentiated.
"""

from dataclasses import dataclass
from typing import ClassVar, Protocol, runtime_checkable

import torch
from torch import Tensor
from torch.nn.functional import relu, softplus

from ganexp.distributed.collectives import global_mean


@runtime_checkable
class Loss(Protocol):
    """The interface of a loss."""

    needs_real: ClassVar[bool]
    """Whether ``g`` needs the real images' logits (a relativistic loss); otherwise ``real`` may be None."""

    def d(self, *, real: Tensor, fake: Tensor) -> Tensor: ...

    def g(self, *, real: Tensor | None, fake: Tensor) -> Tensor: ...

    def output(self, logits: Tensor) -> Tensor: ...


class Logistic:
    """The original GAN's discriminator loss: a logit is that of the probability that an image is real."""

    needs_real: ClassVar[bool] = False

    def d(self, *, real: Tensor, fake: Tensor) -> Tensor:
        """-E log D(x) - E log(1 - D(G(z)))."""
        return softplus(-real).mean() + softplus(fake).mean()

    def output(self, logits: Tensor) -> Tensor:
        """D(x), a probability."""
        return torch.sigmoid(logits)


class NonSaturating(Logistic):
    """Goodfellow et al. 2014, section 3: the generator maximises log D(G(z))."""

    def g(self, *, real: Tensor | None, fake: Tensor) -> Tensor:
        """-E log D(G(z))."""
        return softplus(-fake).mean()


class Minimax(Logistic):
    """Goodfellow et al. 2014, equation 1: the generator minimises what the discriminator maximises."""

    def g(self, *, real: Tensor | None, fake: Tensor) -> Tensor:
        """E log(1 - D(G(z)))."""
        return -softplus(fake).mean()


class Score:
    """A critic whose output is a score, not the logit of a probability."""

    needs_real: ClassVar[bool] = False

    def output(self, logits: Tensor) -> Tensor:
        """D(x), a score without bounds."""
        return logits


@dataclass(frozen=True, kw_only=True)
class LeastSquares(Score):
    """Mao et al. 2017, equation 2: fakes should score ``a``, real images ``b``; the generator aims at ``c``."""

    a: float
    b: float
    c: float

    def d(self, *, real: Tensor, fake: Tensor) -> Tensor:
        """E (D(x) - b)^2 / 2 + E (D(G(z)) - a)^2 / 2."""
        return 0.5 * (real - self.b).square().mean() + 0.5 * (fake - self.a).square().mean()

    def g(self, *, real: Tensor | None, fake: Tensor) -> Tensor:
        """E (D(G(z)) - c)^2 / 2."""
        return 0.5 * (fake - self.c).square().mean()


class Wasserstein(Score):
    """Arjovsky et al. 2017, Algorithm 1. The critic must be Lipschitz: use ``game.clip`` or a penalty."""

    def d(self, *, real: Tensor, fake: Tensor) -> Tensor:
        """E D(G(z)) - E D(x): minus the estimated distance."""
        return fake.mean() - real.mean()

    def g(self, *, real: Tensor | None, fake: Tensor) -> Tensor:
        """-E D(G(z))."""
        return -fake.mean()


class Hinge(Score):
    """Lim & Ye 2017; Miyato et al. 2018, equations 16 and 17."""

    def d(self, *, real: Tensor, fake: Tensor) -> Tensor:
        """E max(0, 1 - D(x)) + E max(0, 1 + D(G(z)))."""
        return relu(1 - real).mean() + relu(1 + fake).mean()

    def g(self, *, real: Tensor | None, fake: Tensor) -> Tensor:
        """-E D(G(z))."""
        return -fake.mean()


class RelativisticPairing(Score):
    """Jolicoeur-Martineau 2019, RpGAN: how much more realistic a real image is than a fake one.

    Real and fake logits are paired by their index in the batch; both are drawn independently.
    """

    needs_real: ClassVar[bool] = True

    def d(self, *, real: Tensor, fake: Tensor) -> Tensor:
        """-E log sigmoid(D(x) - D(G(z)))."""
        return softplus(fake - real).mean()

    def g(self, *, real: Tensor | None, fake: Tensor) -> Tensor:
        """-E log sigmoid(D(G(z)) - D(x))."""
        assert real is not None, "a relativistic generator needs the real logits"
        return softplus(real - fake).mean()


class RelativisticAverage(Score):
    """Jolicoeur-Martineau 2019, RaSGAN: whether an image is more realistic than the others' average.

    With the mean over a batch, of all processes: a real image should score above the mean of the fake ones, a
    fake one below the mean of the real ones; the generator wants both the other way round.
    """

    needs_real: ClassVar[bool] = True

    def d(self, *, real: Tensor, fake: Tensor) -> Tensor:
        """-E log sigmoid(D(x) - E D(G(z))) - E log(1 - sigmoid(D(G(z)) - E D(x)))."""
        return softplus(global_mean(fake) - real).mean() + softplus(fake - global_mean(real)).mean()

    def g(self, *, real: Tensor | None, fake: Tensor) -> Tensor:
        """-E log sigmoid(D(G(z)) - E D(x)) - E log(1 - sigmoid(D(x) - E D(G(z))))."""
        assert real is not None, "a relativistic generator needs the real logits"
        return softplus(global_mean(real) - fake).mean() + softplus(real - global_mean(fake)).mean()
