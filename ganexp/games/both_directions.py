"""Two generators of opposite directions in one module."""

from torch import Tensor, nn

from ganexp.data.degradations.degradation import Degradation
from ganexp.games.translation import Restored


class BothDirections(Restored):
    """G from sources to images, and as ``back`` F from images to sources, so that both are averaged and saved.

    A call is that of G.
    """

    def __init__(self, net: nn.Module, degrade: Degradation, back: Restored) -> None:
        super().__init__(net, degrade)
        self.back = back


class RoundTrip(nn.Module):
    """Images x [N, ...] to G(F(x)): as sources, and back."""

    def __init__(self, generator: BothDirections) -> None:
        super().__init__()
        self.generator = generator

    def forward(self, x: Tensor) -> Tensor:
        images: Tensor = self.generator(self.generator.back(x))
        return images
