"""SAGAN (Zhang et al. 2019): SNGAN's residual networks with self-attention, and spectral norms in both players.

For 128 x 128 pixels, with the widths of the authors' program:

    generator                                      discriminator
    linear           1024 x   4 x   4              first block, halved      64 x 64 x 64
    block, doubled   1024 x   8 x   8              block, halved           128 x 32 x 32
    block, doubled    512 x  16 x  16              attention               128 x 32 x 32
    block, doubled    256 x  32 x  32              block, halved           256 x 16 x 16
    attention         256 x  32 x  32              block, halved           512 x  8 x  8
    block, doubled    128 x  64 x  64              block, halved          1024 x  4 x  4
    block, doubled     64 x 128 x 128              block                  1024 x  4 x  4
    norm, ReLU, conv 3, tanh                       ReLU, sum over positions, linear

The blocks are those of ``resnet.py``; see ``attention.py`` for attention. Labels enter the generator by a gain
and a bias of each block's norms, which have no spectral norm, and the discriminator by a projection, whose V
has one (Miyato & Koyama 2018). The generator's last norm is the same for all classes.
"""

from typing import ClassVar, Literal

from torch import nn

from ganexp.config.ranges import (
    Count,
    CriticCondition,
    GeneratorCondition,
    ImageNorm,
    Initialisation,
    Shape,
    Whole,
)
from ganexp.nets import resnet
from ganexp.nets.attention import with_attention
from ganexp.nets.conditional_norm import ConditionalSequential, label_layers
from ganexp.nets.initialise import initialise, initialise_generator, normalise_spectrally
from ganexp.nets.layers import IMAGE_NORMS
from ganexp.nets.residual_blocks import SMALLEST, generator_channels


class Generator(resnet.Generator):
    """Latents [N, latent] and, if ``classes``, labels to images [N, C, H, W] in [-1, 1].

    ``attention``: the side of the maps behind which attention stands; 0: none. ``spectral``: every weight is
    divided by its largest singular value, but those of the gains and biases of labels. The widths are those of
    ``arch=resnet``.
    """

    ARCH: ClassVar[str] = "sagan"

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
        attention: Whole,
        initialisation: Initialisation,
        spectral: bool,
    ) -> None:
        super().__init__(shape, latent, classes, condition, width, max_width, norm, upsample)
        channels = generator_channels(self.ARCH, shape, width, max_width)[1:]
        sides = [2 * SMALLEST << level for level in range(len(channels))]
        self.blocks = nn.ModuleList(with_attention("generator", list(self.blocks), channels, sides, attention))
        self.last = ConditionalSequential(IMAGE_NORMS[norm](channels[-1]), nn.ReLU())
        by_label = label_layers(self)
        initialise_generator(self, self.to_image, initialisation, apart_from=by_label)
        if spectral:
            normalise_spectrally(self, apart_from=by_label)


class Discriminator(resnet.Discriminator):
    """Images [N, C, H, W] and, if ``classes``, labels to logits [N], or [N, 1 + outputs].

    ``attention``: the side of the maps behind which attention stands; 0: none. The other settings are those of
    ``arch=resnet``; with ``hidden=output``, as here, BigGAN calls the discriminator wide.
    """

    ARCH: ClassVar[str] = "sagan"

    def __init__(
        self,
        shape: Shape,
        classes: Whole,
        condition: CriticCondition,
        outputs: Whole,
        width: Count,
        max_width: Count,
        halvings: Count,
        plain: Whole,
        hidden: Literal["input", "output"],
        pooling: Literal["sum", "mean"],
        attention: Whole,
        initialisation: Initialisation,
        spectral: bool,
    ) -> None:
        super().__init__(
            shape,
            classes,
            condition,
            outputs,
            width,
            max_width,
            halvings,
            plain,
            hidden,
            pooling,
            spectral=False,  # initial weights first
        )
        *blocks, relu = self.blocks
        levels = [min(level, halvings) for level in range(1, len(blocks) + 1)]
        channels = [min(width * 2 ** (level - 1), max_width) for level in levels]
        sides = [shape[1] >> level for level in levels]
        self.blocks = nn.Sequential(*with_attention("discriminator", blocks, channels, sides, attention), relu)
        initialise(self, initialisation)
        if spectral:
            normalise_spectrally(self)
