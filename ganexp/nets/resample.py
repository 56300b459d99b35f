r"""Resampling with the filter [1, 3, 3, 1], which removes the aliases that nearest neighbours leave.

The filter is the outer product of [1, 3, 3, 1] with itself, divided by its sum (64). Doubling puts zeros
between the points and filters with four times the filter; halving filters and keeps every second point. Both
are one convolution of each channel with itself. Outside a map there are zeros: of a constant map, the points
inside stay as they are, and the corners of a doubled one become 9/16 of it. ``Filtered`` alone stands behind a
transposed convolution, or before one that keeps every second point.

Source: Karras et al. 2020 (StyleGAN2), section 4.2 and their program; Zhang 2019.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from ganexp.nets.convolutions import in_autocast_dtype
from ganexp.nets.layers import needs_torch_operations


class _Filtered(nn.Module):
    kernel: Tensor

    def __init__(self, factor: float) -> None:
        super().__init__()
        taps = torch.tensor([1.0, 3.0, 3.0, 1.0])
        kernel = factor * torch.outer(taps, taps)[None, None] / 64
        self.register_buffer("kernel", kernel, persistent=False)

    def kernels(self, x: Tensor) -> Tensor:
        """One kernel for each channel: [C, 1, 4, 4]."""
        return self.kernel.to(x.dtype).repeat(x.shape[1], 1, 1, 1)


class Filtered(_Filtered):
    """[N, C, H, W] to [N, C, H + d, W + d] with d = 2 ``padding`` - 3; values are multiplied by ``factor``."""

    def __init__(self, factor: float, padding: int) -> None:
        super().__init__(factor)
        self.padding = padding

    def forward(self, x: Tensor) -> Tensor:
        return functional.conv2d(x, self.kernels(x), padding=self.padding, groups=x.shape[1])


class FilteredDouble(_Filtered):
    """[N, C, H, W] to [N, C, 2H, 2W]."""

    def __init__(self) -> None:
        super().__init__(4.0)

    def forward(self, x: Tensor) -> Tensor:
        x = in_autocast_dtype(x)
        if needs_torch_operations():
            return _double(x, self.kernels(x))
        maps: Tensor = _Doubled.apply(x, self.kernels(x))
        return maps


class FilteredHalve(_Filtered):
    """[N, C, 2H, 2W] to [N, C, H, W]."""

    def __init__(self) -> None:
        super().__init__(1.0)

    def forward(self, x: Tensor) -> Tensor:
        x = in_autocast_dtype(x)
        if needs_torch_operations():
            return _halve(x, self.kernels(x))
        maps: Tensor = _Halved.apply(x, self.kernels(x))
        return maps


class _Doubled(torch.autograd.Function):
    """Its derivative is to halve with the same kernels, and the reverse.

    Torch's second derivative of a convolution computes that of the kernels too, though it is not wanted, by one
    convolution for each channel: under a gradient penalty, this took longer than the rest of the layer.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, kernels: Tensor) -> Tensor:
        ctx.save_for_backward(kernels)
        return _double(x, kernels)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return _Halved.apply(gradients[0], *ctx.saved_tensors), None


class _Halved(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, kernels: Tensor) -> Tensor:
        ctx.save_for_backward(kernels)
        return _halve(x, kernels)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return _Doubled.apply(gradients[0], *ctx.saved_tensors), None


def _double(x: Tensor, kernels: Tensor) -> Tensor:
    return functional.conv_transpose2d(x, kernels, stride=2, padding=1, groups=x.shape[1])


def _halve(x: Tensor, kernels: Tensor) -> Tensor:
    return functional.conv2d(x, kernels, stride=2, padding=1, groups=x.shape[1])
