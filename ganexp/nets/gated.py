"""Gated convolutions (Yu et al. 2019, equation 3): a network learns what to let pass, by channel and pixel.

    output = ELU(a) sigmoid(b), where a and b are the two halves of one convolution's channels

The network is the paper's coarse stage: the layers of GLCIC's (``glcic.py``) with gates and without norms. Maps
are doubled by nearest neighbours and a convolution. The last convolution has no gate. The paper's second stage,
with contextual attention, is left out.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import elu

from ganexp.config.ranges import Count, Shape
from ganexp.nets.convolutions import ResizeConv
from ganexp.nets.glcic import COMPLETION, COMPLETION_MULTIPLE, Step, check_sides

_GAIN = 2.5
"""Of the initial weights: ELU and a gate of about 1/2 shrink their input, and there are sixteen in a row."""


class GatedConv(nn.Module):
    """[N, inputs, H, W] to [N, outputs, H / stride, W / stride], or to the doubled size if ``step.doubles``."""

    def __init__(self, inputs: int, outputs: int, step: Step) -> None:
        super().__init__()
        self.conv: nn.Conv2d
        if step.doubles:
            self.conv = ResizeConv(inputs, 2 * outputs, bias=True)
        else:
            padding = step.dilation * (step.kernel // 2)
            self.conv = nn.Conv2d(inputs, 2 * outputs, step.kernel, step.stride, padding, step.dilation)
        _initialise(self.conv, _GAIN)

    def forward(self, x: Tensor) -> Tensor:
        values, gates = self.conv(x).chunk(2, 1)
        return elu(values) * torch.sigmoid(gates)


class GatedNetwork(nn.Module):
    """Images with holes and their masks [N, C + 1, H, W] to images [N, C, H, W] in [-1, 1], of any size.

    ``width``: channels after the first gate; the authors' ``cnum`` counts those before it, twice as many.
    """

    scale = 1
    multiple = COMPLETION_MULTIPLE

    def __init__(self, source_shape: Shape, output_shape: Shape, width: Count) -> None:
        super().__init__()
        check_sides("gated", output_shape)
        layers: list[nn.Module] = []
        inputs = source_shape[0]
        for step in COMPLETION:
            outputs = max(1, int(step.width * width))
            layers.append(GatedConv(inputs, outputs, step))
            inputs = outputs
        last = nn.Conv2d(inputs, output_shape[0], 3, 1, 1)
        _initialise(last, 1.0)
        self.layers = nn.Sequential(*layers, last, nn.Tanh())

    def forward(self, source: Tensor) -> Tensor:
        images: Tensor = self.layers(source)
        return images


def _initialise(conv: nn.Conv2d, gain: float) -> None:
    """Weights from N(0, gain^2 / inputs of a point), biases 0."""
    nn.init.normal_(conv.weight, 0.0, gain / math.sqrt(conv.weight[0].numel()))
    if conv.bias is not None:
        nn.init.zeros_(conv.bias)
