r"""StyleGAN2's generator (Karras et al. 2020, figure 2 and section 4, "input/output skips").

For 32 x 32 pixels and C channels, with base 32768 and max_width 512:

    mapping        z / RMS(z) [, embedded label / RMS]  ->  8 x (linear 512, leaky ReLU 0.2 x sqrt(2))  ->  w

    synthesis      constant               512 x  4 x  4
                   styled conv            512 x  4 x  4     w_0        ToImage w_1     C x  4 x  4
                   styled conv, doubled   512 x  8 x  8     w_1
                   styled conv            512 x  8 x  8     w_2        ToImage w_3     C x  8 x  8
                   ...
                   styled conv            512 x 32 x 32     w_6        ToImage w_7     C x 32 x 32

A level's image is added to that of the level below, which is doubled and filtered; the last sum is the output.
A map of side r has min(base / r, max_width) channels. Weights are equalised; those of the mapping learn at a
hundredth of the rate. There is no tanh: images are not bounded.

**Mixing** (Karras et al. 2019, section 3.1): in training, with probability ``mixing`` for each batch, layers
from a random one on have the w of a second, normal z.
**Truncation** (Karras et al. 2019, appendix B): w' = mean + psi (w - mean). The mean over training is a buffer,
which moves to each batch's mean by 1 - 0.995, over all processes.
"""

from itertools import pairwise
from typing import ClassVar

import torch
from torch import Tensor, nn

from ganexp.config.ranges import Count, Shape, Share, Whole
from ganexp.distributed import collectives
from ganexp.nets.equalised import EqualisedLinear, PixelNorm
from ganexp.nets.layers import GeneratorBase, LeakyReLU, doublings, label_vectors
from ganexp.nets.modulated import GAIN, StyledConv, ToImage
from ganexp.nets.resample import FilteredDouble

_SMALLEST = 4  # the side of the smallest map
_MAPPING_RATE = 0.01
_MEAN_DECAY = 0.995


def channels_of_levels(shape: Shape, base: int, max_width: int) -> list[int]:
    """The channels of the maps of 4, 8, 16 ... pixels up to the image's side.

    Raises UserError for samples that are no square images of 8, 16, 32 ... pixels.
    """
    levels = doublings("stylegan2", shape, _SMALLEST)
    return [max(1, min(base // (_SMALLEST * 2**level), max_width)) for level in range(levels + 1)]


class Mapping(nn.Module):
    """z [N, latent] and, if ``classes``, labels to w [N, style]; with ``latent`` 0, z is None: labels only."""

    def __init__(self, latent: int, classes: int, style: int, layers: int) -> None:
        super().__init__()
        self.classes = classes
        self.norm, self.activation = PixelNorm(), LeakyReLU(0.2)
        self.embedding = EqualisedLinear(classes, style) if classes else None
        sizes = [latent + (style if classes else 0)] + [style] * layers
        self.layers = nn.ModuleList(EqualisedLinear(*pair, rate=_MAPPING_RATE) for pair in pairwise(sizes))

    def forward(self, z: Tensor | None, y: Tensor | None = None) -> Tensor:
        parts = [] if z is None else [self.norm(z)]
        if self.embedding is not None:
            parts.append(self.norm(self.embedding(label_vectors(y, self.classes))))
        w = torch.cat(parts, 1)
        for layer in self.layers:
            w = GAIN * self.activation(layer(w))
        return w


class Synthesis(nn.Module):
    """w of each layer [N, layers, style] to images [N, C, H, W]; ``channels``: of the maps, from 4 x 4 on."""

    def __init__(self, image_channels: int, channels: list[int], style: int) -> None:
        super().__init__()
        self.constant = nn.Parameter(torch.randn(1, channels[0], _SMALLEST, _SMALLEST))
        self.convs = nn.ModuleList([StyledConv(channels[0], channels[0], style, _SMALLEST, doubled=False)])
        for level, (before, after) in enumerate(pairwise(channels), start=1):
            side = _SMALLEST * 2**level
            self.convs.append(StyledConv(before, after, style, side, doubled=True))
            self.convs.append(StyledConv(after, after, style, side, doubled=False))
        self.to_image = nn.ModuleList(ToImage(width, image_channels, style) for width in channels)
        self.enlarge = FilteredDouble()
        self.layers = len(self.convs) + 1
        """How many w it takes: a level's ToImage shares that of the next convolution."""

    def forward(self, styles: Tensor) -> Tensor:
        w = styles.unbind(1)
        maps = self.convs[0](self.constant.expand(styles.shape[0], -1, -1, -1), w[0])
        image: Tensor = self.to_image[0](maps, w[1])
        for level in range(1, len(self.to_image)):
            maps = self.convs[2 * level - 1](maps, w[2 * level - 1])
            maps = self.convs[2 * level](maps, w[2 * level])
            image = self.enlarge(image) + self.to_image[level](maps, w[2 * level + 1])
        return image


class Generator(GeneratorBase):
    """Latents [N, latent] and, if ``classes``, labels to images [N, C, H, W], not bounded.

    ``style``: dimensions of w. ``mapping_layers``: linear layers between z and w.
    """

    TRAITS: ClassVar[tuple[str, ...]] = ("equalised", "demodulated", "styles")

    normalises_latents = True

    style_mean: Tensor

    def __init__(
        self,
        shape: Shape,
        latent: Count,
        classes: Whole,
        style: Count,
        mapping_layers: Count,
        base: Count,
        max_width: Count,
        mixing: Share,
    ) -> None:
        super().__init__()
        self.latent, self.classes, self.mixing = latent, classes, mixing
        self.truncation: float = 1.0
        self.mapping = Mapping(latent, classes, style, mapping_layers)
        self.synthesis = Synthesis(shape[0], channels_of_levels(shape, base, max_width), style)
        self.register_buffer("style_mean", torch.zeros(style))

    def forward(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        images: Tensor = self.synthesis(self.styles(z, y))
        return images

    def styles(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        """w of each layer, [N, layers, style]: mixed in training, truncated if ``truncation`` is not 1."""
        w: Tensor = self.mapping(z, y)
        if self.training:
            self._follow_mean(w)
        if self.truncation != 1:
            w = torch.lerp(self.style_mean.to(w.dtype), w, self.truncation)
        styles = w[:, None].expand(-1, self.synthesis.layers, -1)
        if not (self.training and self.mixing):
            return styles
        other = self.mapping(torch.randn(*z.shape, device=z.device, dtype=z.dtype), y)
        layers = torch.arange(self.synthesis.layers, device=z.device)
        return torch.where((layers < self._first_mixed(z.device))[:, None], styles, other[:, None])

    def _first_mixed(self, device: torch.device) -> Tensor:
        """From which layer on a second z takes over, a scalar; the number of layers if none does."""
        chance, place = torch.rand(2, device=device)
        layers = self.synthesis.layers
        cutoff = 1 + (place * (layers - 1)).floor()
        return torch.where(chance < self.mixing, cutoff, layers)

    @torch.no_grad()
    def _follow_mean(self, w: Tensor) -> None:
        mean = w.detach().to(self.style_mean.dtype).mean(0)
        collectives.all_reduce_mean([mean])
        self.style_mean.lerp_(mean, 1 - _MEAN_DECAY)
