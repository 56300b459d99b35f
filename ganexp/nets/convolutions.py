"""Faster implementations of convolutions, mostly for CPUs.

Each layer has the weights, the initialisation and, up to rounding, the results of the torch layers that it
replaces. Weights are read in channels_last order, in which ``to(memory_format=torch.channels_last)`` stores
them, so that nothing is copied.

``ConvDown2x`` and ``ConvTransposeUp2x`` share their derivatives. Let S(x, w, y) = sum of y * conv(x, w) over
all elements, which is linear in a large map x, a kernel w and a small map y. The derivatives of each of

    halved(x, w)       dS/dy, a convolution
    doubled(y, w)      dS/dx, a transposed convolution
    correlated(x, y)   dS/dw, the gradient of their weights

are the other two. So one fast implementation of each serves derivatives of any order, also the second
derivatives of gradient penalties.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.grad import conv2d_weight

from ganexp.nets.layers import is_tracing, needs_torch_operations


class ProjectToMap(nn.ConvTranspose2d):
    """A transposed convolution of a 1 x 1 map, [N, C, 1, 1] to [N, D, k, k], computed as a linear layer."""

    def __init__(self, inputs: int, outputs: int, kernel: int, *, bias: bool) -> None:
        super().__init__(inputs, outputs, kernel, bias=bias)

    def forward(self, x: Tensor, output_size: list[int] | None = None) -> Tensor:
        flat = x.flatten(1) @ self.weight.permute(0, 2, 3, 1).flatten(1)
        maps: Tensor = flat.unflatten(1, (*self.kernel_size, self.out_channels)).permute(0, 3, 1, 2)
        return maps if self.bias is None else maps + self.bias[:, None, None]


class MapToVector(nn.Conv2d):
    """A convolution over a whole map, [N, C, k, k] to [N, D, 1, 1], computed as a linear layer."""

    def __init__(self, inputs: int, outputs: int, kernel: int, *, bias: bool = True) -> None:
        super().__init__(inputs, outputs, kernel, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        weight = self.weight.permute(0, 2, 3, 1).flatten(1)
        return functional.linear(x.permute(0, 2, 3, 1).flatten(1), weight, self.bias)[:, :, None, None]


class ConvDown2x(nn.Conv2d):
    """Halves a map, [N, C, H, W] to [N, D, H/2, W/2]: kernel 4, stride 2, padding 1.

    Raises ValueError where a side is odd: ``doubled``, its derivative, would return another size.
    """

    def __init__(self, inputs: int, outputs: int, *, bias: bool) -> None:
        super().__init__(inputs, outputs, 4, 2, 1, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        if not is_tracing() and (x.shape[-1] % 2 or x.shape[-2] % 2):
            raise ValueError(
                f"ConvDown2x takes maps of even sides, and this one is {x.shape[-2]} x {x.shape[-1]}"
            )
        if not x.is_cpu or needs_torch_operations():
            return super().forward(x)
        result: Tensor = _Halved.apply(*cast_for_autocast(x, self.weight, self.bias))
        return result


class ConvTransposeUp2x(nn.ConvTranspose2d):
    """Doubles a map, [N, C, H, W] to [N, D, 2H, 2W]: kernel 4, stride 2, padding 1."""

    def __init__(self, inputs: int, outputs: int, *, bias: bool) -> None:
        super().__init__(inputs, outputs, 4, 2, 1, bias=bias)

    def forward(self, x: Tensor, output_size: list[int] | None = None) -> Tensor:
        return _doubled(x, self.weight, self.bias)


class ResizeConv(nn.Conv2d):
    """Nearest neighbours, then a convolution (Odena et al. 2016): [N, C, H, W] to [N, D, 2H, 2W], kernel 3.

    Upsampled neighbours are equal, so their weights can be added up first. That gives one transposed
    convolution of kernel 4 with 16 products for each point of x and pair of channels; the two steps take 36.
    """

    def __init__(self, inputs: int, outputs: int, *, bias: bool) -> None:
        super().__init__(inputs, outputs, 3, 1, 1, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        return doubled_and_convolved(x, self.weight, self.bias)


def doubled_and_convolved(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """What ``ResizeConv`` computes with a weight [D, C, 3, 3]."""
    flipped = functional.pad(weight.flip(2, 3).transpose(0, 1), (1, 1, 1, 1))
    wide = flipped[..., 1:] + flipped[..., :-1]
    kernel = wide[..., 1:, :] + wide[..., :-1, :]
    return _doubled(x, kernel.contiguous(memory_format=torch.channels_last), bias)


UPSAMPLES: dict[str, type[ConvTransposeUp2x] | type[ResizeConv]] = {
    "transposed": ConvTransposeUp2x,
    "nearest": ResizeConv,
}
"""Layers that double a map, by their name in a configuration."""


def _doubled(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """The transposed convolution of kernel 4, stride 2, padding 1."""
    if not x.is_cpu or needs_torch_operations():
        return functional.conv_transpose2d(x, weight, bias, stride=2, padding=1)
    result: Tensor = _Doubled.apply(*cast_for_autocast(x, weight, bias))
    return result


def cast_for_autocast(x: Tensor, weight: Tensor, bias: Tensor | None) -> list[Tensor | None]:
    """Casts to autocast's dtype, as autocast would before a convolution."""
    return [part if part is None else in_autocast_dtype(part) for part in (x, weight, bias)]


