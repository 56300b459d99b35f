"""Initial weights of residual networks, and their division by the largest singular value.

glorot        Glorot & Bengio 2010, uniform; of 3 x 3 kernels with a gain of sqrt(2), as in SNGAN's program
orthogonal    Saxe et al. 2014: rows, or columns where these are fewer, are orthonormal; as in BigGAN
normal        N(0, 0.02^2), as in DCGAN
"""

from collections.abc import Callable, Iterable

from torch import nn
from torch.nn.utils.parametrizations import spectral_norm

from ganexp.config.ranges import Initialisation
from ganexp.nets.layers import initialise_normal


def initialise_glorot(module: nn.Module) -> None:
    """Weights of linear layers and convolutions; biases are 0."""
    if isinstance(module, nn.Conv2d | nn.Linear):
        three = isinstance(module, nn.Conv2d) and module.kernel_size == (3, 3)
        nn.init.xavier_uniform_(module.weight, 2**0.5 if three else 1.0)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def initialise_orthogonal(module: nn.Module) -> None:
    """Weights of linear layers and convolutions, as matrices of a row for each output; biases are 0."""
    if isinstance(module, nn.Conv2d | nn.Linear):
        nn.init.orthogonal_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


INITIALISATIONS: dict[Initialisation, Callable[[nn.Module], None]] = {
    "glorot": initialise_glorot,
    "orthogonal": initialise_orthogonal,
    "normal": initialise_normal,
}
"""Functions of one module, by their name in a configuration."""


def initialise(net: nn.Module, how: Initialisation, apart_from: Iterable[nn.Module] = ()) -> None:
    """Initial weights of every module of ``net``; those of ``apart_from`` are left as they are."""
    left = set(apart_from)
    for module in net.modules():
        if module not in left:
            INITIALISATIONS[how](module)


def initialise_generator(
    net: nn.Module, to_image: nn.Conv2d, how: Initialisation, apart_from: Iterable[nn.Module] = ()
) -> None:
    """As ``initialise``; Glorot's gain of ``to_image`` is 1, because no ReLU follows it."""
    initialise(net, how, apart_from)
    if how == "glorot":
        nn.init.xavier_uniform_(to_image.weight)


def normalise_spectrally(net: nn.Module, apart_from: Iterable[nn.Module] = ()) -> None:
    """Divides every weight of linear layers and convolutions by its largest singular value.

    Miyato et al. 2018, algorithm 1: one power iteration in each forward pass in training; in evaluation the
    vectors stay as they are. Layers of ``apart_from`` are left as they are. Weights have their initial values
    before, which must not all be zero: a normalised weight is computed, and cannot be set.
    """
    left = set(apart_from)
    for module in list(net.modules()):
        if isinstance(module, nn.Conv2d | nn.Linear) and module not in left:
            spectral_norm(module)
