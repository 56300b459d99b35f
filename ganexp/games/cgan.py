"""The conditional game: Mirza & Osindero 2014, equation 2.

    min_G max_D  E log D(x | y) + E log(1 - D(G(z | y) | y))

The label is joined to both players' input; fakes have the labels of the real batch. Any loss can be used.
"""

import math
from dataclasses import dataclass, replace
from itertools import product
from typing import ClassVar

import torch
from torch import Tensor

from ganexp.data.batches import Batch
from ganexp.errors import UserError
from ganexp.games.gan import GAN
from ganexp.games.labels import checked_labels, each_attribute_alone
from ganexp.games.request import MAX_ROWS, Grid, Inputs, Request


@dataclass(eq=False, repr=False, kw_only=True)
class CGAN(GAN):
    """``generator(z, y)`` against ``discriminator(x, y)``."""

    USES_LABELS: ClassVar[bool] = True

    TAKES_LABELS: ClassVar[tuple[str, ...]] = ("generator", "discriminator")
    """The networks that have to be given labels."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.parts.label_kind == "classes" and self.generator.classes == 1:
            raise UserError(
                f"{type(self).__name__} needs labels, and this data has one class only: set data.attribute, or "
                "take a data set with classes"
            )
        for name in type(self).TAKES_LABELS:
            if not getattr(self.parts.nets[name], "classes", 1):
                raise UserError(
                    f"{type(self).__name__}: arch.{name} takes no labels: leave its classes as they are, and "
                    f"set arch.{name}.condition=projection; with start_from, the other run needs them too"
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
        labels = checked_labels(labels, self.generator.classes, self.parts.label_kind)
        z, *_ = super().inputs(replace(request, label=None), rng).args
        return Inputs((z, labels), labels=labels)

    def condition_pairs(
        self, count: int, rng: torch.Generator, reference: Batch | None = None
    ) -> dict[str, Inputs]:
        classes = self.generator.classes
        if self.parts.label_kind == "classes":
            labels = {"label": torch.randint(classes, (2 * count,), generator=rng)}
        else:
            others = torch.randint(2, (count, classes), generator=rng).repeat_interleave(2, 0)
            labels = each_attribute_alone(torch.randint(2, (2 * count, 1), generator=rng), others)
        return {name: self.inputs(Request(2 * count, label, shared=2), rng) for name, label in labels.items()}

    def preview_count(self, count: int) -> int:
        rows = len(self._label_of_each_row())
        return rows * math.ceil(count / rows)

    def grid(self, request: Request) -> Grid:
        """One row per class, or per combination of attributes, as many columns as needed.

        If the request has labels, these are kept.
        """
        each = self._label_of_each_row()
        columns = request.columns or math.ceil(request.count / len(each))
        if request.label is None:
            rows = torch.arange(request.count) // columns
            request = replace(request, label=each[rows % len(each)])
        return Grid(request, columns)

    def _label_of_each_row(self) -> Tensor:
        """The labels of a grid's rows: classes [R]; combinations of attributes, or each alone [R, K]."""
        count = self.generator.classes
        if self.parts.label_kind == "classes":
            return torch.arange(min(count, MAX_ROWS))
        if 2**count <= MAX_ROWS:
            return torch.tensor(list(product((0, 1), repeat=count)))
        return torch.eye(count, dtype=torch.int64)[:MAX_ROWS]
