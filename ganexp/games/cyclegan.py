r"""CycleGAN: Zhu et al. 2017, equations 1 to 3 and section 5.2. Images of B from images of A, and back.

G makes images of B from those of A, F images of A from those of B; a and b do not belong together.

    G and F minimise   w_adv (L_g(D_B(G(a))) + L_g(D_A(F(b))))
                       + w_cycle (|F(G(a)) - a| + |G(F(b)) - b|)
                       + w_cycle w_identity (|G(b) - b| + |F(a) - a|)
    D_B and D_A        L_d(D_B(b), D_B(pool(G(a)))) + L_d(D_A(a), D_A(pool(F(b)))) + penalties of both

with the mean absolute difference |.|. In a step G and F move first, then D_A and D_B, as in the authors'
program; the critics are given the fakes that G and F made before they moved, through a pool of earlier ones
(``image_pool.py``). In a step in which G and F do not move (``n_critic``) new fakes are made.

The network ``generator`` is G, ``generator_back`` F, ``discriminator`` D_B, ``discriminator_back`` D_A. What
belongs to F or D_A is logged with ``_back`` behind its name. ``cycle`` begins with a, ``cycle_back`` with b;
``identity`` is that of G.
"""

from dataclasses import dataclass, field
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from ganexp.config.ranges import Count, NonNegative, Positive, Whole
from ganexp.data.batches import Batch
from ganexp.data.degradations.pairs import Pairs
from ganexp.errors import UserError
from ganexp.games.adversarial import refuse_unused
from ganexp.games.both_directions import BothDirections, RoundTrip, shown_back
from ganexp.games.game import Player, Turn, View
from ganexp.games.image_pool import ImagePool
from ganexp.games.translation import Restored, Translation
from ganexp.games.turns import (
    clip_weights,
    critic_of,
    critic_turn,
    generator_turn,
    real_and_fake_logits,
    real_logits_if_needed,
)
from ganexp.losses import Loss
from ganexp.penalties import PlayerCall


class _Made(NamedTuple):
    """Images of both domains, and what the generators made of those of the other one."""

    a: Tensor
    b: Tensor
    fake_a: Tensor
    fake_b: Tensor


class _Side(NamedTuple):
    """A domain: the generator that makes its images, its critic, and what its terms' names end with."""

    generator: nn.Module
    critic: nn.Module
    pool: ImagePool
    suffix: str


