r"""StyleGAN2's discriminator (Karras et al. 2020, section 4 and appendix B).

For images of r x r pixels, with c(r) = min(base / r, max_width) channels:

    FromImage       conv 1, leaky ReLU                                          c(r)   x r   x r
    level           conv 3, leaky ReLU; filter, conv 3 of stride 2, leaky ReLU  c(r/2) x r/2 x r/2
      if residual   (the above + [filter, every second point, conv 1]) / sqrt(2)
    ...             down to                                                     c(4)   x 4   x 4
    end             minibatch deviation, conv 3, leaky ReLU; linear c(4), leaky ReLU; linear 1

Weights are equalised; a leaky ReLU (0.2) is multiplied by sqrt(2). Of a conditional one, the last layer is
<h, c> / sqrt(dim) with c = mapping(label), as in the authors' program: a projection whose class vectors are
made by linear layers, and which has no unconditional term.
"""

from itertools import pairwise
from typing import ClassVar

from torch import Tensor, nn
from torch.nn import functional

from ganexp.config.ranges import Count, CriticCondition, Shape, Whole
from ganexp.nets.deviation import MinibatchDeviation
from ganexp.nets.equalised import EqualisedConv2d, EqualisedHead, EqualisedLinear
from ganexp.nets.heads import HeadWithOutputs
from ganexp.nets.layers import DiscriminatorBase, LeakyReLU, with_label_maps
from ganexp.nets.modulated import GAIN
from ganexp.nets.resample import Filtered, FilteredHalve
from ganexp.nets.stylegan2 import Mapping, channels_of_levels


class _ActivatedConv(EqualisedConv2d):
    """Convolution, bias and ``gain`` times a leaky ReLU; ``halved``: filtered, and of stride 2.

    The gain is a factor of kernel and bias instead of the maps: lrelu(a x) = a lrelu(x) for a > 0.
    """

    bias: nn.Parameter

    def __init__(
        self, inputs: int, outputs: int, kernel: int, *, halved: bool = False, gain: float = GAIN
    ) -> None:
        super().__init__(inputs, outputs, kernel, gain=gain)
        self.gain = gain
        self.smooth = Filtered(1.0, padding=2) if halved else None
        self.activation = LeakyReLU(0.2)

    def forward(self, x: Tensor) -> Tensor:
        weight, bias = self.weight * self.factor, self.bias * self.gain
        if self.smooth is None:
            maps: Tensor = self.activation(functional.conv2d(x, weight, bias, padding=self.padding))
        else:
            maps = self.activation(functional.conv2d(self.smooth(x), weight, bias, stride=2))
        return maps


class _Level(nn.Module):
    """[N, inputs, H, W] to [N, outputs, H / 2, W / 2]."""

    def __init__(self, inputs: int, outputs: int, *, residual: bool) -> None:
        super().__init__()
        self.first = _ActivatedConv(inputs, inputs, 3)
        self.second = _ActivatedConv(inputs, outputs, 3, halved=True, gain=1.0 if residual else GAIN)
        self.skip = None
        if residual:
            self.skip = nn.Sequential(
                FilteredHalve(), EqualisedConv2d(inputs, outputs, 1, gain=0.5**0.5, bias=False)
            )

    def forward(self, x: Tensor) -> Tensor:
        maps: Tensor = self.second(self.first(x))
        return maps if self.skip is None else maps + self.skip(x)


class _LabelProduct(nn.Module):
    """Features [N, D] and labels to logits [N]: <h, c> / sqrt(D), h linear in the features, c of the label."""

    def __init__(self, features: int, classes: int, layers: int) -> None:
        super().__init__()
        self.linear = EqualisedLinear(features, features)
        self.mapping = Mapping(0, classes, features, layers)
        self.factor = features**-0.5

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        logits: Tensor = (self.linear(x) * self.mapping(None, y)).sum(1) * self.factor
        return logits


class Discriminator(DiscriminatorBase):
    """Images [N, C, H, W] and, if ``classes``, labels to logits [N], or [N, 1 + outputs].

    N is a multiple of ``group``, in which the minibatch deviation compares samples. ``mapping_layers``: of the
    labels, with ``condition: projection``.
    """

    TRAITS: ClassVar[tuple[str, ...]] = ("equalised",)

    BATCH_UNIT: ClassVar[str | None] = "group"

    def __init__(
        self,
        shape: Shape,
        classes: Whole,
        condition: CriticCondition,
        outputs: Whole,
        mapping_layers: Count,
        base: Count,
        max_width: Count,
        residual: bool,
        group: Count | None,
    ) -> None:
        super().__init__()
        channels = channels_of_levels(shape, base, max_width)[::-1]
        self.classes = 0 if condition == "none" else classes
        self.joined = classes if condition == "joined" else 0
        self.outputs = outputs
        self.samplewise = group is None
        last = channels[-1]
        levels = [_Level(*pair, residual=residual) for pair in pairwise(channels)]
        self.levels = nn.Sequential(_ActivatedConv(shape[0] + self.joined, channels[0], 1), *levels)
        self.deviation = nn.Identity() if group is None else MinibatchDeviation(group)
        self.conv = _ActivatedConv(last + (group is not None), last, 3)
        self.linear, self.activation = EqualisedLinear(16 * last, last), LeakyReLU(0.2)
        self.head: nn.Module = EqualisedHead(last)
        if self.classes and condition == "projection":
            self.head = _LabelProduct(last, classes, mapping_layers)
        if outputs:
            self.head = HeadWithOutputs(self.head, EqualisedLinear(last, outputs))

    def features(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        if self.joined:
            x = with_label_maps(x, y, self.joined)
        ends = self.conv(self.deviation(self.levels(x)))
        vectors: Tensor = GAIN * self.activation(self.linear(ends.flatten(1)))
        return vectors
