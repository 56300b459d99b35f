"""What the games of two players share: Goodfellow et al. 2014, Algorithm 1.

    for each step:
        the discriminator minimises  L_d(D(x), D(G(...))) + penalties(D; x, G(...))
        every n_critic steps, the generator minimises  L_g(D(G(...))), n_generator times

WGAN (Arjovsky et al. 2017, Algorithm 1) is the same with five critic steps for each generator step and, after
each critic step, w <- clip(w, -c, c).

A game says what the generator is given (``training_inputs``, ``inputs``). With ``reuse_fake`` the generator's
turn uses the discriminator's fakes again, as most implementations do, which saves one forward pass.
"""

from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor, nn

from ganexp.config.ranges import Count, Positive
from ganexp.data.batches import Batch
from ganexp.errors import UserError
from ganexp.games.game import Game, Player, Turn
from ganexp.games.turns import (
    clip_weights,
    critic_of,
    critic_turn,
    generator_turn,
    real_and_fake_logits,
    real_logits_if_needed,
)
from ganexp.losses import Loss
from ganexp.nets.layers import DiscriminatorBase
from ganexp.penalties import Critic, PlayerCall


@dataclass(eq=False, repr=False, kw_only=True)
class AdversarialGame(Game):
    """``generator(...)`` against ``discriminator(x)``; see the module's docstring."""

    NETS: ClassVar[tuple[str, ...]] = ("generator", "discriminator")

    USES_LABELS: ClassVar[bool] = False
    """Whether networks are given labels."""

    USES_OUTPUTS: ClassVar[bool] = False
    """Whether the discriminator's outputs beside the logit are used."""

    GIVES_MASK: ClassVar[bool] = False
    """Whether the discriminator is given a mask of holes in the last channel."""

    NEEDS_LOSS: ClassVar[bool] = True
    """Whether the game needs an adversarial loss; without one, the generator is the only player."""

    n_critic: Count
    n_generator: Count
    reuse_fake: bool
    clip: Positive | None

    generator: nn.Module = field(init=False)
    discriminator: DiscriminatorBase = field(init=False)
    loss: Loss = field(init=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.parts.loss is None and self.NEEDS_LOSS:
            raise UserError("loss=none: this game is adversarial; choose a loss such as loss=gan")
        if self.reuse_fake and self.n_critic > 1:
            raise UserError(f"game.reuse_fake=true asks for game.n_critic=1, and it is {self.n_critic}")
        self._check_uses()
        self._fake_to_reuse: tuple[Tensor, tuple[Tensor, ...]] | None = None
        if self.parts.loss is None:
            self.players = {"g": Player(self.generator, self.generator_turn)}
            return
        self.loss = self.parts.loss
        through = (self.generator,) if self.reuse_fake else ()
        self.players = {
            "d": Player(self.discriminator, self.discriminator_turn, graph_through=through),
            "g": Player(self.generator, self.generator_turn, every=self.n_critic, times=self.n_generator),
        }

    def _check_uses(self) -> None:
        """Raises UserError for networks that take or give what this game does not use."""
        refuse_unused(self.parts.nets, labels=self.USES_LABELS, outputs=self.USES_OUTPUTS, mask=self.GIVES_MASK)

    def discriminator_turn(self, batch: Batch) -> Turn:
        """The discriminator's losses on real and fake samples; no gradient reaches the generator."""
        return critic_turn(self.loss, self.penalties_of("d"), self.discriminator_call(batch), self.augment)

    def generator_turn(self, batch: Batch) -> Turn:
        """The generator's losses on new or reused fakes, through the frozen discriminator."""
        return generator_turn(self.loss, self.penalties_of("g"), self.generator_call(batch))

    def discriminator_call(self, batch: Batch) -> PlayerCall:
        """The discriminator's answers to real and fake samples; the fakes are detached."""
        real, (fake, inputs) = self.fade_details(self.real(batch)), self._fake_for_critic(batch)
        critic = self.critic(batch)
        answers = real_and_fake_logits(
            critic, real, fake, samplewise=getattr(self.discriminator, "samplewise", False)
        )
        return self.player_call(critic, batch, real, fake, *answers, inputs)

    def generator_call(self, batch: Batch) -> PlayerCall:
        """The discriminator's answer to new or reused fakes, through which gradients reach the generator."""
        critic, real = self.critic(batch), self.fade_details(self.real(batch))
        fake, inputs = self._fake_to_reuse or self.fake(batch)
        self._fake_to_reuse = None  # its autograd graph is freed by one backward pass
        fake_answer, real_answer = critic(fake), real_logits_if_needed(self.loss, critic, real)
        return self.player_call(critic, batch, real, fake, real_answer, fake_answer, inputs)

    def real(self, batch: Batch) -> Tensor:
        """The batch's samples, in the form that the discriminator takes."""
        return batch.x

    def fake(self, batch: Batch) -> tuple[Tensor, tuple[Tensor, ...]]:
        """As many fakes, and the generator's inputs; random numbers come from the global RNG."""
        inputs = self.training_inputs(batch)
        samples: Tensor = self.generator(*inputs)
        return samples, inputs

    def training_inputs(self, batch: Batch) -> tuple[Tensor, ...]:
        """The generator's inputs in training."""
        raise NotImplementedError

    def critic(self, batch: Batch, *, augmented: bool = True) -> Critic:
        """A function from samples, one or several times the batch size, to what the discriminator answers.

        These are logits, and its other outputs if it has any, in float32 at least.
        """
        return critic_of(lambda shown: self.discriminate(shown, batch), self.augment if augmented else None)

    def discriminate(self, samples: Tensor, batch: Batch) -> Tensor:
        """The discriminator's answer to samples, one or several times the batch size."""
        logits: Tensor = self.discriminator(samples)
        return logits

    def after_step(self, player: str) -> None:
        """WGAN's clipping of the critic's weights."""
        if player == "d" and self.clip is not None:
            clip_weights(self.discriminator, self.clip)

    def fake_is_reused(self) -> bool:
        """Whether the generator's turn of this step uses the discriminator's fakes again."""
        return self.reuse_fake

    def _fake_for_critic(self, batch: Batch) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Fakes, and the generator's inputs. An autograd graph is kept only if the generator reuses them."""
        if not self.fake_is_reused():
            with torch.no_grad():
                return self.fake(batch)
        self._fake_to_reuse = fake, inputs = self.fake(batch)
        return fake.detach(), inputs

    def player_call(
        self,
        critic: Critic,
        batch: Batch,
        real: Tensor,
        fake: Tensor,
        real_answer: Tensor | None,
        fake_answer: Tensor,
        inputs: tuple[Tensor, ...],
    ) -> PlayerCall:
        """What penalties and terms of a turn are computed from; ``critic``'s answers are split."""
        outputs = getattr(self.discriminator, "outputs", 0)
        plain = self.critic(batch, augmented=False)
        if not outputs:
            return PlayerCall(critic, plain, real, fake, real_answer, fake_answer, self.generator, inputs)
        real_logits, real_outputs = (None, None) if real_answer is None else _split(real_answer, outputs)
        fake_logits, fake_outputs = _split(fake_answer, outputs)
        return PlayerCall(
            lambda samples: _split(critic(samples), outputs)[0],
            lambda samples: _split(plain(samples), outputs)[0],
            real,
            fake,
            real_logits,
            fake_logits,
            self.generator,
            inputs,
            real_outputs,
            fake_outputs,
        )


def refuse_unused(nets: dict[str, nn.Module], *, labels: bool, outputs: bool, mask: bool) -> None:
    """Raises UserError for networks that take or give what their game does not use.

    ``labels``: whether it gives them labels; ``outputs``: whether it uses those beside the logit; ``mask``:
    whether it gives the discriminator a mask of holes.
    """
    for name, net in nets.items():
        if getattr(net, "classes", 0) and not labels:
            raise UserError(f"arch.{name}.classes={net.classes}: this game has no labels; game=cgan has")
        if getattr(net, "outputs", 0) and not outputs:
            raise UserError(f"arch.{name}.outputs={net.outputs}: this game has no use for them; game=acgan has")
        if getattr(net, "takes_mask", False) and not mask:
            raise UserError(f"arch.{name}: it takes a mask of holes, which only game=inpaint gives it")


def _split(answer: Tensor, outputs: int) -> tuple[Tensor, Tensor]:
    """The logits and the outputs [N, K] of rows [N, P + K]: logits [N], or [N, P] of several patches."""
    patches = answer.shape[1] - outputs
    return (answer[:, 0] if patches == 1 else answer[:, :patches]), answer[:, patches:]