def in_autocast_dtype(x: Tensor) -> Tensor:
    """Cast to the dtype of autocast on its device, where that is enabled; there is none on the meta device."""
    kind = x.device.type
    if x.is_meta or not torch.is_autocast_enabled(kind):
        return x
    return x.to(torch.get_autocast_dtype(kind))


class _Halved(torch.autograd.Function):
    """x [N, C, 2H, 2W], w [D, C, 4, 4] -> y [N, D, H, W]."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, w: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, w)
        return functional.conv2d(x, w, bias, stride=2, padding=1)

    @staticmethod
    def backward(ctx: Any, y: Tensor) -> tuple[Tensor | None, ...]:
        (x, w), wanted = ctx.saved_tensors, ctx.needs_input_grad
        return (
            _Doubled.apply(y, w, None) if wanted[0] else None,
            _Correlated.apply(x, y) if wanted[1] else None,
            y.sum((0, 2, 3)) if wanted[2] else None,
        )


class _Doubled(torch.autograd.Function):
    """y [N, D, H, W], w [D, C, 4, 4] -> x [N, C, 2H, 2W]."""

    @staticmethod
    def forward(ctx: Any, y: Tensor, w: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(y, w)
        if w.shape[1] > 1:
            return functional.conv_transpose2d(y, w, bias, stride=2, padding=1)
        x = _fold_products(y, w)
        return x if bias is None else x.add_(bias)

    @staticmethod
    def backward(ctx: Any, x: Tensor) -> tuple[Tensor | None, ...]:
        (y, w), wanted = ctx.saved_tensors, ctx.needs_input_grad
        return (
            _Halved.apply(x, w, None) if wanted[0] else None,
            _Correlated.apply(x, y) if wanted[1] else None,
            x.sum((0, 2, 3)) if wanted[2] else None,
        )


class _Correlated(torch.autograd.Function):
    """x [N, C, 2H, 2W], y [N, D, H, W] -> w [D, C, 4, 4]."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, y: Tensor) -> Tensor:
        ctx.save_for_backward(x, y)
        small_maps = y.itemsize == 2 and y[0, 0].numel() <= _MAX_POINTS
        return _from_patches(x, y) if small_maps else _from_maps(x, y)

    @staticmethod
    def backward(ctx: Any, w: Tensor) -> tuple[Tensor | None, Tensor | None]:
        (x, y), wanted = ctx.saved_tensors, ctx.needs_input_grad
        return (
            _Doubled.apply(y, w, None) if wanted[0] else None,
            _Halved.apply(x, w, None) if wanted[1] else None,
        )


_MAX_POINTS = 16
"""On maps of up to 16 points, in 16 bits, a matrix product takes a half to two thirds of oneDNN's time."""


def _fold_products(y: Tensor, w: Tensor) -> Tensor:
    """``doubled`` to one channel: multiplies each point with the whole kernel and adds up the overlaps."""
    count, channels, height, width = y.shape
    points = y.permute(0, 2, 3, 1).reshape(-1, channels)
    products = (points @ w.flatten(1)).view(count, height * width, -1)
    return functional.fold(products.mT, (2 * height, 2 * width), 4, padding=1, stride=2)


def _from_patches(x: Tensor, y: Tensor) -> Tensor:
    """``correlated`` as a matrix product of all points of y with the patches of x that they cover."""
    count, channels, height, width = y.shape
    padded = functional.pad(x.permute(0, 2, 3, 1), (0, 0, 1, 1, 1, 1))
    image, row, column, one = padded.stride()
    size, stride = (count, height, width, 4, 4, x.shape[1]), (image, 2 * row, 2 * column, row, column, one)
    patches = padded.as_strided(size, stride).reshape(count * height * width, -1)
    points = y.permute(0, 2, 3, 1).reshape(-1, channels)
    return (points.mT @ patches).view(channels, 4, 4, -1).permute(0, 3, 1, 2)


def _from_maps(x: Tensor, y: Tensor) -> Tensor:
    """``correlated`` by torch's ``conv2d_weight``."""
    w: Tensor = conv2d_weight(x, [y.shape[1], x.shape[1], 4, 4], y, stride=2, padding=1)
    return w
