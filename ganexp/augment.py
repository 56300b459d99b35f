"""Augmentation of the critic's inputs, real and fake.

An augmentation is a module. ``augment(*samples) -> samples`` draws new parameters at each call, applies the
same geometric transformation to all of its arguments (a source and its target), and is differentiable in them.
``observe`` receives the logits of real samples after each turn of the critic: an adaptive augmentation keeps
its state in buffers on the device, averaged over all ranks.
"""

from torch import Tensor, nn


class Augment(nn.Module):
    """Base class of augmentations."""

    def forward(self, *samples: Tensor) -> tuple[Tensor, ...]:
        """Augments batches [N, ...] and returns them in the same order."""
        raise NotImplementedError

    def observe(self, real_logits: Tensor) -> None:
        """Adapts to the logits [N] or [N, ...] of real samples, detached; does nothing by default."""


class NoAugment(Augment):
    """Leaves samples as they are."""

    def forward(self, *samples: Tensor) -> tuple[Tensor, ...]:
        return samples
