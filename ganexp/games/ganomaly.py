r"""GANomaly: Akcay et al. 2018, equations 2 to 5.

    z = E(x),  x' = G(z),  z' = E'(x')        one generator of three parts
    the generator minimises   feature_weight |f(x) - f(x')|^2 + image_weight |x - x'| + code_weight |z - z'|^2
    the discriminator         L_d(D(x), D(x')) + penalties

All differences are means over values and samples; f are the discriminator's ``features``. There is no
adversarial loss of the generator: the features take its place. The discriminator moves first; in the authors'
program the generator does.

The anomaly score of an image is the mean of (z - z')^2. The paper scales it to [0, 1] by the smallest and the
largest score of the test set; here a score depends on its own image only.
"""

from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor

from ganexp.config.ranges import NonNegative
from ganexp.data.batches import Batch
from ganexp.games.adversarial import AdversarialGame
from ganexp.games.anomaly import AnomalyParts, heat_map, reconstruction_inputs, squared_error
from ganexp.games.game import Turn
from ganexp.games.request import Inputs, Request
from ganexp.nets.ganomaly import Generator
from ganexp.system.float32 import at_least_float32


@dataclass(eq=False, repr=False, kw_only=True)
class GANomaly(AdversarialGame):
    """``generator(x)``, with ``rebuilt(x)``, against ``discriminator(x)`` with ``features(x)``."""

    needs_reference: ClassVar[bool] = True

    feature_weight: NonNegative
    image_weight: NonNegative
    code_weight: NonNegative

    generator: Generator = field(init=False)

    def fake(self, batch: Batch) -> tuple[Tensor, tuple[Tensor, ...]]:
        """The reconstructions, and the codes before and behind them."""
        codes, images, codes_again = self.generator.rebuilt(batch.x)
        return images, (codes, codes_again)

    def generator_turn(self, batch: Batch) -> Turn:
        """The three terms, and the generator's penalties."""
        call = self.generator_call(batch)
        codes, codes_again = call.inputs
        with torch.no_grad():
            wanted = self.discriminator.features(batch.x)
        features = squared_error(wanted, self.discriminator.features(call.fake)).mean()
        image = (at_least_float32(batch.x) - at_least_float32(call.fake)).abs().mean()
        losses = {
            "features": self.feature_weight * features,
            "reconstruction": self.image_weight * image,
            "codes": self.code_weight * squared_error(codes, codes_again).mean(),
        }
        losses |= {name: penalty(call) for name, penalty in self.penalties_of("g").items()}
        return Turn(losses, {"D_G_z": self.loss.output(call.fake_logits.detach()).mean()})

    def anomaly(self, x: Tensor) -> AnomalyParts:
        """See ``AnomalyScorer``: how far the code of the reconstruction is from that of the image."""
        codes, images, codes_again = self.generator.rebuilt(x)
        return AnomalyParts(squared_error(codes, codes_again), heat_map(x, images), at_least_float32(images))

    def inputs(self, request: Request, rng: torch.Generator, reference: Batch | None = None) -> Inputs:
        return reconstruction_inputs(request, reference)
