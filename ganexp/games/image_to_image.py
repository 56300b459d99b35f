"""What the games of images from images share: a source in, an image out.

    the generator minimises   w L_g(D(G(s), s)) + its content terms of G(s) and the target x
    the discriminator         L_d(D(x, s), D(G(s), s)) + penalties

``degrade`` makes the source s and the target x of each sample. What it knows of the target, such as the
lightness of a grey image or everything outside of a hole, is exact in G(s).

A run begins with ``pretrain_steps`` of the generator alone, by its content terms, and ``critic_steps`` of the
discriminator alone; then both play. With ``loss=none`` there is no discriminator to play.
"""

from dataclasses import dataclass, field
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from ganexp.config.ranges import NonNegative, Whole
from ganexp.data.batches import Batch
from ganexp.data.degradations.degradation import Degradation
from ganexp.errors import UserError
from ganexp.games.adversarial import AdversarialGame
from ganexp.games.game import StepPlan, StepProgress, Turn
from ganexp.games.request import Baseline, Grid, Inputs, Request
from ganexp.games.turns import generator_turn

Phase = Literal["generator", "critic", "both"]

_SHOWN = 24
"""Samples of a preview, each between its source and its target."""

_COLUMNS = 4

_AT_ONCE = 100
"""Images of an evaluation that are degraded together: free-form strokes need many times an image's memory."""


class Restored(nn.Module):
    """A network and the degradation that makes images of its outputs: sources [N, ...] to [N, C, H, W]."""

    def __init__(self, net: nn.Module, degrade: Degradation) -> None:
        super().__init__()
        self.net = net
        self.degrade = degrade

    def forward(self, source: Tensor) -> Tensor:
        return self.degrade.restore(self.net(source), source)


@dataclass(eq=False, repr=False, kw_only=True)
class ImageToImage(AdversarialGame):
    """``generator(source)`` against a discriminator; a subclass says what the content terms are."""

    NEEDS_LOSS: ClassVar[bool] = False
    USES_DEGRADE: ClassVar[bool] = True
    needs_reference: ClassVar[bool] = True

    adversarial_weight: NonNegative
    pretrain_steps: Whole
    critic_steps: Whole

    generator: Restored = field(init=False)

    def __post_init__(self) -> None:
        assert self.parts.degrade is not None, "the configuration is checked (USES_DEGRADE)"
        super().__post_init__()
        self.degrade = self.parts.degrade
        self.generator = Restored(self.parts.nets["generator"], self.degrade)
        self._phase: Phase = "generator" if self.parts.loss is None else "both"
        self._paired_batch: Batch | None = None

    def translator(self, direction: str | None) -> Restored:
        """The generator that ``ganexp translate`` applies; ``direction`` is one of ``directions``, if any."""
        return self.generator

    def begin_step(self, progress: StepProgress) -> StepPlan:
        plan = super().begin_step(progress)
        self._phase = self._phase_of(progress.step)
        players = {"generator": ("g",), "critic": ("d",), "both": plan.players}[self._phase]
        return StepPlan((self._phase, plan.key), players, plan.reset)

    def discriminator_turn(self, batch: Batch) -> Turn:
        batch = self.paired(batch)
        if self.fake_is_reused():
            self._paired_batch = batch
        return super().discriminator_turn(batch)

    def generator_turn(self, batch: Batch) -> Turn:
        """The content terms and, when both play, the adversarial loss."""
        batch, self._paired_batch = self._paired_batch or self.paired(batch), None
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

    def paired(self, batch: Batch) -> Batch:
        """The batch with targets in ``x`` and sources in ``source``."""
        source, target = self.degrade.pair(batch.x, batch.source)
        return batch._replace(x=target, source=source)

    def training_inputs(self, batch: Batch) -> tuple[Tensor, ...]:
        assert batch.source is not None
        return (batch.source,)

    def inputs(self, request: Request, rng: torch.Generator, reference: Batch | None = None) -> Inputs:
        if request.label is not None or request.codes:
            asked = "label" if request.label is not None else "code"
            raise UserError(f"{asked}: this run makes images from images, and knows none")
        assert reference is not None
        given = [part for part in (reference.x, reference.source) if part is not None]
        made = []
        for x, *sources in zip(*(part.split(_AT_ONCE) for part in given), strict=True):
            pair = self.degrade.pair(x, sources[0] if sources else None, rng)
            made.append((pair.source, self.degrade.shown(pair.source), pair.target))
        source, shown, target = (torch.cat(parts) for parts in zip(*made, strict=True))
        return Inputs((source,), source=shown, target=target)

    def baseline(self, inputs: Inputs) -> Baseline | None:
        if not self.degrade.BASELINE:
            return None
        parts = [self.degrade.baseline(sources) for sources in inputs.args[0].split(_AT_ONCE)]
        return Baseline(self.degrade.BASELINE, torch.cat(parts))

    def preview_count(self, count: int) -> int:
        return min(count, _SHOWN)

    def grid(self, request: Request) -> Grid:
        return Grid(request, request.columns or min(_COLUMNS, request.count))

    def _phase_of(self, step: int) -> Phase:
        if self.parts.loss is None or step < self.pretrain_steps:
            return "generator"
        return "critic" if step < self.pretrain_steps + self.critic_steps else "both"
