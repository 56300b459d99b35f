"""The conditional game: Mirza & Osindero 2014, equation 2.

    min_G max_D  E log D(x | y) + E log(1 - D(G(z | y) | y))

The label is joined to both players' input; fakes have the labels of the real batch. Any loss can be used.
"""

import math
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor

from ganexp.data.batches import Batch
from ganexp.errors import UserError
from ganexp.games.gan import GAN
from ganexp.games.request import Grid, Inputs, Request

_MAX_ROWS = 20


@dataclass(eq=False, repr=False, kw_only=True)
class CGAN(GAN):
    """``generator(z, y)`` against ``discriminator(x, y)``."""

    TAKES_LABELS: ClassVar[tuple[str, ...]] = ("generator", "discriminator")
    """The networks that have to be given labels."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in type(self).TAKES_LABELS:
            if not getattr(self.parts.nets[name], "classes", 1):
                raise UserError(
                    f"{type(self).__name__}: arch.{name} takes no labels: leave its classes as they are, and "
                    f"set arch.{name}.condition=joined, for example"
                )

    def training_inputs(self, batch: Batch) -> tuple[Tensor, ...]:
        return self.latents(batch), batch.y

    def discriminate(self, samples: Tensor, batch: Batch) -> Tensor:
        if not getattr(self.discriminator, "classes", 1):
            return super().discriminate(samples, batch)
        labels = batch.y.repeat(len(samples) // len(batch.y), *[1] * (batch.y.dim() - 1))
        logits: Tensor = self.discriminator(samples, y=labels)
        return logits

    def inputs(self, request: Request, rng: torch.Generator, reference: Batch | None = None) -> Inputs:
        labels = request.label if request.label is not None or reference is None else reference.y
        if labels is None:
            raise ValueError("a conditional generator needs labels: ask for them, or give a reference")
        if labels.dim() == 1 and int(labels.max()) >= self.generator.classes:
            largest = self.generator.classes - 1
            raise UserError(f"label={int(labels.max())}: this run's labels are 0 to {largest}")
        z, *_ = super().inputs(replace(request, label=None), rng).args
        return Inputs((z, labels), labels=labels)

    def condition_pairs(self, count: int, rng: torch.Generator) -> dict[str, Inputs]:
        classes = self.generator.classes
        if classes < 2:
            return {}
        first = torch.randint(classes, (count,), generator=rng)
        second = (first + torch.randint(1, classes, (count,), generator=rng)) % classes
        labels = torch.stack([first, second], 1).flatten()
        return {"label": self.inputs(Request(2 * count, labels, shared=2), rng)}

    def preview_count(self, count: int) -> int:
        rows = min(self.generator.classes, _MAX_ROWS)
        return rows * math.ceil(count / rows)

    def grid(self, request: Request) -> Grid:
        """One row per class, as many columns as needed; if the request has labels, these are kept."""
        rows = min(self.generator.classes, _MAX_ROWS)
        columns = request.columns or math.ceil(request.count / rows)
        if request.label is None:
            request = replace(request, label=torch.arange(request.count) // columns)
        return Grid(request, columns)
