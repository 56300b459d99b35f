"""F of CUT (Park et al. 2020, section 3.2): what features of patches are compared by.

For each compared map a network of its own: linear to D units, ReLU, linear to D. Its input is the feature
vector of one place, so that its size follows from the channels of the map:

    C D + D + D^2 + D    weights for a map of C channels, and D = 256 in the paper

The authors' program builds it in the first forward pass; here it is built from the settings of the generator.
Initial weights are Glorot's, without the program's factor of 0.02: the loss takes vectors of unit length.
"""

from collections.abc import Sequence

from torch import Tensor, nn

from ganexp.config.ranges import Count, Shape, Widths
from ganexp.nets.initialise import initialise_glorot


class Projector(nn.Module):
    """Features [N, S, C] of each compared map to [N, S, dimensions], not of unit length.

    The first map is the source of ``source_shape``; the others have ``width`` times ``multiples`` channels.
    ``channels``: those of all maps, which have to be the generator's ``feature_channels``.
    """

    def __init__(self, source_shape: Shape, width: Count, multiples: Widths, dimensions: Count) -> None:
        super().__init__()
        self.channels = (source_shape[0], *(width * multiple for multiple in multiples))
        self.layers = nn.ModuleList(
            nn.Sequential(nn.Linear(inputs, dimensions), nn.ReLU(), nn.Linear(dimensions, dimensions))
            for inputs in self.channels
        )
        self.apply(initialise_glorot)

    def forward(self, features: Sequence[Tensor]) -> list[Tensor]:
        return [layer(maps) for layer, maps in zip(self.layers, features, strict=True)]
