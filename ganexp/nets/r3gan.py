r"""R3GAN: Huang et al. 2024, "The GAN is dead; long live the GAN! A Modern GAN Baseline", sections 3 and 4.

For 32 x 32 pixels, with the authors' widths for CIFAR-10 (768 everywhere, 96 groups):

    generator                                  discriminator
    basis * linear(z)    768 x  4 x  4         conv 1               768 x 32 x 32
    2 blocks             768 x  4 x  4         2 blocks, halved     768 x 16 x 16
    doubled, 2 blocks    768 x  8 x  8         2 blocks, halved     768 x  8 x  8
    doubled, 2 blocks    768 x 16 x 16         2 blocks, halved     768 x  4 x  4
    doubled, 2 blocks    768 x 32 x 32         2 blocks             768 x  4 x  4
    conv 1                                     depth-wise conv 4, linear

    a block   x + [conv 1 to 2C, bias, leaky ReLU 0.2, grouped conv 3, bias, leaky ReLU 0.2, conv 1 to C](x)

Doubling and halving use the filter [1, 3, 3, 1] (``resample.py``). Where two stages differ in channels, a
convolution of kernel 1 stands at the smaller map: before doubling, after halving. The basis is one learned
4 x 4 map for each channel. No layer normalises, and the biases before the activations are the only ones.

Weights start from N(0, gain^2 / fan-in) with gain 1; those of a block with gain sqrt(2 / 1.04) L^(-1/4) (Zhang
et al. 2019, Fixup), where L is the number of blocks of the network, and its last convolution at 0. So each
block starts as the identity. Images are not limited to [-1, 1]: the last layer is linear.

A label enters the generator as an embedding that is joined to z. The conditional discriminator's logit is
<h(x), V y> (Miyato & Koyama 2018, equation 8, without its unconditional term): V starts with gain
1 / sqrt(dimensions of h).
"""

from itertools import pairwise
from typing import Literal, TypeVar

import torch
from torch import Tensor, nn

from ganexp.config.ranges import Count, CriticCondition, Shape, Whole, Widths
from ganexp.errors import UserError
from ganexp.nets.grouped import GroupedConv, PointwiseConv
from ganexp.nets.heads import HeadWithOutputs
from ganexp.nets.layers import (
    DiscriminatorBase,
    GeneratorBase,
    LeakyReLU,
    label_vectors,
    smallest_side,
    with_label_maps,
)
from ganexp.nets.resample import FilteredDouble, FilteredHalve

_SMALLEST = 4  # the side of the smallest map
_SLOPE = 0.2

_Layer = TypeVar("_Layer", bound=nn.Linear | nn.Conv2d)


class Block(nn.Module):
    """Maps [N, C, H, W] to maps of the same shape; at first it is the identity.

    ``depth``: the number of blocks of the network, for the initial weights.
    """

    def __init__(self, channels: int, groups: int, depth: int) -> None:
        super().__init__()
        hidden, gain = 2 * channels, (2 / (1 + _SLOPE**2)) ** 0.5 * depth**-0.25
        self.branch = nn.Sequential(
            _initialise(PointwiseConv(channels, hidden, bias=True), gain),
            LeakyReLU(_SLOPE),
            _initialise(GroupedConv(hidden, groups), gain),
            LeakyReLU(_SLOPE),
            _initialise(PointwiseConv(hidden, channels, bias=False), 0.0),
        )

    def forward(self, x: Tensor) -> Tensor:
        maps: Tensor = x + self.branch(x)
        return maps


