r"""Information maximising GAN: Chen et al. 2016, equation 6.

    min_{G, Q} max_D  V(D, G) - lambda L_I(G, Q)
    L_I = E log Q(c | G(z, c)) + H(c)  <=  I(c; G(z, c))

The latent holds noise and codes c: categorical ones as one-hot vectors, continuous ones from U(-1, 1). Q is a
second output of the discriminator's features: a softmax for each categorical code, and the mean of a Gaussian
of deviation 1 for each continuous one. The deviation is fixed, as in the authors' program (openai/InfoGAN,
``fix_std``): a learned one goes to 0, and its likelihood to infinity, as soon as G follows the code.

As in that program, both players minimise -lambda L_I: the discriminator in its own turn on detached fakes,
which trains Q and the shared features, and the generator through the frozen discriminator.
"""

import math
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor

from ganexp.config.ranges import Factor, Noise, NonNegative, Whole
from ganexp.data.batches import Batch
from ganexp.errors import UserError
from ganexp.games.game import Turn
from ganexp.games.gan import GAN
from ganexp.games.prior import LatentPrior, Moments
from ganexp.games.request import MAX_ROWS, Grid, Inputs, Request
from ganexp.games.turns import critic_turn, generator_turn
from ganexp.nets.layers import label_vectors

_OTHER_ROWS = 8
"""Rows of a grid where code 0 does not decide them."""


@dataclass(frozen=True)
class CodePrior:
    """z [N, size]: noise, then a one-hot vector for each categorical code, then the continuous codes."""

    size: int
    noise: Noise
    categories: tuple[int, ...]
    continuous: int

    @property
    def noise_size(self) -> int:
        """Dimensions of the noise."""
        return self.size - sum(self.categories) - self.continuous

    def __call__(
        self, count: int, *, generator: torch.Generator | None = None, device: torch.device | None = None
    ) -> Tensor:
        noise = LatentPrior(self.noise_size, self.noise)(count, generator=generator, device=device)
        chosen = [torch.randint(k, (count,), generator=generator, device=device) for k in self.categories]
        uniform = 2 * torch.rand(count, self.continuous, generator=generator, device=device) - 1
        return torch.cat([noise, *map(label_vectors, chosen, self.categories), uniform], 1)

    def moments(self) -> Moments:
        means = [torch.full((k,), 1 / k) for k in self.categories]
        noise, codes = LatentPrior(self.noise_size, self.noise).moments(), torch.zeros(self.continuous)
        deviations = [(mean * (1 - mean)).sqrt() for mean in means]
        return Moments(
            torch.cat([noise.mean, *means, codes]),
            torch.cat([noise.deviation, *deviations, torch.full((self.continuous,), 3**-0.5)]),
        )

    def codes(self, z: Tensor) -> dict[str, Tensor]:
        """``categories`` [N, A] int64 and ``continuous`` [N, B] float32 of latents, where there are any."""
        *vectors, values = z[:, self.noise_size :].split([*self.categories, self.continuous], 1)
        found = {"categories": torch.stack([vector.argmax(1) for vector in vectors], 1)} if vectors else {}
        return found | ({"continuous": values} if self.continuous else {})

    def with_code(self, z: Tensor, number: int, values: Tensor) -> Tensor:
        """z [N, size] with the values [N] of one code: categories, or continuous values."""
        z, first = z.clone(), self.noise_size + sum(self.categories[:number])
        if number < len(self.categories):
            z[:, first : first + self.categories[number]] = label_vectors(values, self.categories[number])
        else:
            z[:, first + number - len(self.categories)] = values
        return z


