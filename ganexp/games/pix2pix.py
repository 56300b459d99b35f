"""pix2pix: Isola et al. 2017, equation 4.

    min_G max_D  E log D(s, x) + E log(1 - D(s, G(s))) + l1_weight E |x - G(s)|

The discriminator is given the source beside the image. The paper's noise is the dropout of its generator, which
is off when a generator is looked at, so that equal sources give equal images. With ``reuse_fake`` both turns
use the same G(s), as in the authors' program.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from ganexp.config.ranges import NonNegative
from ganexp.data.batches import Batch
from ganexp.games.image_to_image import ImageToImage
from ganexp.penalties import Critic
from ganexp.system.float32 import at_least_float32


@dataclass(eq=False, repr=False, kw_only=True)
class Pix2Pix(ImageToImage):
    """``generator(source)`` against ``discriminator([source, x])``."""

    l1_weight: NonNegative

    def critic(self, batch: Batch, *, augmented: bool = True) -> Critic:
        assert batch.source is not None
        source = _in_size(batch.source, batch.x)

        def critic(samples: Tensor) -> Tensor:
            sources = source.repeat(len(samples) // len(source), 1, 1, 1)
            shown, seen = self.augment(samples, sources) if augmented else (samples, sources)
            return at_least_float32(self.discriminator(torch.cat([seen, shown], 1)))

        return critic

    def content(self, fake: Tensor, batch: Batch) -> dict[str, Tensor]:
        return {"l1": self.l1_weight * (fake - batch.x).abs().mean()}


def _in_size(source: Tensor, x: Tensor) -> Tensor:
    """The source [N, c, h, w] in the size of ``x``, by repeating pixels."""
    return source if source.shape[2:] == x.shape[2:] else interpolate(source, size=x.shape[2:])
