"""Adaptive discriminator augmentation, with one augmentation: Karras et al. 2020, section 3.

The probability rises while the discriminator is sure of real samples, and falls while it is not.
"""

import torch
from torch import Tensor

from ganexp.augment import Augment
from ganexp.config.ranges import Positive, Share
from ganexp.distributed import collectives


class Adaptive(Augment):
    """Samples mirrored with a probability that keeps E sign(D(x)) at ``target``.

    ``images``: real samples in which it can go from 0 to 1.
    """

    probability: Tensor

    def __init__(self, start: Share, target: Share, images: Positive) -> None:
        super().__init__()
        self.target, self.images = target, images
        self.register_buffer("probability", torch.tensor(float(start)))

    def forward(self, *samples: Tensor) -> tuple[Tensor, ...]:
        first = samples[0]
        mirrored = torch.rand(len(first), device=first.device) < self.probability
        return tuple(
            torch.where(mirrored.view(-1, *[1] * (each.dim() - 1)), each.flip(-1), each) for each in samples
        )

    def observe(self, real_logits: Tensor) -> None:
        sign = real_logits.sign().mean()
        collectives.all_reduce_mean([sign])
        step = (sign - self.target).sign() * (len(real_logits) * collectives.world_size() / self.images)
        self.probability.add_(step).clamp_(0, 1)
