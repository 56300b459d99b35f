r"""Fast style transfer: Johnson, Alahi & Fei-Fei 2016, sections 3.1 and 3.2.

    min_G   content_weight |phi_k(G(x)) - phi_k(x)|^2 / (C_k H_k W_k)
          + style_weight sum_l |A_l(G(x)) - A_l(s)|^2 / C_l^2
          + tv_weight TV(G(x))

    A_l(x)_ij = sum over positions of phi_l(x)_i phi_l(x)_j / (C_l H_l W_l)

x: a photo; s: the style image; phi_l [C_l, H_l, W_l]: the features of level l of a fixed network, k:
``content_level``; A_l: their Gram matrix, which does not know where in the image a texture is; TV: the mean
absolute difference of neighbouring pixels. One network is trained for one style. There is no discriminator and
no adversarial loss: the game is played with ``loss=none``.

The Gram matrices of the style image are buffers, which checkpoints hold: its file is read once, when a run
begins, and is needed neither to resume the run nor to apply its network.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor

from ganexp.config.ranges import Count, FilePaths, NonNegative
from ganexp.data.batches import Batch
from ganexp.data.style_image import read_style_image
from ganexp.errors import UserError
from ganexp.games.game import Player, Turn
from ganexp.games.style_features import StyleFeatures
from ganexp.games.translation import Translation
from ganexp.nets.fixed_convolutions import Levels, gram
from ganexp.system.float32 import at_least_float32


@dataclass(eq=False, repr=False, kw_only=True)
class Style(Translation):
    """``generator(photo)`` in the style of ``image``. Raises UserError for other features."""

    NETS: ClassVar[tuple[str, ...]] = ("generator",)

    USES_LOSS: ClassVar[bool] = False
    NEEDS_TARGET: ClassVar[bool] = False

    image: FilePaths
    """The file of the style image, or several files of one style, whose Gram matrices are averaged."""

    style_size: Count | None
    """The shorter side in pixels that style images are scaled to; None: they keep their size."""

    style_features: Any
    """``StyleFeatures``; ``Any`` because a setting's type is read without importing torch."""

    content_level: Count
    content_weight: NonNegative
    style_weight: NonNegative
    tv_weight: NonNegative

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.style_features, StyleFeatures):
            raise UserError(
                "game.style_features: it does not build StyleFeatures; choose it with style_features="
            )
        channels = self.style_features.channels
        if self.content_level > len(channels):
            raise UserError(
                f"game.content_level={self.content_level}: these features have levels 1 to {len(channels)}"
            )
        for level, width in enumerate(channels):
            self.register_buffer(f"style_gram{level}", torch.zeros(width, width))
        self.network: Levels | None = None
        self.players = {"g": Player(self.generator, self.turn)}

    def prepare_training(self) -> None:
        """Builds the network of the features. Raises UserError where it cannot be had."""
        self.network = self.style_features.network()

    @torch.no_grad()
    def begin_run(self) -> None:
        """Computes the style's Gram matrices. Raises UserError where an image cannot be read."""
        files = [self.image] if isinstance(self.image, str) else list(self.image)
        channels, device = self.style_features.shape[0], self.style_gram(0).device
        smallest = 2 ** (len(self.style_features.channels) - 1)
        found = []
        for file in files:
            pixels = read_style_image("game.image", Path(file), channels, self.style_size, smallest)
            found.append(self.grams(torch.from_numpy(pixels)[None].to(device)))
        for level, matrices in enumerate(zip(*found, strict=True)):
            self.style_gram(level).copy_(torch.cat(matrices).mean(0))

    def style_gram(self, level: int) -> Tensor:
        """The style's Gram matrix [C, C] of a level, numbered from 0."""
        return self.get_buffer(f"style_gram{level}")

    def grams(self, images: Tensor) -> list[Tensor]:
        """The Gram matrices [N, C, C] of each level of images [N, C, H, W] in [-1, 1]."""
        assert self.network is not None, "prepare_training comes before training"
        return [gram(features) for features in self.network.levels(images)]

    def turn(self, batch: Batch) -> Turn:
        """The three terms, and how much is left of the photos' own distance from the style."""
        assert self.network is not None, "prepare_training comes before training"
        photos = self.with_source(batch).source
        assert photos is not None
        output = at_least_float32(self.generator(photos))
        with torch.no_grad():
            wanted = self.network.levels(photos)
            unchanged = self.style_distance(wanted)
        made, level = self.network.levels(output), self.content_level - 1
        style = self.style_distance(made)
        losses = {
            "content": self.content_weight * (made[level] - wanted[level]).square().mean(),
            "style": self.style_weight * style,
            "tv": self.tv_weight * total_variation(output),
        }
        return Turn(losses, {"style_left": style.detach() / unchanged.clamp(min=_TINY)})

    def style_distance(self, levels: list[Tensor]) -> Tensor:
        """The sum over levels of the mean squared difference of Gram matrices from the style's: a scalar."""
        differences = [gram(made) - self.style_gram(level) for level, made in enumerate(levels)]
        return torch.stack([difference.square().mean() for difference in differences]).sum()

    def about(self) -> list[str]:
        files = [self.image] if isinstance(self.image, str) else self.image
        return [f"style: of {', '.join(Path(file).name for file in files)}, by {self.style_features.about}"]


_TINY = 1e-30


def total_variation(images: Tensor) -> Tensor:
    """The mean absolute difference of neighbours, below and beside each other, of images [N, C, H, W]."""
    return images.diff(dim=2).abs().mean() + images.diff(dim=3).abs().mean()
