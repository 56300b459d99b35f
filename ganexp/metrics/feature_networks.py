"""The networks that samples are scored by: a small classifier of classes or attributes, and a random one."""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

WIDTHS = (32, 64, 128)
"""Channels of the layers of the usual classifier."""

_MAX_SIDE = 32
"""The largest side in pixels; larger images are average-pooled down to it."""


class Classifier(nn.Module):
    """Images [N, C, H, W] in [-1, 1] to features [N, 128] and logits [N, K]."""

    def __init__(self, channels: int, classes: int, widths: Sequence[int] = WIDTHS) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for inputs, outputs in pairwise((channels, *widths)):
            layers += [nn.Conv2d(inputs, outputs, 3, 2, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()]
        self.layers = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(2), nn.Flatten())
        self.hidden = nn.Linear(4 * widths[-1], 128)
        self.out = nn.Linear(128, classes)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        features = functional.relu(self.hidden(self.layers(_pool_to_max_side(x))))
        return features, self.out(features)

    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """The cross-entropy of labels [N] int64."""
        return functional.cross_entropy(logits, labels)

    def labels(self, logits: Tensor) -> Tensor:
        """The predicted classes [N] int64."""
        return logits.argmax(1)

    def probabilities(self, logits: Tensor) -> Tensor:
        """[N, K], of the classes."""
        return logits.softmax(1)

    def log_odds(self, logits: Tensor) -> Tensor:
        """[N, K]: log p / (1 - p) of each class; above 0 where it is more probable than all others together."""
        one = logits[:, :, None].expand(-1, -1, logits.shape[1])
        others = one.transpose(1, 2).masked_fill(torch.eye(logits.shape[1], dtype=torch.bool), -torch.inf)
        return logits - others.logsumexp(2)


class AttributeClassifier(Classifier):
    """The same with a logit for each of K attributes, which a sample has or has not independently."""

    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """The mean over attributes of the binary cross-entropy of labels [N, K] of 0 and 1."""
        return functional.binary_cross_entropy_with_logits(logits, labels.float())

    def labels(self, logits: Tensor) -> Tensor:
        """The predicted attributes [N, K] int64: 1 where the probability is above 1/2."""
        return (logits > 0).long()

    def probabilities(self, logits: Tensor) -> Tensor:
        """[N, K], each of one attribute."""
        return logits.sigmoid()

    def log_odds(self, logits: Tensor) -> Tensor:
        """[N, K], each of one attribute: the logits."""
        return logits


class RandomNetwork(nn.Module):
    """Images to 1,024 features, by three untrained layers."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for inputs, outputs in ((channels, 64), (64, 128), (128, 256)):
            conv = nn.Conv2d(inputs, outputs, 3, 2, 1, bias=False)
            nn.init.orthogonal_(conv.weight, gain=2**0.5)
            layers += [conv, nn.ReLU()]
        self.layers = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(2), nn.Flatten())

    def forward(self, x: Tensor) -> tuple[Tensor, None]:
        return self.layers(_pool_to_max_side(x)), None


def _pool_to_max_side(x: Tensor) -> Tensor:
    return functional.adaptive_avg_pool2d(x, _MAX_SIDE) if x.shape[-1] > _MAX_SIDE else x
