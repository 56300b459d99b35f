"""Two regularisers: one of the generator, one of the critic's logits with a memory."""

from typing import ClassVar

import torch
from torch import Tensor

from ganexp.config.ranges import Count, Fraction, NonNegative
from ganexp.distributed import collectives
from ganexp.penalties import Penalty, PlayerCall


class ModeSeeking(Penalty):
    r"""Mao et al. 2019, equation 2, as a reciprocal, which is minimised.

    :math:`E\, \|z_1 - z_2\|_1 / \|G(z_1) - G(z_2)\|_1` over pairs of neighbours in a batch.
    """

    player: ClassVar[str] = "g"

    def __init__(self, weight: NonNegative, every: Count) -> None:
        super().__init__(weight, every)

    def term(self, call: PlayerCall) -> Tensor:
        images, latents = (
            (values[0::2] - values[1::2]).abs().flatten(1).mean(1) for values in (call.fake, call.inputs[0])
        )
        ratios: Tensor = latents / (images + 1e-5)
        return ratios.mean()


class LeCam(Penalty):
    r"""Tseng et al. 2021, equation 6: :math:`E (D(x) - \alpha_F)^2 + E (D(G(z)) - \alpha_R)^2`.

    The anchors :math:`\alpha` are moving averages of the logits, over all processes.
    """

    anchors: Tensor

    def __init__(self, weight: NonNegative, decay: Fraction, every: Count) -> None:
        super().__init__(weight, every)
        self.decay = decay
        self.register_buffer("anchors", torch.zeros(2))

    def term(self, call: PlayerCall) -> Tensor:
        assert call.real_logits is not None
        means = torch.stack([call.real_logits.mean(), call.fake_logits.mean()]).detach()
        collectives.all_reduce_mean([means])
        self.anchors.lerp_(means.to(self.anchors.dtype), 1 - self.decay)
        real, fake = self.anchors
        apart: Tensor = (call.real_logits - fake).square().mean() + (call.fake_logits - real).square().mean()
        return apart
