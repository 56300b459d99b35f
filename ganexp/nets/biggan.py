"""BigGAN (Brock et al. 2019, appendix B): SAGAN's networks, a hierarchical z and a shared embedding of labels.

For 128 x 128 pixels, with ch = 96 and a z of 120 numbers, which is cut into 6 parts:

    generator                                           discriminator
    linear of z_0     16 ch x   4 x   4                 first block, halved      ch x 64 x 64
    block (z_1, y)    16 ch x   8 x   8                 attention                ch x 64 x 64
    block (z_2, y)     8 ch x  16 x  16                 block, halved          2 ch x 32 x 32
    block (z_3, y)     4 ch x  32 x  32                 block, halved          4 ch x 16 x 16
    block (z_4, y)     2 ch x  64 x  64                 block, halved          8 ch x  8 x  8
    attention          2 ch x  64 x  64                 block, halved         16 ch x  4 x  4
    block (z_5, y)       ch x 128 x 128                 block                 16 ch x  4 x  4
    norm, ReLU, conv 3, tanh                            ReLU, sum over positions, linear + projection of y

A block's norms have gain = 1 + W_g e and bias = W_b e with e = [embedding(y), z_i]: the embedding is one for
all blocks, and each norm has its own W. Every weight of both players has a spectral norm, apart from the
embedding, as in the author's program. Initial weights are orthogonal.
"""

from collections.abc import Iterator
from itertools import pairwise
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from ganexp.config.ranges import Count, GeneratorCondition, ImageNorm, Initialisation, Shape, Whole
from ganexp.errors import UserError
from ganexp.nets import sagan
from ganexp.nets.attention import SelfAttention, with_attention
from ganexp.nets.conditional_norm import label_layers
from ganexp.nets.initialise import initialise_generator, normalise_spectrally
from ganexp.nets.layers import IMAGE_NORMS, GeneratorBase, label_vectors
from ganexp.nets.residual_blocks import SMALLEST, GeneratorBlock, generator_channels


class Generator(GeneratorBase):
    """Latents [N, latent] and, if ``classes``, labels to images [N, C, H, W] in [-1, 1].

    ``hierarchical``: z is cut into equal parts, one for the linear layer and one for each block's norms.
    ``shared``: the dimensions of the embedding of labels; with 0 each norm has a gain and a bias for each
    class. Several attributes add their embeddings up. ``condition=joined``: the embedding is joined to the part
    of z of the linear layer, and does not reach the norms. Without labels, z alone does. The widths and
    ``attention`` are those of ``arch=sagan``.
    """

    def __init__(
        self,
        shape: Shape,
        latent: Count,
        classes: Whole,
        condition: GeneratorCondition,
        width: Count,
        max_width: Count,
        norm: ImageNorm,
        upsample: Literal["nearest", "bilinear"],
        shared: Whole,
        hierarchical: bool,
        attention: Whole,
        initialisation: Initialisation,
        spectral: bool,
    ) -> None:
        super().__init__()
        self.latent, self.classes, self.hierarchical = latent, classes, hierarchical
        channels = generator_channels("biggan", shape, width, max_width)
        self.part = _part_of_z(latent, len(channels)) if hierarchical else latent
        self.joined = condition == "joined"
        shared = shared if classes else 0
        self.embedding = nn.Linear(classes, shared, bias=False) if shared else nn.Identity()
        label = shared or classes
        of_norms = (0 if self.joined else label) + (self.part if hierarchical else 0)
        if norm == "none" and of_norms:
            raise UserError(
                "arch.generator.norm=none: z or labels enter by the norms; choose norm=batch, or "
                "hierarchical=false with condition=joined"
            )
        self.first = nn.Linear(self.part + (label if self.joined else 0), channels[0] * SMALLEST**2)
        blocks = [
            GeneratorBlock(before, after, norm, upsample, of_norms) for before, after in pairwise(channels)
        ]
        sides = [2 * SMALLEST << level for level in range(len(blocks))]
        self.blocks = nn.ModuleList(with_attention("generator", blocks, channels[1:], sides, attention))
        self.last = nn.Sequential(IMAGE_NORMS[norm](channels[-1]), nn.ReLU())
        self.to_image = nn.Conv2d(channels[-1], shape[0], 3, padding=1)
        initialise_generator(self, self.to_image, initialisation)
        if spectral:
            rows_of_classes = [] if shared or hierarchical else label_layers(self)
            normalise_spectrally(self, apart_from=[self.embedding, *rows_of_classes])

    def forward(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        nothing = z[:, :0]
        label = self.embedding(label_vectors(y, self.classes)) if self.classes else nothing
        to_first, to_norms = (label, nothing) if self.joined else (nothing, label)
        parts = iter(z.split(self.part, 1))
        maps = self.first(torch.cat([next(parts), to_first], 1)).unflatten(1, (-1, SMALLEST, SMALLEST))
        for block in self.blocks:
            maps = block(maps) if isinstance(block, SelfAttention) else block(maps, _joined(to_norms, parts))
        images: Tensor = self.to_image(self.last(maps)).tanh()
        return images


class Discriminator(sagan.Discriminator):
    """SAGAN's, whose widths, place of attention and initial weights are settings."""

    ARCH: ClassVar[str] = "biggan"


def _joined(label: Tensor, parts: Iterator[Tensor]) -> Tensor:
    """What a block's norms are given: [N, D]; the label alone if no part of z is left."""
    part = next(parts, None)
    return label if part is None else torch.cat([label, part], 1)


def _part_of_z(latent: int, parts: int) -> int:
    """The dimensions of each of equal parts. Raises UserError where z cannot be cut so."""
    if latent % parts:
        raise UserError(
            f"arch.generator.latent={latent}: hierarchical=true cuts z into {parts} equal parts for this "
            f"resolution; choose a multiple of {parts}, such as {max(1, round(latent / parts)) * parts}"
        )
    return latent // parts
