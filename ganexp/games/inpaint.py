"""Filling holes: Pathak et al. 2016, Iizuka et al. 2017 (GLCIC), Yu et al. 2019 (gated convolutions).

    the generator minimises   w L_g(D(G(s), m)) + hole_weight E |G(s) - x|^p, the mean over the hole
    the discriminator         L_d(D(x, m), D(G(s), m)) + penalties

with p = 1 or 2. s is the image x with a hole and the mask m, which is 1 in the hole. G(s) is x outside of the
hole, bit for bit, so only the hole is learned; the discriminator judges the whole image and is given the mask
as one more channel. GLCIC's three phases are ``pretrain_steps``, ``critic_steps`` and the rest.
"""

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor
from torch.nn.functional import max_pool2d

from ganexp.config.ranges import NonNegative, Whole
from ganexp.data.batches import Batch
from ganexp.data.degradations.holes import Holes
from ganexp.errors import UserError
from ganexp.games.image_to_image import ImageToImage
from ganexp.penalties import Critic
from ganexp.system.float32 import at_least_float32


@dataclass(eq=False, repr=False, kw_only=True)
class Inpaint(ImageToImage):
    """``generator(source)`` against ``discriminator([x, mask])``."""

    GIVES_MASK: ClassVar[bool] = True

    hole_weight: NonNegative
    difference: Literal["absolute", "squared"]
    border: Whole
    border_weight: NonNegative

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.degrade, Holes):
            raise UserError("game=inpaint fills holes: set degrade=holes, and data=folder or the like")

    def critic(self, batch: Batch, *, augmented: bool = True) -> Critic:
        mask = mask_of(batch)

        def critic(samples: Tensor) -> Tensor:
            masks = mask.repeat(len(samples) // len(mask), 1, 1, 1).to(samples.dtype)
            shown, seen = self.augment(samples, masks) if augmented else (samples, masks)
            return at_least_float32(self.discriminator(torch.cat([shown, seen], 1)))

        return critic

    def content(self, fake: Tensor, batch: Batch) -> dict[str, Tensor]:
        error = (fake - batch.x).abs() if self.difference == "absolute" else (fake - batch.x).square()
        weights = hole_weights(mask_of(batch), self.border, self.border_weight)
        return {"hole": self.hole_weight * hole_mean(error, mask_of(batch), weights)}


def mask_of(batch: Batch) -> Tensor:
    """The masks [N, 1, H, W] of a batch that ``with_source`` returned."""
    assert batch.source is not None
    return batch.source[:, -1:]


def hole_weights(mask: Tensor, border: int, border_weight: float) -> Tensor:
    """Weights [N, 1, H, W]: ``border_weight`` in the outermost ``border`` pixels of a hole, 1 in its rest.

    Outside of the hole they are 0. A corner's neighbours are those across a corner too.
    """
    if not border:
        return mask
    near = max_pool2d(1 - mask, 2 * border + 1, stride=1, padding=border)
    return mask * (1 + (border_weight - 1) * near)


def hole_mean(error: Tensor, mask: Tensor, weights: Tensor) -> Tensor:
    """The mean over a batch of the mean of ``weights * error`` over each hole; 0 where there is no hole.

    ``error`` [N, C, H, W]; ``mask`` and ``weights`` [N, 1, H, W]. Each hole counts the same, whatever its size,
    so that the mean over several processes is that over the whole batch.
    """
    total = at_least_float32(weights * error).sum((1, 2, 3))
    count = error.shape[1] * at_least_float32(mask).sum((1, 2, 3))
    return (total / count.clamp(min=1)).mean()
