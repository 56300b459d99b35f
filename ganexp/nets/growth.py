r"""Growing networks: Karras et al. 2018, section 2.

A growing network starts with its layers for small images. Each further level adds those for twice the side. A
new level is faded in: its output is mixed with that of the level below, and its share rises linearly to 1.

    images              level 0    stable
    from  stable        level 1    fading: share = (images - stable) / fade
    from  stable + fade level 1    stable
    from  2 stable + fade          level 2, fading ...

A network has one submodule ``Growth`` and asks it for its ``stage``. Whatever the game, ``Game.begin_step``
lets the networks of its players grow: no game needs to know of levels.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional


class Stage(NamedTuple):
    """What Python has to know to choose a network's layers."""

    level: int
    """0 for the smallest images; each level doubles the side."""
    fading: bool
    """Whether the level below is mixed in."""


class Growth(nn.Module):
    """The level of a network, and the share of that level's output, as buffers.

    So checkpoints and the averaged generator have them. In training, Python keeps a copy, because reading a
    buffer would wait for the device; loading a checkpoint sets it. In evaluation mode the buffers are read: the
    averaged generator receives them at every step without Python's knowledge.

    ``levels``: how many there are. ``fade``, ``stable``: images over which a level is faded in, and trained
    after that. With 0 of both, a network starts at its last level.
    """

    level: Tensor
    share: Tensor

    def __init__(self, levels: int, fade: int, stable: int) -> None:
        super().__init__()
        self.levels, self.fade, self.stable = levels, fade, stable
        self.register_buffer("level", torch.tensor(0))
        self.register_buffer("share", torch.tensor(1.0))
        self._stage = Stage(0, False)
        self._share: float | None = None
        self.register_load_state_dict_post_hook(_read_stage)  # type: ignore[no-untyped-call]

    def schedule(self, images: int) -> tuple[int, float]:
        """The level, and the share of its output, after so many images."""
        position, period = images + self.fade, self.fade + self.stable  # as if level 0 had been faded in before
        level = min(position // period, self.levels - 1) if period else self.levels - 1
        since = position - level * period
        return level, 1.0 if level == 0 or since >= self.fade else since / self.fade

    def grow(self, images: int) -> bool:
        """Sets the level and its share for a step that begins after so many images; returns whether the level
        changed.
        """
        level, share = self.schedule(images)
        changed = level != self._stage.level
        if changed or share != self._share:
            self.level.fill_(level)
            self.share.fill_(share)
            self._stage, self._share = Stage(level, share < 1), share
        return changed

    @property
    def stage(self) -> Stage:
        return self._stage if self.training else self._stored()

    def mix(self, below: Tensor, above: Tensor) -> Tensor:
        """Both, by the share of ``above``: exactly ``below`` at 0, exactly ``above`` at 1."""
        return torch.lerp(below, above, self.share.to(above.dtype))

    def fade_details(self, x: Tensor) -> Tensor:
        """Samples [N, C, H, W] with as much of the newest level's details as a generator of this stage gives.

        ``x`` itself if no level is being faded in: the discriminator averages all finer details away.
        """
        level, fading = self.stage
        if not fading:
            return x
        coarse = 2 ** (self.levels - level)  # the side, in pixels of x, of a pixel of the level below
        blocks = functional.avg_pool2d(x, coarse)
        return self.mix(functional.interpolate(blocks, scale_factor=coarse), x)

    def _stored(self) -> Stage:
        return Stage(int(self.level), bool(self.share < 1))


def _read_stage(growth: nn.Module, _: Any) -> None:
    assert isinstance(growth, Growth)
    growth._stage, growth._share = growth._stored(), None


def growths(net: nn.Module) -> list[Growth]:
    """Those of a network and of the networks that it is made of; empty if none grows."""
    return [module for module in net.modules() if isinstance(module, Growth)]
