"""What the games with an adversary share that make images from images: a source in, an image out.

    the generator minimises   w L_g(D(G(s), s)) + its content terms of G(s) and the target x
    the discriminator         L_d(D(x, s), D(G(s), s)) + penalties

A run begins with ``pretrain_steps`` of the generator alone, by its content terms, and ``critic_steps`` of the
discriminator alone; then both play. With ``loss=none`` there is no discriminator to play.
"""

from dataclasses import dataclass, field
from typing import ClassVar, Literal

from torch import Tensor

from ganexp.config.ranges import NonNegative, Whole
from ganexp.data.batches import Batch
from ganexp.games.adversarial import AdversarialGame
from ganexp.games.game import StepPlan, StepProgress, Turn
from ganexp.games.translation import Restored, Translation
from ganexp.games.turns import generator_turn

Phase = Literal["generator", "critic", "both"]


@dataclass(eq=False, repr=False, kw_only=True)
class ImageToImage(Translation, AdversarialGame):
    """``generator(source)`` against a discriminator; a subclass says what the content terms are."""

    NEEDS_LOSS: ClassVar[bool] = False

    adversarial_weight: NonNegative
    pretrain_steps: Whole
    critic_steps: Whole

    generator: Restored = field(init=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        self._phase: Phase = "generator" if self.parts.loss is None else "both"
        self._batch_to_reuse: Batch | None = None

    def begin_step(self, progress: StepProgress) -> StepPlan:
        plan = super().begin_step(progress)
        self._phase = self._phase_of(progress.step)
        players = {"generator": ("g",), "critic": ("d",), "both": plan.players}[self._phase]
        return StepPlan((self._phase, plan.key), players, plan.reset)

    def discriminator_turn(self, batch: Batch) -> Turn:
        batch = self.with_source(batch)
        if self.fake_is_reused():
            self._batch_to_reuse = batch
        return super().discriminator_turn(batch)

    def generator_turn(self, batch: Batch) -> Turn:
        """The content terms and, when both play, the adversarial loss."""
        batch, self._batch_to_reuse = self._batch_to_reuse or self.with_source(batch), None
        if self._phase == "generator":
            fake, _ = self.fake(batch)
            return Turn(self.content(fake, batch), {})
        call = self.generator_call(batch)
        losses, logs = generator_turn(self.loss, self.penalties_of("g"), call)
        losses["adversarial"] = self.adversarial_weight * losses["adversarial"]
        return Turn(losses | self.content(call.fake, batch), logs)

    def fake_is_reused(self) -> bool:
        """Not while the discriminator is alone: no turn of the generator would follow and free the graph."""
        return self.reuse_fake and self._phase == "both"

    def content(self, fake: Tensor, batch: Batch) -> dict[str, Tensor]:
        """The generator's losses besides the adversarial one, by name; ``batch.x`` holds the targets."""
        raise NotImplementedError

    def training_inputs(self, batch: Batch) -> tuple[Tensor, ...]:
        assert batch.source is not None
        return (batch.source,)

    def _phase_of(self, step: int) -> Phase:
        if self.parts.loss is None or step < self.pretrain_steps:
            return "generator"
        return "critic" if step < self.pretrain_steps + self.critic_steps else "both"
