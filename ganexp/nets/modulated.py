r"""Modulated convolutions: Karras et al. 2020 (StyleGAN2), section 2.2.

A style s scales the input channels of a kernel w (equation 1), and each output channel is divided by the norm
of its scaled kernel (equation 3), so that maps keep their variance, whatever the style:

    w'_ijk = s_i w_ijk,     w''_ijk = w'_ijk / sqrt(sum over i, k of w'_ijk^2 + 1e-8)

Each sample has a style, and so a kernel, of its own: that is a grouped convolution, which is slow on a CPU.
The same product is computed as scale - convolve - scale: x is multiplied by s, convolved with the one kernel w
that all samples share, and multiplied by 1 / the norm.

Doubling is a transposed convolution of stride 2, whose result is filtered. It has a quarter of the products of
filtering first: on one core it took a third to a half of the time of the other forms that were tried.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from ganexp.nets.equalised import EqualisedLinear
from ganexp.nets.layers import LeakyReLU
from ganexp.nets.resample import Filtered

GAIN = 2**0.5
"""What a leaky ReLU is multiplied by."""

_KERNEL = 3


class ModulatedConv2d(nn.Module):
    """Maps [N, inputs, H, W] and w [N, style] to [N, outputs, H, W], or to twice the sides if ``doubled``."""

    def __init__(self, inputs: int, outputs: int, style: int, *, doubled: bool) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs, _KERNEL, _KERNEL))
        self.affine = EqualisedLinear(style, inputs, start=1.0)
        self.smooth = Filtered(4.0, padding=1) if doubled else None

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        style = self.affine(w)
        return self.convolve(x, style) * self.demodulation(style).to(x.dtype)[:, :, None, None]

    def convolve(self, x: Tensor, style: Tensor) -> Tensor:
        """The convolution with the kernels w' of styles [N, inputs]."""
        x = x * style.to(x.dtype)[:, :, None, None]
        if self.smooth is None:
            return functional.conv2d(x, self.weight, padding=_KERNEL // 2)
        maps: Tensor = self.smooth(functional.conv_transpose2d(x, self.weight.transpose(0, 1), stride=2))
        return maps

    def demodulation(self, style: Tensor) -> Tensor:
        """1 / the norms of the kernels w': [N, outputs], in float32 at least."""
        with torch.autocast(style.device.type, enabled=False):
            energies = self.weight.square().sum((2, 3))
            return (style.to(energies.dtype).square() @ energies.T + 1e-8).rsqrt()


class StyledConv(nn.Module):
    """A modulated convolution, noise, bias and leaky ReLU; ``side``: of its output.

    In training, each sample gets new noise, one number for each position. In evaluation mode all get the same
    map, which is stored with the weights, so that a sample follows from its z.
    """

    noise: Tensor

    def __init__(self, inputs: int, outputs: int, style: int, side: int, *, doubled: bool) -> None:
        super().__init__()
        self.conv = ModulatedConv2d(inputs, outputs, style, doubled=doubled)
        self.strength = nn.Parameter(torch.zeros(()))
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.activation = LeakyReLU(0.2)
        self.register_buffer("noise", torch.randn(side, side))

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        # The gain is a factor of what is small instead of the maps: lrelu(a x) = a lrelu(x) for a > 0.
        conv, style = self.conv, self.conv.affine(w)
        scale = (GAIN * conv.demodulation(style)).to(x.dtype)[:, :, None, None]
        bias = (GAIN * self.bias).to(x.dtype)[:, None, None]
        noise = (GAIN * self.strength * self._noise(x)).to(x.dtype)
        maps: Tensor = self.activation(torch.addcmul(bias, conv.convolve(x, style).to(x.dtype), scale) + noise)
        return maps

    def _noise(self, x: Tensor) -> Tensor:
        if not self.training:
            return self.noise
        return torch.randn(len(x), 1, *self.noise.shape, device=x.device, dtype=self.noise.dtype)


class ToImage(nn.Module):
    """Maps [N, inputs, H, W] and w [N, style] to images [N, channels, H, W]: modulated, but not demodulated."""

    def __init__(self, inputs: int, channels: int, style: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(channels, inputs, 1, 1))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.affine = EqualisedLinear(style, inputs, start=1.0)
        self.factor = inputs**-0.5

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        style = (self.factor * self.affine(w)).to(x.dtype)[:, :, None, None]
        return functional.conv2d(x * style, self.weight, self.bias)
