"""A growing network: Karras et al. 2018, section 2, from 2 x 2 pixels up to those of the data.

Samples always have the data's size: below it the generator repeats pixels, and the discriminator averages them.
A new level is faded in: its output is mixed with that of the level below.
"""

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from ganexp.config.ranges import Count, Shape
from ganexp.games.game import StepPlan, StepProgress
from ganexp.games.gan import GAN
from ganexp.nets.layers import DiscriminatorBase, GeneratorBase

FIRST = 2  # pixels on a side of level 0


class Growth(nn.Module):
    """The level, and the share of its output, as buffers: so checkpoints and the averaged generator have them.

    Python chooses the layers. In training it knows the level, for to read the buffer would wait for the device;
    a network that is only looked at reads it.
    """

    level: Tensor
    share: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("level", torch.tensor(0))
        self.register_buffer("share", torch.tensor(1.0))
        self.known = 0
        self.register_load_state_dict_post_hook(_know)  # type: ignore[no-untyped-call]

    def set(self, level: int, share: float) -> None:
        self.known = level
        self.level.fill_(level)
        self.share.fill_(share)

    def now(self) -> int:
        return self.known if self.training else int(self.level)


def _know(growth: nn.Module, _: Any) -> None:
    assert isinstance(growth, Growth)
    growth.known = int(growth.level)


def levels(shape: Shape) -> int:
    """How many there are."""
    return int(math.log2(shape[1] // FIRST)) + 1


class Generator(GeneratorBase):
    """Latents [N, latent] to images [N, *shape] in [-1, 1]."""

    def __init__(self, shape: Shape, latent: Count, width: Count) -> None:
        super().__init__()
        self.latent, self.classes, self.side, self.width = latent, 0, shape[1], width
        self.growth = Growth()
        self.first = nn.Linear(latent, width * FIRST**2)
        self.blocks = nn.ModuleList(nn.Conv2d(width, width, 3, padding=1) for _ in range(levels(shape) - 1))
        self.to_image = nn.ModuleList(nn.Conv2d(width, shape[0], 1) for _ in range(levels(shape)))

    def forward(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        level = self.growth.now()
        x = self.first(z).reshape(-1, self.width, FIRST, FIRST)
        for block in self.blocks[: max(0, level - 1)]:
            x = _activated(block, _twice(x))
        image = self.to_image[max(0, level - 1)](x)
        if level:
            x = _activated(self.blocks[level - 1], _twice(x))
            image = _mixed(_twice(image), self.to_image[level](x), self.growth.share)
        return functional.interpolate(image, self.side).tanh()


class Discriminator(DiscriminatorBase):
    """Images [N, *shape] to logits [N]."""

    samplewise = True

    def __init__(self, shape: Shape, width: Count) -> None:
        super().__init__()
        self.classes = 0
        self.growth = Growth()
        self.from_image = nn.ModuleList(nn.Conv2d(shape[0], width, 1) for _ in range(levels(shape)))
        self.blocks = nn.ModuleList(nn.Conv2d(width, width, 3, padding=1) for _ in range(levels(shape) - 1))
        self.out = nn.Linear(width * FIRST**2, 1)

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        level = self.growth.now()
        image = functional.adaptive_avg_pool2d(x, FIRST << level)
        maps = self.from_image[level](image)
        if level:
            maps = functional.avg_pool2d(_activated(self.blocks[level - 1], maps), 2)
            below = self.from_image[level - 1](functional.avg_pool2d(image, 2))
            maps = _mixed(below, maps, self.growth.share)
        for number in range(level - 1, 0, -1):
            maps = functional.avg_pool2d(_activated(self.blocks[number - 1], maps), 2)
        logits: Tensor = self.out(maps.flatten(1)).flatten()
        return logits


def _activated(block: nn.Module, x: Tensor) -> Tensor:
    return functional.leaky_relu(block(x), 0.2)


def _twice(x: Tensor) -> Tensor:
    return functional.interpolate(x, scale_factor=2)


def _mixed(below: Tensor, above: Tensor, share: Tensor) -> Tensor:
    return below + share * (above - below)


@dataclass(eq=False, repr=False, kw_only=True)
class Growing(GAN):
    """Each level but the first is faded in over ``fade`` images, and then trained for ``stable`` more."""

    fade: Count
    stable: Count

    def begin_step(self, progress: StepProgress) -> StepPlan:
        plan = super().begin_step(progress)
        growths = [net.growth for net in (self.generator, self.discriminator) if isinstance(net.growth, Growth)]
        top = len(self.generator.get_submodule("to_image")._modules) - 1
        position = progress.images + self.fade  # as if the first level had been faded in before
        level = min(position // (self.fade + self.stable), top)
        into = position - level * (self.fade + self.stable)
        changed = growths[0].known != level
        for growth in growths:
            growth.set(level, min(1.0, into / self.fade))
        return plan._replace(key=(plan.key, level), reset=tuple(self.players) if changed else ())
