"""Conditional normalisation: a norm whose gain and bias depend on the label.

    y = gain(label) * norm(x) + bias(label)

Source: Dumoulin et al. 2017, equation 5; as conditional batch norm in generators: Miyato & Koyama 2018,
section 6. The gain is written 1 + W e with the label's vector e, as in BigGAN (Brock et al. 2019, appendix B),
and W starts at zero, so that the layer starts as the plain norm. That also gives a meaning to several
attributes at once: their effects add up.
"""

from collections.abc import Callable, Mapping

from torch import Tensor, nn

from ganexp.errors import UserError
from ganexp.nets.layers import label_vectors


class ConditionalNorm(nn.Module):
    """Features [N, C, ...] and labels to features of the same shape.

    ``norm`` has no gain and bias of its own.
    """

    def __init__(self, norm: nn.Module, channels: int, classes: int) -> None:
        super().__init__()
        self.norm = norm
        self.classes = classes
        self.gain = nn.Linear(classes, channels, bias=False)
        self.bias = nn.Linear(classes, channels, bias=False)
        nn.init.zeros_(self.gain.weight)
        nn.init.zeros_(self.bias.weight)

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        label = label_vectors(y, self.classes)
        shape = [label.shape[0], -1] + [1] * (x.dim() - 2)
        normed: Tensor = (1 + self.gain(label)).view(shape) * self.norm(x) + self.bias(label).view(shape)
        return normed


def label_layers(net: nn.Module) -> list[nn.Module]:
    """The layers in ``net`` that map labels to the gains and biases of its conditional norms."""
    norms = [module for module in net.modules() if isinstance(module, ConditionalNorm)]
    return [layer for norm in norms for layer in (norm.gain, norm.bias)]


class ConditionalSequential(nn.Sequential):
    """As ``nn.Sequential``, but passes the labels to each ``ConditionalNorm``."""

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        for layer in self:
            x = layer(x, y) if isinstance(layer, ConditionalNorm) else layer(x)
        return x


def norm_layer(
    norms: Mapping[str, Callable[..., nn.Module]], name: str, channels: int, classes: int
) -> nn.Module:
    """The norm called ``name``, conditional if ``classes`` > 0. Raises UserError for a conditional ``none``."""
    if not classes:
        return norms[name](channels)
    if name == "none":
        raise UserError("arch.generator.condition=norm needs a norm: set arch.generator.norm=batch, or layer")
    return ConditionalNorm(norms[name](channels, affine=False), channels, classes)
