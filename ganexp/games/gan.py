"""The game of two: Goodfellow et al. 2014, Algorithm 1.

    for each step:
        the discriminator minimises  L_d(D(x), D(G(z))) + penalties(D; x, G(z))
        every n_critic steps, the generator minimises  L_g(D(G(z))), n_generator times

WGAN (Arjovsky et al. 2017, Algorithm 1) is the same with five steps of the critic for one of the
generator and, after each of them, w <- clip(w, -c, c).

The paper draws new noise for the generator. ``reuse_fake`` gives it the fakes that the discriminator has just
been shown, as most programs do: one pass of the generator less.
"""

import math
from collections.abc import Callable, Hashable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ganexp.config.ranges import Count, Noise, Positive
from ganexp.data.batches import Batch
from ganexp.errors import UserError
from ganexp.games.game import Game, Inputs, Player, Turn
from ganexp.losses import Loss
from ganexp.nets.layers import CriticNet, LatentNet
from ganexp.penalties import Critic, Penalty
from ganexp.precision import at_least_float32


def _uniform(count: int, latent: int, **where: Any) -> Tensor:
    return 2 * torch.rand(count, latent, **where) - 1


NOISES: dict[str, Callable[..., Tensor]] = {"normal": torch.randn, "uniform": _uniform}
"""What z is drawn from: N(0, I), or each number from [-1, 1) alike."""


class GAN(Game):
    """``generator(z)`` against ``discriminator(x)``; see the module."""

    generator: LatentNet

    def __init__(  # noqa: PLR0913 - the parts that the game joins, and the settings of conf/game
        self,
        generator: LatentNet,
        discriminator: nn.Module,
        loss: Loss,
        penalties: dict[str, Penalty],
        n_critic: Count,
        n_generator: Count,
        noise: Noise,
        reuse_fake: bool,
        clip: Positive | None,
    ) -> None:
        super().__init__()
        self.generator = generator
        self.discriminator = discriminator
        self.loss = loss
        self.penalties = nn.ModuleDict(penalties)
        self._counting = list(penalties.values())
        self.clip = clip
        self.reuse_fake = reuse_fake
        self._fake: Tensor | None = None
        self.players = {
            "d": Player(discriminator, self.discriminator_turn),
            "g": Player(generator, self.generator_turn),
        }
        self.turns = (("d", 1), *[("g", n_critic)] * n_generator)
        self.noise = NOISES[noise]

    def discriminator_turn(self, batch: Batch) -> Turn:
        """Real against fake; no gradient reaches the generator, which stands still."""
        real, fake, critic = self.real(batch), self._fake_for_critic(batch), self.critic(batch)
        real_logits, fake_logits = self._logits(critic, real, fake)
        terms = {"adversarial": self.loss.d(real=real_logits, fake=fake_logits)}
        for name, penalty in self.penalties.items():
            terms[name] = penalty(critic, real, fake)
        seen = {
            "D_x": self.loss.output(real_logits.detach()).mean(),
            "D_G_z": self.loss.output(fake_logits.detach()).mean(),
        }
        return Turn(terms, seen)

    def generator_turn(self, batch: Batch) -> Turn:
        """New fakes, or the critic's; gradients flow through the discriminator, which stands still."""
        critic = self.critic(batch)
        fake = self.fake(batch) if self._fake is None else self._fake
        self._fake = None  # its graph serves once
        fake_logits = critic(fake)
        real_logits = None
        if self.loss.needs_real:
            with torch.no_grad():
                real_logits = critic(self.real(batch))
        terms = {"adversarial": self.loss.g(real=real_logits, fake=fake_logits)}
        return Turn(terms, {"D_G_z": self.loss.output(fake_logits.detach()).mean()})

    def _fake_for_critic(self, batch: Batch) -> Tensor:
        """Fakes without a graph, which costs less; with one if the generator's turn is to reuse them."""
        if not self.reuse_fake:
            with torch.no_grad():
                return self.fake(batch)
        self.generator.requires_grad_(True)
        self._fake = self.fake(batch)
        return self._fake.detach()

    def _logits(self, critic: Critic, real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor]:
        """In one pass, which is quicker, where that makes no difference to the discriminator."""
        if isinstance(self.discriminator, CriticNet) and self.discriminator.one_by_one:
            real_logits, fake_logits = critic(torch.cat([real, fake.to(real.dtype)])).chunk(2)
            return real_logits, fake_logits
        return critic(real), critic(fake)

    def check(self) -> None:
        if self.reuse_fake and self.pace > 1:
            raise UserError(f"game.reuse_fake=true asks for game.n_critic=1, and it is {self.pace}")

    def passed(self, player: str) -> None:
        if player == "d":
            for penalty in self._counting:
                penalty.passed()

    def phase(self, player: str) -> Hashable:
        """Which penalties rest."""
        return tuple(penalty.idle for penalty in self._counting) if player == "d" else None

    def differentiated_twice(self, player: str) -> bool:
        return player == "d" and bool(self._counting)

    def real(self, batch: Batch) -> Tensor:
        """The batch's samples, as the discriminator is shown them."""
        return batch.x

    def fake(self, batch: Batch) -> Tensor:
        """As many generated ones, from the training's own random numbers."""
        samples: Tensor = self.generator(self.latents(batch))
        return samples

    def critic(self, batch: Batch) -> Critic:
        """The discriminator as a function of one or several batches, to logits of float32 at least."""
        return lambda samples: at_least_float32(self.discriminator(samples))

    def latents(self, batch: Batch) -> Tensor:
        """z [N, latent], a sample each."""
        return self.noise(len(batch.x), self.generator.latent, device=batch.x.device)

    def constrain(self, player: str) -> None:
        """WGAN's clipping of the critic's weights."""
        if player == "d" and self.clip is not None:
            with torch.no_grad():
                for parameter in self.discriminator.parameters():
                    parameter.clamp_(-self.clip, self.clip)

    def inputs(self, labels: Sequence[int], rng: torch.Generator) -> Inputs:
        return (self.noise(len(labels), self.generator.latent, generator=rng),)

    def grid_labels(self, count: int) -> tuple[list[int], int]:
        return [0] * count, math.ceil(math.sqrt(count))

    def check_label(self, label: int) -> None:
        raise UserError(f"label={label}: this run knows no labels; train one with game=cgan")