class Generator(GeneratorBase):
    """Latents [N, latent] and, if ``classes``, labels to images [N, C, H, W], about in [-1, 1].

    ``widths`` and ``groups``: the channels of each stage's maps, and the groups of its 3 x 3 convolutions, from
    4 x 4 on; each stage doubles the maps of the one before. ``embedding``: dimensions of a label's embedding.
    """

    def __init__(
        self,
        shape: Shape,
        latent: Count,
        classes: Whole,
        embedding: Count,
        widths: Widths,
        groups: Widths,
        blocks: Count,
    ) -> None:
        super().__init__()
        _check("generator", shape, widths, groups)
        self.latent, self.classes = latent, classes
        self.embedding = _linear(classes, embedding) if classes else None
        self.basis = nn.Parameter(torch.randn(widths[0], _SMALLEST, _SMALLEST))
        self.first = _linear(latent + (embedding if classes else 0), widths[0])
        depth = blocks * len(widths)
        layers = _blocks(blocks, widths[0], groups[0], depth)
        for (before, after), count in zip(pairwise(widths), groups[1:], strict=True):
            layers += [*_change(before, after), FilteredDouble(), *_blocks(blocks, after, count, depth)]
        self.layers = nn.Sequential(*layers)
        self.to_image = _pointwise(widths[-1], shape[0])

    def forward(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        if self.embedding is not None:
            z = torch.cat([z, self.embedding(label_vectors(y, self.classes))], 1)
        maps = self.basis * self.first(z)[:, :, None, None]
        images: Tensor = self.to_image(self.layers(maps.contiguous(memory_format=torch.channels_last)))
        return images


class Discriminator(DiscriminatorBase):
    """Images [N, C, H, W] and, if ``classes``, labels to logits [N], or [N, 1 + outputs].

    ``widths`` and ``groups``: the channels of each stage's maps, and the groups of its 3 x 3 convolutions, in
    the order of the generator's: from 4 x 4 to the largest. ``embedding``: dimensions of h and V y.
    """

    samplewise = True

    def __init__(
        self,
        shape: Shape,
        classes: Whole,
        condition: CriticCondition,
        outputs: Whole,
        embedding: Count,
        widths: Widths,
        groups: Widths,
        blocks: Count,
    ) -> None:
        super().__init__()
        _check("discriminator", shape, widths, groups)
        self.classes = 0 if condition == "none" else classes
        self.joined = classes if condition == "joined" else 0
        self.outputs = outputs
        depth = blocks * len(widths)
        layers: list[nn.Module] = [_pointwise(shape[0] + self.joined, widths[-1])]
        for (after, before), count in zip(list(pairwise(widths))[::-1], groups[:0:-1], strict=True):
            layers += [*_blocks(blocks, before, count, depth), FilteredHalve(), *_change(before, after)]
        self.layers = nn.Sequential(*layers, *_blocks(blocks, widths[0], groups[0], depth))
        self.basis = nn.Parameter(torch.randn(widths[0], _SMALLEST, _SMALLEST) / _SMALLEST)  # fan-in: 16
        self.head: nn.Module = LogitHead(widths[0])
        if self.classes and condition == "projection":
            self.head = EmbeddingHead(widths[0], embedding, classes)
        if outputs:
            self.head = HeadWithOutputs(self.head, nn.Linear(widths[0], outputs))

    def features(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        if self.joined:
            x = with_label_maps(x, y, self.joined)
        # A depth-wise convolution over the whole map: a product and a sum, which is faster.
        features: Tensor = (self.layers(x) * self.basis).sum((2, 3))
        return features


class LogitHead(nn.Linear):
    """Feature vectors [N, D] to logits [N], without a bias."""

    def __init__(self, inputs: int) -> None:
        super().__init__(inputs, 1, bias=False)
        _initialise(self, 1.0)

    def forward(self, features: Tensor, y: Tensor | None = None) -> Tensor:
        logits: Tensor = super().forward(features)
        return logits.squeeze(1)


class EmbeddingHead(nn.Module):
    """Feature vectors [N, D] and labels to logits <W features, V y> [N], in ``embedding`` dimensions."""

    def __init__(self, inputs: int, embedding: int, classes: int) -> None:
        super().__init__()
        self.classes = classes
        self.linear = _linear(inputs, embedding)
        self.embedding = _linear(classes, embedding, gain=embedding**-0.5)

    def forward(self, features: Tensor, y: Tensor | None = None) -> Tensor:
        logits: Tensor = (self.linear(features) * self.embedding(label_vectors(y, self.classes))).sum(1)
        return logits


def _blocks(count: int, channels: int, groups: int, depth: int) -> list[nn.Module]:
    return [Block(channels, groups, depth) for _ in range(count)]


def _change(before: int, after: int) -> list[nn.Module]:
    """A convolution of kernel 1 where the number of channels changes, or nothing."""
    return [] if before == after else [_pointwise(before, after)]


def _pointwise(inputs: int, outputs: int) -> PointwiseConv:
    return _initialise(PointwiseConv(inputs, outputs, bias=False), 1.0)


def _linear(inputs: int, outputs: int, gain: float = 1.0) -> nn.Linear:
    return _initialise(nn.Linear(inputs, outputs, bias=False), gain)


def _initialise(layer: _Layer, gain: float) -> _Layer:
    """Weights from N(0, gain^2 / fan-in), biases 0."""
    nn.init.normal_(layer.weight, 0.0, gain / layer.weight[0].numel() ** 0.5)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


def _check(player: Literal["generator", "discriminator"], shape: Shape, widths: Widths, groups: Widths) -> None:
    """Raises UserError for stages that do not fit the images, and groups that do not fit the widths."""
    smallest_side("r3gan", shape, _SMALLEST)
    made, given = _SMALLEST * 2 ** (len(widths) - 1), f"arch.{player}.groups={list(groups)}"
    if made != shape[1]:
        raise UserError(
            f"arch.{player}.widths={list(widths)}: these stages are for {made} x {made} images, and this data "
            f"has {shape[1]} x {shape[1]}; each size from 4 x 4 on needs a width and its groups"
        )
    if len(groups) != len(widths):
        raise UserError(f"{given}: widths has {len(widths)} stages, and each needs a number of groups")
    for width, count in zip(widths, groups, strict=True):
        if 2 * width % count:
            raise UserError(f"{given}: {count} does not divide the {2 * width} channels of a stage of {width}")