@dataclass(eq=False, repr=False, kw_only=True)
class CycleGAN(Translation):
    """Two generators and two discriminators; see the module's docstring.

    Raises UserError where sources cannot be made from images, or have another shape and identity_weight > 0.
    """

    NETS: ClassVar[tuple[str, ...]] = ("generator", "generator_back", "discriminator", "discriminator_back")
    UNPAIRED: ClassVar[bool] = True
    SMALLEST_BATCH: ClassVar[int] = 1

    cycle_weight: NonNegative
    identity_weight: NonNegative
    adversarial_weight: NonNegative
    pool: Whole
    n_critic: Count
    n_generator: Count
    clip: Positive | None

    generator: BothDirections = field(init=False)
    loss: Loss = field(init=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.parts.loss is None:
            raise UserError("loss=none: this game is adversarial; choose a loss such as loss=lsgan")
        self.loss, nets = self.parts.loss, self.parts.nets
        refuse_unused(nets, labels=False, outputs=False, mask=False)
        shape_a, shape_b = list(self.degrade.source_shape), self.degrade.image_shape
        self._check_domains(shape_a, shape_b)
        del self.generator_back  # it is a part of the generator, which is the averaged module
        back = Restored(nets["generator_back"], Pairs(source_shape=shape_b, output_shape=shape_a))
        self.generator = BothDirections(nets["generator"], self.degrade, back)
        self.image_pool, self.image_pool_back = (ImagePool(self.pool, shape) for shape in (shape_b, shape_a))
        self.directions = ("AtoB", "BtoA")
        both = nn.ModuleDict({"AtoB": nets["generator"], "BtoA": nets["generator_back"]})
        critics = nn.ModuleDict({"A": nets["discriminator_back"], "B": nets["discriminator"]})
        self.players = {
            "g": Player(both, self.generator_turn, every=self.n_critic, times=self.n_generator),
            "d": Player(critics, self.discriminator_turn),
        }
        self._made: _Made | None = None

    def translator(self, direction: str | None) -> Restored:
        return shown_back(self.generator) if direction == "BtoA" else self.generator

    def views(self, generator: nn.Module) -> dict[str, View]:
        assert isinstance(generator, BothDirections)
        return {
            "BtoA": View(shown_back(generator), reconstructs=False),
            "cycle": View(RoundTrip(generator), reconstructs=True),
        }

    def generator_turn(self, batch: Batch) -> Turn:
        """The losses of G and F through the frozen critics; their fakes are kept for the critics' turn."""
        a, b = self.domains(batch)
        fake_b, fake_a = self.generator(a), self.generator.back(b)
        self._made = _Made(a, b, fake_a.detach(), fake_b.detach())
        turn = self._generator_side(self._side_b(), b, fake_b, a) | self._generator_side(
            self._side_a(), a, fake_a, b
        )
        return turn | Turn(self.content(_Made(a, b, fake_a, fake_b)), {})

    def discriminator_turn(self, batch: Batch) -> Turn:
        """The losses of both critics; no gradient reaches G and F."""
        a, b, fake_a, fake_b = self._made or self._make(batch)
        self._made = None
        return self._critic_side(self._side_b(), b, fake_b, a) | self._critic_side(self._side_a(), a, fake_a, b)

    def content(self, made: _Made) -> dict[str, Tensor]:
        """The generators' losses besides the adversarial ones, by name."""
        forth, back = self.generator, self.generator.back
        losses = {
            "cycle": self.cycle_weight * _difference(back(made.fake_b), made.a),
            "cycle_back": self.cycle_weight * _difference(forth(made.fake_a), made.b),
        }
        if self.identity_weight:
            weight = self.cycle_weight * self.identity_weight
            losses["identity"] = weight * _difference(forth(made.b), made.b)
            losses["identity_back"] = weight * _difference(back(made.a), made.a)
        return losses

    def domains(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Images of A and of B, of a batch of the loader."""
        batch = self.with_source(batch)
        assert batch.source is not None
        return batch.source, batch.x

    def after_step(self, player: str) -> None:
        """WGAN's clipping of the critics' weights."""
        if player == "d" and self.clip is not None:
            clip_weights(self.players["d"].net, self.clip)

    @torch.no_grad()
    def _make(self, batch: Batch) -> _Made:
        a, b = self.domains(batch)
        return _Made(a, b, self.generator.back(b), self.generator(a))

    def _side_a(self) -> _Side:
        return _Side(self.generator.back, self.parts.nets["discriminator_back"], self.image_pool_back, "_back")

    def _side_b(self) -> _Side:
        return _Side(self.generator, self.parts.nets["discriminator"], self.image_pool, "")

    def _generator_side(self, side: _Side, real: Tensor, fake: Tensor, source: Tensor) -> Turn:
        critic = critic_of(side.critic, self.augment)
        real_logits, fake_logits = real_logits_if_needed(self.loss, critic, real), critic(fake)
        call = PlayerCall(
            critic,
            critic_of(side.critic, None),
            real,
            fake,
            real_logits,
            fake_logits,
            side.generator,
            (source,),
        )
        losses, logs = generator_turn(self.loss, self.penalties_of("g"), call)
        losses["adversarial"] = self.adversarial_weight * losses["adversarial"]
        return _with_suffix(Turn(losses, logs), side.suffix)

    def _critic_side(self, side: _Side, real: Tensor, fake: Tensor, source: Tensor) -> Turn:
        critic, fake = critic_of(side.critic, self.augment), side.pool(fake)
        samplewise = getattr(side.critic, "samplewise", False)
        call = PlayerCall(
            critic,
            critic_of(side.critic, None),
            real,
            fake,
            *real_and_fake_logits(critic, real, fake, samplewise=samplewise),
            side.generator,
            (source,),
        )
        turn = critic_turn(self.loss, self.penalties_of("d"), call, self.augment)
        return _with_suffix(turn, side.suffix)

    def _check_domains(self, shape_a: list[int], shape_b: list[int]) -> None:
        if not self.degrade.SOURCES_ARE_IMAGES:
            raise UserError(
                f"{self.degrade.about} cannot be made from images, as game=cyclegan does: choose another "
                "degrade, or game=inpaint or pix2pix"
            )
        if self.identity_weight and shape_a != shape_b:
            raise UserError(
                f"game.identity_weight={self.identity_weight:g}: sources have the shape {shape_a} and images "
                f"{shape_b}, so that a generator cannot be given its own domain: set game.identity_weight=0"
            )


def _difference(one: Tensor, other: Tensor) -> Tensor:
    return (one - other).abs().mean()


def _with_suffix(turn: Turn, suffix: str) -> Turn:
    losses, logs = ({f"{name}{suffix}": value for name, value in part.items()} for part in turn)
    return Turn(losses, logs)
