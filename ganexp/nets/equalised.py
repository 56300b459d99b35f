r"""Layers with an equalised learning rate: Karras et al. 2018, section 4.1.

Stored weights are drawn from N(0, 1) and multiplied by a constant at each use,

    y = (c rate w) * x + rate b,    c = gain / sqrt(fan-in),

so that the used weights have He's variance (He et al. 2015) for ``gain`` = sqrt(2). Adam's steps do not depend
on the scale of a gradient. So each layer's used weights change at the same relative speed, whatever its fan-in.

``rate`` slows a layer down (StyleGAN's mapping, Karras et al. 2019, appendix C, has 0.01): weights are stored
1 / rate times as large, so that the used ones are as before and move ``rate`` times as fast.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from ganexp.system.float32 import at_least_float32


class EqualisedLinear(nn.Module):
    """[N, inputs] to [N, outputs]. ``start``: the value that biases start at."""

    def __init__(
        self, inputs: int, outputs: int, *, gain: float = 1.0, rate: float = 1.0, start: float = 0.0
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs) / rate)
        self.bias = nn.Parameter(torch.full((outputs,), start / rate))
        self.factor = gain * rate / inputs**0.5
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        bias = self.bias * self.rate if self.rate != 1 else self.bias
        return functional.linear(x, self.weight * self.factor, bias)


class EqualisedHead(EqualisedLinear):
    """Feature vectors [N, D] to logits [N]."""

    def __init__(self, inputs: int) -> None:
        super().__init__(inputs, 1)

    def forward(self, features: Tensor, y: Tensor | None = None) -> Tensor:
        return super().forward(features).squeeze(1)


class EqualisedConv2d(nn.Module):
    """[N, inputs, H, W] to [N, outputs, H, W]: an odd ``kernel``, stride 1, padded with zeros to that size."""

    def __init__(self, inputs: int, outputs: int, kernel: int, *, gain: float = 1.0, bias: bool = True) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(outputs)) if bias else None
        self.factor = gain / (inputs * kernel**2) ** 0.5
        self.padding = kernel // 2

    def forward(self, x: Tensor) -> Tensor:
        return functional.conv2d(x, self.weight * self.factor, self.bias, padding=self.padding)


class PixelNorm(nn.Module):
    """x / sqrt(mean of x^2 over dimension 1 + 1e-8): Karras et al. 2018, section 4.2; of maps and latents."""

    def forward(self, x: Tensor) -> Tensor:
        squares = at_least_float32(x).square()  # in fp16, 1e-8 is 0
        return x * (squares.mean(1, keepdim=True) + 1e-8).rsqrt().to(x.dtype)
