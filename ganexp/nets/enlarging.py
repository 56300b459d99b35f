"""What the networks of super-resolution share: the factor of an enlargement, its stages, its base.

Ledig et al. 2017 and Wang et al. 2018 enlarge maps behind all residual blocks, so that these work at the low
resolution, where they are cheap. What a network learns can be the difference from an enlarged source.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from ganexp.errors import UserError


class PixelShuffleUp(nn.Sequential):
    """[N, C, H, W] to [N, C, factor * H, factor * W]: sub-pixel convolution (Shi et al. 2016), kernel 3.

    Channel c * factor^2 + i * factor + j of the convolution becomes pixel (i, j) of each block of channel c.
    """

    def __init__(self, channels: int, factor: int) -> None:
        shuffle = nn.PixelShuffle(factor)
        super().__init__(nn.Conv2d(channels, channels * factor**2, 3, padding=1), shuffle)


class NearestUp(nn.Sequential):
    """[N, C, H, W] to [N, C, factor * H, factor * W]: nearest neighbours, then a convolution of kernel 3."""

    def __init__(self, channels: int, factor: int) -> None:
        nearest = nn.Upsample(scale_factor=factor, mode="nearest")
        super().__init__(nearest, nn.Conv2d(channels, channels, 3, padding=1))


def enlargement(source_shape: Sequence[int], output_shape: Sequence[int]) -> int:
    """How many times the output is larger than the source. Raises UserError where that is no whole number."""
    factors = {
        size // small if size % small == 0 else 0
        for small, size in zip(source_shape[1:], output_shape[1:], strict=True)
    }
    if len(source_shape) != 3 or len(factors) != 1 or 0 in factors:
        raise UserError(
            "these networks make images whose sides are one multiple of their source's: "
            f"{list(output_shape[1:])} are none of {list(source_shape[1:])}"
        )
    return factors.pop()


def stages(scale: int) -> list[int]:
    """The factors of the steps in which maps are enlarged: 2 and 3 only. Raises UserError for other primes."""
    found: list[int] = []
    rest = scale
    for prime in (2, 3):
        while rest % prime == 0:
            found.append(prime)
            rest //= prime
    if rest != 1:
        raise UserError(
            f"degrade.factor={scale}: these networks enlarge by products of 2 and 3, such as 4 or 6"
        )
    return found


def check_base(base: str, source_shape: Sequence[int], output_shape: Sequence[int]) -> None:
    """Raises UserError where an enlarged source cannot be added to the output."""
    if base != "none" and source_shape[0] not in (1, output_shape[0]):
        raise UserError(
            f"arch.generator.base={base}: sources of {source_shape[0]} channels cannot be added to images of "
            f"{output_shape[0]}: set arch.generator.base=none"
        )


def add_base(output: Tensor, source: Tensor, base: str, scale: int) -> Tensor:
    """``output`` plus the source [N, c, h, w], enlarged; bicubic as the baseline of ``degrade=lowres``."""
    if base == "none":
        return output
    if scale > 1:
        size = [side * scale for side in source.shape[2:]]
        source = functional.interpolate(source, size=size, mode=base, antialias=base == "bicubic")
    return output + source


@torch.no_grad()
def initialise_small(net: nn.Module) -> None:
    """Convolutions: a tenth of He et al. 2015's normal weights, biases 0, as in Wang et al. 2018, section 3.1.

    Residual branches are then close to zero, so that deep networks without a norm begin as the identity.
    """
    for module in net.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight)
            module.weight.mul_(0.1)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
