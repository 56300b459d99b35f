r"""What a decoder's output says about an image: the distribution p(x | z) of a variational autoencoder.

Gaussian   log p(x | z) = sum_i  -(x_i - m_i)^2 / (2 sigma^2) - ln(sigma) - ln(2 pi) / 2
Bernoulli  log p(x | z) = sum_i  b_i ln p_i + (1 - b_i) ln(1 - p_i)    with b = (x + 1) / 2, p = (m + 1) / 2

m is the decoder's output, and x and m are in [-1, 1]. Both sums are over all values of a sample: with their
mean the divergence from the prior would count as many times as there are values, and the codes would collapse.
"""

import math
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from ganexp.config.ranges import Positive
from ganexp.system.float32 import at_least_float32

_SMALLEST = 1e-7
"""Of a Bernoulli probability, whose logarithm would be infinite at 0; a float32 tanh reaches -1 and 1.

A tanh of 16 bits reaches them earlier, so that its smallest probability is larger: all that it rounds to 1 is
taken for the middle of what rounds to 1.
"""

_STEP = 2 / 255
"""Between two values of 8 bits, in [-1, 1]."""


@runtime_checkable
class Likelihood(Protocol):
    """The interface of a decoder's distribution."""

    about: str
    """Its name and what it depends on, for a line of the log."""

    def log_probability(self, x: Tensor, output: Tensor) -> Tensor:
        """log p(x | z) in nats [N], float32 at least, for samples and the decoder's outputs [N, ...]."""
        ...

    def logs(self, elbo: Tensor, values: int) -> dict[str, Tensor]:
        """What else follows from the mean ELBO of samples of so many values."""
        ...


@dataclass(frozen=True, kw_only=True)
class Gaussian:
    """Each value is normal about the decoder's output, with the fixed standard deviation ``sigma``.

    A small ``sigma`` asks for exact reconstructions, a large one for codes that are close to the prior.
    """

    sigma: Positive

    @property
    def about(self) -> str:
        return f"Gaussian of standard deviation {self.sigma:g} in [-1, 1]"

    def log_probability(self, x: Tensor, output: Tensor) -> Tensor:
        squares = (at_least_float32(x) - at_least_float32(output)).square().flatten(1)
        constant = squares.shape[1] * (math.log(self.sigma) + 0.5 * math.log(2 * math.pi))
        return -squares.sum(1) / (2 * self.sigma**2) - constant

    def logs(self, elbo: Tensor, values: int) -> dict[str, Tensor]:
        """``bits_per_value``: the density as a code length of 8-bit values, -log2 of density times their step.

        It bounds the length from above as far as the density is constant over a step.
        """
        return {"bits_per_value": -elbo / (values * math.log(2)) - math.log2(_STEP)}


@dataclass(frozen=True, kw_only=True)
class Bernoulli:
    """Each value, mapped to [0, 1], is a probability: exact for black and white, in common use for digits.

    Of grey values it is no density, so that its ELBO compares with that of other Bernoulli decoders only.
    """

    @property
    def about(self) -> str:
        return "Bernoulli of values mapped to [0, 1]"

    def log_probability(self, x: Tensor, output: Tensor) -> Tensor:
        wanted = (at_least_float32(x) + 1) / 2
        smallest = max(_SMALLEST, torch.finfo(output.dtype).eps / 16)
        p = ((at_least_float32(output) + 1) / 2).clamp(smallest, 1 - smallest)
        return (wanted * p.log() + (1 - wanted) * (-p).log1p()).flatten(1).sum(1)

    def logs(self, elbo: Tensor, values: int) -> dict[str, Tensor]:
        return {}
