"""Batch norm (Ioffe & Szegedy 2015) over the batches of all ranks, on any device.

    y = (x - E[x]) / sqrt(Var[x] + eps) * weight + bias

with the mean and the variance of the global batch, of which each rank has an equal share. Gradients include a
sample's effect on the statistics of all ranks.
"""

from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from ganexp.distributed import collectives
from ganexp.system.float32 import at_least_float32

_BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
M = TypeVar("M", bound=nn.Module)


class SynchronisedBatchNorm(_BatchNorm):
    """Replaces ``layer`` and shares its parameters and buffers, under the same names.

    [N, C, ...] to the same shape. In evaluation mode there is no communication between ranks.
    """

    def __init__(self, layer: _BatchNorm) -> None:
        super().__init__(layer.num_features, layer.eps, layer.momentum, layer.affine, layer.track_running_stats)
        self._parameters, self._buffers = layer._parameters, layer._buffers
        self.training = layer.training

    def _check_input_dim(self, input: Tensor) -> None:
        """Accepts any shape."""

    def forward(self, input: Tensor) -> Tensor:
        if not self.training:
            return super().forward(input)
        x = at_least_float32(input)
        dims = [0, *range(2, x.dim())]
        means, variances = collectives.all_gather_rows(
            torch.cat([x.mean(dims), x.var(dims, correction=0)])
        ).chunk(2, 1)
        mean = means.mean(0)
        variance = variances.mean(0) + (means - mean).square().mean(0)
        self._update_running_statistics(
            mean.detach(), variance.detach(), collectives.world_size() * x.numel() // self.num_features
        )
        shape = [1, -1] + [1] * (x.dim() - 2)
        y = (x - mean.view(shape)) * (variance + self.eps).rsqrt().view(shape)
        if self.affine:
            y = y * self.weight.view(shape) + self.bias.view(shape)
        return y.to(input.dtype)

    @torch.no_grad()
    def _update_running_statistics(self, mean: Tensor, variance: Tensor, count: int) -> None:
        if self.running_mean is None or self.running_var is None or self.num_batches_tracked is None:
            return
        self.num_batches_tracked += 1
        momentum = 1 / self.num_batches_tracked if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean.to(self.running_mean.dtype), momentum)
        self.running_var.lerp_((variance * count / (count - 1)).to(self.running_var.dtype), momentum)


def convert_sync_batch_norm(net: M) -> M:
    """Replaces the batch norms of a network in place; returns the network."""
    for name, layer in net.named_children():
        if isinstance(layer, _BatchNorm) and type(layer) in _BATCH_NORMS:
            setattr(net, name, SynchronisedBatchNorm(layer))
        else:
            convert_sync_batch_norm(layer)
    return net
