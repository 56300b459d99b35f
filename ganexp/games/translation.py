"""What every game shares that makes images from images: a source in, an image out.

``degrade`` says what sources are. What it knows of the target, such as the lightness of a grey image or
everything outside of a hole, is exact in the output (``Restored``).

A game with ``UNPAIRED`` is trained on sources and images that do not belong together: sources A and images B,
drawn in two independent orders. Where ``degrade`` makes sources of images, they are made of other images than
the batch's. To look at it, each image's own source is taken, so that its target is known and PSNR and SSIM say
how good an unpaired game is; where the data's own domains are unpaired there is no target.
"""

from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor, nn

from ganexp.data.batches import Batch
from ganexp.data.degradations.degradation import Degradation
from ganexp.errors import UserError
from ganexp.games.game import Game
from ganexp.games.request import Baseline, Grid, Inputs, Request

_SHOWN = 24
"""Samples of a preview, each between its source and its target."""

_COLUMNS = 4

_AT_ONCE = 100
"""Images of an evaluation that are degraded together: free-form strokes need many times an image's memory."""


class Restored(nn.Module):
    """A network and the degradation that makes images of its outputs: sources [N, ...] to [N, C, H, W].

    ``labels``: what else the network is given, if it takes any.
    """

    def __init__(self, net: nn.Module, degrade: Degradation) -> None:
        super().__init__()
        self.net = net
        self.degrade = degrade

    @property
    def classes(self) -> int:
        """The classes or attributes of the labels that the network takes; 0 if it takes none."""
        return int(getattr(self.net, "classes", 0))

    def forward(self, source: Tensor, *labels: Tensor) -> Tensor:
        return self.degrade.restore(self.net(source, *labels), source)


@dataclass(eq=False, repr=False, kw_only=True)
class Translation(Game):
    """A game whose generator is given sources; ``generator`` is that of the node of ``arch``, restored."""

    USES_DEGRADE: ClassVar[bool] = True
    needs_reference: ClassVar[bool] = True

    generator: Restored = field(init=False)

    def __post_init__(self) -> None:
        assert self.parts.degrade is not None, "the configuration is checked (USES_DEGRADE)"
        super().__post_init__()
        self.degrade = self.parts.degrade
        self.generator = Restored(self.parts.nets["generator"], self.degrade)

    def translator(self, direction: str | None) -> Restored:
        """The generator that ``ganexp translate`` applies; ``direction`` is one of ``directions``, if any."""
        return self.generator

    def chosen_translator(self, direction: str | None) -> Restored:
        """``translator`` for a direction that a user typed. Raises UserError where it is missing or unknown."""
        if not self.directions and direction is not None:
            raise UserError(f"direction={direction}: this run has one direction, from {self.degrade.about}")
        if self.directions and direction not in self.directions:
            told = (
                "direction is missing"
                if direction is None
                else f"direction={direction}: this run has none such"
            )
            raise UserError(f"{told}: set direction={' or '.join(self.directions)}")
        return self.translator(direction)

    def with_source(self, batch: Batch) -> Batch:
        """A batch of the loader with sources in ``source``, and in ``x`` what outputs should look like.

        They belong together unless the game is ``UNPAIRED``.
        """
        if self.UNPAIRED and not self.degrade.USES_SOURCES:
            assert batch.source is not None, "an unpaired game is given other images to make sources of"
            source, _ = self.degrade.pair(batch.source, None)
            _, target = self.degrade.pair(batch.x, None)
        else:
            source, target = self.degrade.pair(batch.x, batch.source)
        return batch._replace(x=target, source=source)

    def inputs(self, request: Request, rng: torch.Generator, reference: Batch | None = None) -> Inputs:
        if request.label is not None or request.codes:
            asked = "label" if request.label is not None else "code"
            raise UserError(f"{asked}: this run makes images from images, and knows none")
        return self.reference_inputs(rng, reference)

    def reference_inputs(self, rng: torch.Generator, reference: Batch | None) -> Inputs:
        """Sources of real samples, and their targets where these are known."""
        assert reference is not None
        given = [part for part in (reference.x, reference.source) if part is not None]
        made = []
        for x, *sources in zip(*(part.split(_AT_ONCE) for part in given), strict=True):
            pair = self.degrade.pair(x, sources[0] if sources else None, rng)
            made.append((pair.source, self.degrade.shown(pair.source), pair.target))
        source, shown, target = (torch.cat(parts) for parts in zip(*made, strict=True))
        return Inputs((source,), source=shown, target=target if self.degrade.PAIRED else None)

    def baseline(self, inputs: Inputs) -> Baseline | None:
        if not self.degrade.BASELINE:
            return None
        parts = [self.degrade.baseline(sources) for sources in inputs.args[0].split(_AT_ONCE)]
        return Baseline(self.degrade.BASELINE, torch.cat(parts))

    def preview_count(self, count: int) -> int:
        return min(count, _SHOWN)

    def grid(self, request: Request) -> Grid:
        return Grid(request, request.columns or min(_COLUMNS, request.count))
