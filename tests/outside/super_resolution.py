"""A game whose generator takes images of another scale: Ledig et al. 2017, SRGAN, with a critic of patches.

    min_G max_D  E log D(x) + E log(1 - D(G(s))) + pixel E |x - G(s)|

Its data are pairs: each image, and the means of its blocks of 2 x 2 pixels.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn.functional import interpolate

from ganexp.config.ranges import Count, NonNegative, Shape
from ganexp.data.arrays import Arrays
from ganexp.data.batches import Batch
from ganexp.data.images import ImageArrays
from ganexp.errors import UserError
from ganexp.games.game import Game, Player, Turn
from ganexp.games.request import Inputs, Request
from ganexp.games.turns import critic_turn, generator_turn, real_and_fake_logits, real_logits_if_needed
from ganexp.losses import Loss
from ganexp.nets.layers import DiscriminatorBase
from ganexp.penalties import PlayerCall
from ganexp.system.float32 import at_least_float32


@dataclass(eq=False, repr=False, kw_only=True)
class SuperResolution(Game):
    """``generator(source)`` against ``discriminator(x)``."""

    NETS: ClassVar[tuple[str, ...]] = ("generator", "discriminator")
    needs_reference: ClassVar[bool] = True

    pixel: NonNegative

    discriminator: DiscriminatorBase = field(init=False)
    loss: Loss = field(init=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.parts.loss is None:
            raise UserError("loss=none: this game is adversarial; choose a loss such as loss=gan")
        self.loss = self.parts.loss
        self.players = {
            "d": Player(self.discriminator, self.discriminator_turn),
            "g": Player(self.generator, self.generator_turn),
        }

    def discriminator_turn(self, batch: Batch) -> Turn:
        with torch.no_grad():
            fake = self.generator(batch.source)
        real_logits, fake_logits = real_and_fake_logits(self.critic, batch.x, fake, samplewise=True)
        call = self._call(batch, fake, real_logits, fake_logits)
        return critic_turn(self.loss, self.penalties_of("d"), call, self.augment)

    def generator_turn(self, batch: Batch) -> Turn:
        fake = self.generator(batch.source)
        real_logits = real_logits_if_needed(self.loss, self.critic, batch.x)
        call = self._call(batch, fake, real_logits, self.critic(fake))
        pixel = self.pixel * (fake - batch.x).abs().mean()
        return generator_turn(self.loss, self.penalties_of("g"), call) | Turn({"pixel": pixel}, {})

    def critic(self, samples: Tensor) -> Tensor:
        """Logits [N, h, w] through a new augmentation."""
        return self.plain_critic(*self.augment(samples))

    def plain_critic(self, samples: Tensor) -> Tensor:
        """Logits [N, h, w]."""
        return at_least_float32(self.discriminator(samples))

    def inputs(self, request: Request, rng: torch.Generator, reference: Batch | None = None) -> Inputs:
        if request.label is not None:
            raise UserError("label: this run knows no labels")
        assert reference is not None and reference.source is not None
        return Inputs((reference.source,), source=reference.source, target=reference.x)

    def _call(self, batch: Batch, fake: Tensor, real_logits: Tensor | None, fake_logits: Tensor) -> PlayerCall:
        assert batch.source is not None
        critics = (self.critic, self.plain_critic)
        return PlayerCall(*critics, batch.x, fake, real_logits, fake_logits, self.generator, (batch.source,))


class Generator(nn.Module):
    """Images [N, C, H, W] to [N, C, 2 H, 2 W] in [-1, 1]: what is added to their enlargement is learned."""

    def __init__(self, shape: Shape, width: Count) -> None:
        super().__init__()
        self.first = nn.Conv2d(shape[0], width, 3, padding=1)
        self.last = nn.Conv2d(width, 4 * shape[0], 3, padding=1)

    def forward(self, source: Tensor) -> Tensor:
        added = nn.functional.pixel_shuffle(self.last(self.first(source).relu()), 2)
        return (interpolate(source, scale_factor=2.0) + added).clamp(-1, 1)


class Discriminator(DiscriminatorBase):
    """Images [N, C, H, W] to logits [N, H / 4, W / 4] of patches."""

    samplewise = True
    classes = 0

    def __init__(self, shape: Shape, width: Count) -> None:
        super().__init__()
        self.first = nn.Conv2d(shape[0], width, 4, 2, 1)
        self.head = PatchHead(width, 1, 4, 2, 1)

    def features(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        return nn.functional.leaky_relu(self.first(x), 0.2)


class PatchHead(nn.Conv2d):
    """Feature maps [N, C, H, W] to logits [N, h, w]."""

    def forward(self, features: Tensor, y: Tensor | None = None) -> Tensor:
        return super().forward(features).squeeze(1)


@dataclass(frozen=True, kw_only=True)
class Pairs(ImageArrays):
    """Scikit-learn's digits, enlarged; the sources are of half the resolution."""

    def files(self) -> list[Path]:
        return []

    def read(self) -> Arrays:
        digits = load_digits()
        pixels = torch.from_numpy(digits.images)[:, None] * (255 / 16)
        larger = interpolate(pixels, size=(self.resolution, self.resolution), mode="bilinear")
        samples = larger.round().to(torch.uint8).numpy()
        labels = digits.target.astype(np.int64)
        return Arrays(samples, labels, tuple("0123456789"), sources=halved(samples))


def halved(images: np.ndarray) -> np.ndarray:
    """Images [N, C, H, W] uint8 as the rounded means of their blocks of 2 x 2 pixels."""
    count, channels, height, width = images.shape
    blocks = images.reshape(count, channels, height // 2, 2, width // 2, 2)
    means: np.ndarray = np.rint(blocks.mean((3, 5))).astype(np.uint8)
    return means
