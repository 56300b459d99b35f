"""Heads: the last layers of a discriminator, which map the features of its trunk to logits.

A head is called as ``head(features, y=None)`` with features [N, D] or [N, C, H, W]. It returns logits [N], or
[N, 1 + outputs] if it has further outputs for its game. The first column is the logit; the others are the
logits of an auxiliary classifier (Odena et al. 2017), or the posterior of codes (Chen et al. 2016).
"""

import torch
from torch import Tensor, nn

from ganexp.nets.convolutions import MapToVector
from ganexp.nets.layers import label_vectors


class LinearHead(nn.Linear):
    """Feature vectors [N, D] to logits [N]."""

    def __init__(self, inputs: int) -> None:
        super().__init__(inputs, 1)

    def forward(self, features: Tensor, y: Tensor | None = None) -> Tensor:
        return super().forward(features).squeeze(1)


class MapHead(MapToVector):
    """Feature maps [N, C, side, side] to logits [N]: a convolution over the whole map (DCGAN's last layer)."""

    def __init__(self, inputs: int, side: int, *, bias: bool = True) -> None:
        super().__init__(inputs, 1, side, bias=bias)

    def forward(self, features: Tensor, y: Tensor | None = None) -> Tensor:
        return super().forward(features).flatten()


class ProjectionHead(nn.Module):
    r"""Miyato & Koyama 2018, equation 8: :math:`\psi(\phi(x)) + \langle V y, \phi(x) \rangle`.

    ``logit`` is psi. For the product, maps are summed over their positions, as in the authors' program. With
    V = 0 it is the unconditional head. The paper normalises V spectrally; this class does not.
    """

    def __init__(self, logit: nn.Module, features: int, classes: int) -> None:
        super().__init__()
        self.logit = logit
        self.classes = classes
        self.embedding = nn.Linear(classes, features, bias=False)
        nn.init.normal_(self.embedding.weight, 0.0, 0.02)

    def forward(self, features: Tensor, y: Tensor | None = None) -> Tensor:
        pooled = features.flatten(2).sum(2) if features.dim() > 2 else features
        logits: Tensor = self.logit(features)
        projected: Tensor = (self.embedding(label_vectors(y, self.classes)) * pooled).sum(1)
        return logits + projected


class HeadWithOutputs(nn.Module):
    """The logits of a head, and further outputs of the same features: [N, 1 + outputs].

    ``outputs`` maps features to [N, outputs], or to [N, outputs, 1, 1].
    """

    def __init__(self, logit: nn.Module, outputs: nn.Module) -> None:
        super().__init__()
        self.logit = logit
        self.outputs = outputs

    def forward(self, features: Tensor, y: Tensor | None = None) -> Tensor:
        return torch.cat([self.logit(features, y)[:, None], self.outputs(features).flatten(1)], 1)
