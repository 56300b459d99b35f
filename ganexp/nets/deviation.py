r"""The minibatch standard deviation: Karras et al. 2018, section 3.

A discriminator that sees how much the samples of a batch differ recognises a generator that makes all of them
alike. For each group of samples, s = mean over channels and positions of sqrt(variance over the group + 1e-8)
is appended to each of them as one more channel. The variance is the biased one, as in the authors' program.

Groups are of neighbours in the batch. The authors' are strided (i, i + M, i + 2M ...), which is the same for a
batch in random order. Several processes take contiguous slices of a batch, so that groups of neighbours do not
depend on their number, provided that each slice is a multiple of a group: ``BATCH_UNIT`` of the networks.
"""

import torch
from torch import Tensor, nn

from ganexp.system.float32 import at_least_float32


class MinibatchDeviation(nn.Module):
    """[N, C, H, W] to [N, C + 1, H, W]; N is a multiple of ``group``. Equal samples give 1e-4, not 0."""

    def __init__(self, group: int) -> None:
        super().__init__()
        self.group = group

    def forward(self, x: Tensor) -> Tensor:
        grouped = at_least_float32(x).unflatten(0, (-1, self.group))  # in fp16, 1e-8 is 0
        centred = grouped - grouped.mean(1, keepdim=True)
        deviation = (centred.square().mean(1) + 1e-8).sqrt().flatten(1).mean(1)
        maps = deviation.repeat_interleave(self.group).view(-1, 1, 1, 1).expand(-1, 1, *x.shape[2:])
        return torch.cat([x, maps.to(x.dtype)], 1)
