"""Two generators of opposite directions in one module."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor, nn

from ganexp.data.degradations.degradation import Degradation
from ganexp.data.degradations.pairs import Pairs
from ganexp.games.translation import Restored


class BothDirections(Restored):
    """G from sources to images, and as ``back`` F from images to sources, so that both are averaged and saved.

    A call is that of G.
    """

    def __init__(self, net: nn.Module, degrade: Degradation, back: Restored) -> None:
        super().__init__(net, degrade)
        self.back = back


@dataclass(eq=False, repr=False, kw_only=True)
class AsShown(Pairs):
    """From images to sources as they are ``drawn``: for looking at the way back, and for files of it."""

    drawn: Callable[[Tensor], Tensor]

    def restore(self, output: Tensor, source: Tensor) -> Tensor:
        return self.drawn(output)


def shown_back(generator: BothDirections) -> Restored:
    """F, whose outputs are images: a lightness of -1 to 1 as grey, for example."""
    own = generator.back.degrade
    shapes = {"source_shape": own.source_shape, "output_shape": own.output_shape}
    return Restored(generator.back.net, AsShown(drawn=generator.degrade.shown, **shapes))


class RoundTrip(nn.Module):
    """Images x [N, ...] to G(F(x)): as sources, and back."""

    def __init__(self, generator: BothDirections) -> None:
        super().__init__()
        self.generator = generator

    def forward(self, x: Tensor) -> Tensor:
        images: Tensor = self.generator(self.generator.back(x))
        return images
