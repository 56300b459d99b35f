"""The conditional game: Mirza & Osindero 2014, equation 2.

    min_G max_D  E log D(x | y) + E log(1 - D(G(z | y) | y))

The label is joined to both players' input; fakes take the labels of the real batch. Any loss will do.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from ganexp.data.batches import Batch
from ganexp.errors import UserError
from ganexp.games.game import Inputs
from ganexp.games.gan import GAN
from ganexp.penalties import Critic
from ganexp.precision import at_least_float32

_MOST_ROWS = 20


class CGAN(GAN):
    """``generator(z, y)`` against ``discriminator(x, y)``."""

    def check(self) -> None:
        super().check()
        for name, player in self.players.items():
            if not getattr(player.net, "classes", 1):
                raise UserError(f"game=cgan: player {name} takes no labels: leave arch's classes as they are")

    def fake(self, batch: Batch) -> Tensor:
        samples: Tensor = self.generator(self.latents(batch), batch.y)
        return samples

    def critic(self, batch: Batch) -> Critic:
        def critic(samples: Tensor) -> Tensor:
            labels = batch.y.repeat(len(samples) // len(batch.y))
            return at_least_float32(self.discriminator(samples, labels))

        return critic

    def inputs(self, labels: Sequence[int], rng: torch.Generator) -> Inputs:
        (z,) = super().inputs(labels, rng)
        return z, torch.tensor(labels, dtype=torch.int64)

    def preview(self, count: int) -> int:
        rows = min(self.generator.classes, _MOST_ROWS)
        return rows * -(-count // rows)

    def grid_labels(self, count: int) -> tuple[list[int], int]:
        """One row per class, as many columns as that takes."""
        rows = min(self.generator.classes, _MOST_ROWS)
        columns = -(-count // rows)
        return [index // columns for index in range(count)], columns

    def check_label(self, label: int) -> None:
        if label >= self.generator.classes:
            raise UserError(f"label={label}: this run's labels are 0 to {self.generator.classes - 1}")
