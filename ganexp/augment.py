"""What stands between samples and critic, so that the critic never sees them as they are.

An augmentation is a module: ``augment(*samples) -> samples`` draws anew at each call, gives the same geometric
transformation to all of its arguments (a source and its target), and is differentiable in them. ``observe`` is
shown the logits of real samples after each turn of the critic: an adaptive one keeps its state in buffers, on
the device, averaged over the processes of the run.
"""

from torch import Tensor, nn


class Augment(nn.Module):
    """The base of every augmentation."""

    def forward(self, *samples: Tensor) -> tuple[Tensor, ...]:
        """Batches [N, ...], as many as are given, in the same order."""
        raise NotImplementedError

    def observe(self, real_logits: Tensor) -> None:
        """Logits [N] or [N, ...] of real samples, detached."""


class NoAugment(Augment):
    """Leaves samples as they are."""

    def forward(self, *samples: Tensor) -> tuple[Tensor, ...]:
        return samples
