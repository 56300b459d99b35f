"""Convolutions of kernel 1 and grouped ones of kernel 3, whose second derivatives are fast on CPUs.

Torch differentiates the gradient of a convolution with respect to its weights by one convolution for each
group, with the batch as its channels. Here each derivative is one operation, as in ``convolutions.py``: let
S(x, w, y) = sum of y * conv(x, w). The derivatives of each of

    convolved(x, w)    dS/dy, the grouped convolution
    returned(y, w)     dS/dx, the gradient of its input
    correlated(x, y)   dS/dw, the gradient of its weights

are the other two. The layers have torch's weights, initialisation and, up to rounding, results.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from ganexp.nets.convolutions import cast_for_autocast
from ganexp.nets.layers import needs_torch_operations


class PointwiseConv(nn.Conv2d):
    """[N, inputs, H, W] to [N, outputs, H, W], kernel 1: on CPUs a linear layer of each point."""

    def __init__(self, inputs: int, outputs: int, *, bias: bool) -> None:
        super().__init__(inputs, outputs, 1, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        if not x.is_cpu:
            return super().forward(x)
        points = x.permute(0, 2, 3, 1)  # in channels_last order, nothing is copied
        return functional.linear(points, self.weight.flatten(1), self.bias).permute(0, 3, 1, 2)


class GroupedConv(nn.Conv2d):
    """[N, channels, H, W] to maps of the same shape: kernel 3, padding 1, in ``groups`` groups."""

    def __init__(self, channels: int, groups: int) -> None:
        super().__init__(channels, channels, 3, 1, 1, groups=groups)

    def forward(self, x: Tensor) -> Tensor:
        if not x.is_cpu or needs_torch_operations():
            return super().forward(x)
        maps, weight, bias = cast_for_autocast(x, self.weight, self.bias)
        result: Tensor = _Convolved.apply(maps, weight, bias, self.groups)
        return result


class _Convolved(torch.autograd.Function):
    """x [N, C, H, W], w [C, C / groups, 3, 3] -> y [N, C, H, W]."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, w: Tensor, bias: Tensor | None, groups: int) -> Tensor:
        ctx.save_for_backward(x, w)
        ctx.groups = groups
        return functional.conv2d(x, w, bias, padding=1, groups=groups)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (y,), (x, w), wanted = gradients, ctx.saved_tensors, ctx.needs_input_grad
        return (
            _Returned.apply(y, w, ctx.groups) if wanted[0] else None,
            _Correlated.apply(x, y, ctx.groups) if wanted[1] else None,
            y.sum((0, 2, 3)) if wanted[2] else None,
            None,
        )


class _Returned(torch.autograd.Function):
    """y [N, C, H, W], w [C, C / groups, 3, 3] -> x [N, C, H, W]."""

    @staticmethod
    def forward(ctx: Any, y: Tensor, w: Tensor, groups: int) -> Tensor:
        ctx.save_for_backward(y, w)
        ctx.groups = groups
        return _derivatives(y, y, w, groups, input=True)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (x,), (y, w), wanted = gradients, ctx.saved_tensors, ctx.needs_input_grad
        return (
            _Convolved.apply(x, w, None, ctx.groups) if wanted[0] else None,
            _Correlated.apply(x, y, ctx.groups) if wanted[1] else None,
            None,
        )


class _Correlated(torch.autograd.Function):
    """x [N, C, H, W], y [N, C, H, W] -> w [C, C / groups, 3, 3]."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, y: Tensor, groups: int) -> Tensor:
        ctx.save_for_backward(x, y)
        ctx.groups = groups
        shape = [y.shape[1], x.shape[1] // groups, 3, 3]
        return _derivatives(y, x, x.new_empty(1).expand(shape), groups, input=False)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (w,), (x, y), wanted = gradients, ctx.saved_tensors, ctx.needs_input_grad
        return (
            _Returned.apply(y, w, ctx.groups) if wanted[0] else None,
            _Convolved.apply(x, w, None, ctx.groups) if wanted[1] else None,
            None,
        )


def _derivatives(y: Tensor, x: Tensor, w: Tensor, groups: int, *, input: bool) -> Tensor:
    """dS/dx, of which only the shape of ``x`` matters, or dS/dw, of which only that of ``w`` does."""
    one, none = [1, 1], [0, 0]
    both = torch.ops.aten.convolution_backward(
        y, x, w, None, one, one, one, False, none, groups, [input, not input, False]
    )
    result: Tensor = both[0 if input else 1]
    return result
