"""Heads: the last layer of a discriminator, which maps the features of its trunk to logits.

A head is called as ``head(features, y=None)`` and returns logits [N].
"""

from torch import Tensor, nn

from ganexp.nets.convolutions import MapToVector


class LinearHead(nn.Linear):
    """Feature vectors [N, D] to logits [N]."""

    def __init__(self, inputs: int) -> None:
        super().__init__(inputs, 1)

    def forward(self, features: Tensor, y: Tensor | None = None) -> Tensor:
        return super().forward(features).squeeze(1)


class MapHead(MapToVector):
    """Feature maps [N, C, side, side] to logits [N]: a convolution over the whole map (DCGAN's last layer)."""

    def __init__(self, inputs: int, side: int) -> None:
        super().__init__(inputs, 1, side)

    def forward(self, features: Tensor, y: Tensor | None = None) -> Tensor:
        return super().forward(features).flatten()