@dataclass(eq=False, repr=False, kw_only=True)
class InfoGAN(GAN):
    """``generator(z)``, with codes in z, against a ``discriminator(x)`` with answers [N, 1 + codes].

    ``categories``: the number of categories of each categorical code; ``continuous``: how many continuous
    codes follow them. ``categorical_weight``, ``continuous_weight``: lambda of each kind.
    """

    USES_OUTPUTS: ClassVar[bool] = True

    categories: list[Factor]
    continuous: Whole
    categorical_weight: NonNegative
    continuous_weight: NonNegative

    def __post_init__(self) -> None:
        super().__post_init__()
        needed = sum(self.categories) + self.continuous
        outputs = getattr(self.discriminator, "outputs", 0)
        if needed == 0:
            raise UserError("game=infogan: no codes: set game.categories or game.continuous")
        if outputs != needed:
            raise UserError(
                f"arch.discriminator.outputs={outputs}: the codes need {needed}; with start_from, the "
                "other run needs the same codes"
            )
        if self.generator.latent < needed:
            raise UserError(f"arch.generator.latent={self.generator.latent}: the codes alone need {needed}")
        self.code_kinds = (*self.categories, *[0] * self.continuous)
        self.prior: CodePrior = CodePrior(
            self.generator.latent, self.noise, tuple(self.categories), self.continuous
        )

    def discriminator_turn(self, batch: Batch) -> Turn:
        call = self.discriminator_call(batch)
        turn = critic_turn(self.loss, self.penalties_of("d"), call, self.augment)
        return turn | self.information(call.fake_outputs, call.inputs[0])

    def generator_turn(self, batch: Batch) -> Turn:
        call = self.generator_call(batch)
        turn = generator_turn(self.loss, self.penalties_of("g"), call)
        return turn | self.information(call.fake_outputs, call.inputs[0])

    def information(self, posterior: Tensor | None, z: Tensor) -> Turn:
        """-lambda E log Q(c | x) of posterior outputs [N, codes] and the latents z that made the samples.

        Logs the bound L_I of the categorical codes, in nats: from 0 (or below) to the sum of their entropies.
        """
        assert posterior is not None
        sizes = [*self.categories, self.continuous]
        *logits, means = posterior.split(sizes, 1)
        *codes, values = z[:, self.prior.noise_size :].split(sizes, 1)
        losses, logs = {}, {}
        if self.categories:
            pairs = zip(logits, codes, strict=True)
            likelihoods = [(code * logit.log_softmax(1)).sum(1).mean() for logit, code in pairs]
            likelihood = torch.stack(likelihoods).sum()
            losses["categorical"] = -self.categorical_weight * likelihood
            logs["information"] = likelihood.detach() + sum(map(math.log, self.categories))
        if self.continuous:
            squares = 0.5 * (values - means).square().sum(1).mean()  # -log N(c; mean, 1) without its constant
            losses["continuous"] = self.continuous_weight * squares
        return Turn(losses, logs)

    def inputs(self, request: Request, rng: torch.Generator, reference: Batch | None = None) -> Inputs:
        (z,) = super().inputs(replace(request, codes={}), rng).args
        for number, values in request.codes.items():
            self._check_code(number, values)
            z = self.prior.with_code(z, number, values)
        return Inputs((z,), **self.prior.codes(z))

    def _check_code(self, number: int, values: Tensor) -> None:
        """Raises UserError for a code that does not exist, or a category that it does not have."""
        if number not in range(len(self.code_kinds)):
            raise UserError(f"code.{number}: this run's codes are 0 to {len(self.code_kinds) - 1}")
        categories = self.code_kinds[number]
        wrong = values[(values < 0) | (values >= categories)] if categories else values[:0]
        if len(wrong):
            raise UserError(f"code.{number}={int(wrong[0])}: its categories are 0 to {categories - 1}")

    def condition_pairs(
        self, count: int, rng: torch.Generator, reference: Batch | None = None
    ) -> dict[str, Inputs]:
        pairs = {}
        for number, kind in enumerate(self.code_kinds):
            if kind:
                values = torch.randint(kind, (2 * count,), generator=rng)
            else:
                values = 2 * torch.rand(2 * count, generator=rng) - 1
            pairs[f"code_{number}"] = self.inputs(Request(2 * count, codes={number: values}, shared=2), rng)
        return pairs

    def preview_count(self, count: int) -> int:
        rows = self._rows()
        return rows * math.ceil(count / rows)

    def grid(self, request: Request) -> Grid:
        """One row for each category of code 0, if it is categorical and the request says nothing of codes."""
        columns = request.columns or math.ceil(request.count / self._rows())
        if self.categories and not request.codes:
            values = torch.arange(request.count) // columns % self.categories[0]
            request = replace(request, codes={0: values})
        return Grid(request, columns)

    def _rows(self) -> int:
        return self.categories[0] if self.categories and self.categories[0] <= MAX_ROWS else _OTHER_ROWS
