r"""What games share that tell unusual samples from those that they were trained on.

A scorer rebuilds a sample x as x' and says how unusual x is. A score is of one sample: it depends on no other,
so that a sample has the same score alone and in any set.
"""

from typing import NamedTuple, Protocol, runtime_checkable

from torch import Tensor, nn

from ganexp.data.batches import Batch
from ganexp.errors import UserError
from ganexp.games.request import Inputs, Request
from ganexp.system.float32 import at_least_float32


class AnomalyParts(NamedTuple):
    """Of N samples: ``score`` [N], higher for unusual ones; ``heat_map`` [N, H, W], the absolute difference
    from the reconstruction, the mean over the channels; ``reconstruction`` [N, ...]. All float32 at least.
    """

    score: Tensor
    heat_map: Tensor
    reconstruction: Tensor


@runtime_checkable
class AnomalyScorer(Protocol):
    """A game that scores anomalies."""

    def anomaly(self, x: Tensor) -> AnomalyParts:
        """Of images [N, C, H, W] as networks see them; called in evaluation mode, without gradients."""
        ...


def squared_error(x: Tensor, other: Tensor) -> Tensor:
    """The mean of the squared differences of each sample: [N]."""
    return (at_least_float32(x) - at_least_float32(other)).square().flatten(1).mean(1)


def absolute_sum(x: Tensor, other: Tensor) -> Tensor:
    """The sum of the absolute differences of each sample (L1 norm): [N]."""
    return (at_least_float32(x) - at_least_float32(other)).abs().flatten(1).sum(1)


def heat_map(x: Tensor, other: Tensor) -> Tensor:
    """Absolute differences of images [N, C, H, W], the mean over the channels: [N, H, W]."""
    return (at_least_float32(x) - at_least_float32(other)).abs().mean(1)


def scored_by_error(reconstruct: nn.Module, x: Tensor) -> AnomalyParts:
    """The score of a plain autoencoder: the mean squared error of its reconstruction."""
    made: Tensor = reconstruct(x)
    return AnomalyParts(squared_error(x, made), heat_map(x, made), at_least_float32(made))


def reconstruction_inputs(request: Request, reference: Batch | None) -> Inputs:
    """Real images, which a network rebuilds. Raises UserError for a request of labels or codes."""
    if request.label is not None or request.codes:
        raise UserError("label, code: this run rebuilds images, and makes none of labels or codes")
    assert reference is not None
    return Inputs((reference.x,), target=reference.x)
