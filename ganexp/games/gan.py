"""The game of noise and samples: Goodfellow et al. 2014, Algorithm 1; see ``adversarial.py``.

The paper draws new noise for the generator's turn; ``reuse_fake`` does not.
"""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from ganexp.config.ranges import Noise
from ganexp.data.batches import Batch
from ganexp.errors import UserError
from ganexp.games.adversarial import AdversarialGame
from ganexp.games.prior import LatentPrior
from ganexp.games.request import Inputs, Request
from ganexp.nets.layers import GeneratorBase


@dataclass(eq=False, repr=False, kw_only=True)
class GAN(AdversarialGame):
    """``generator(z)`` against ``discriminator(x)``."""

    noise: Noise

    generator: GeneratorBase = field(init=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.prior = LatentPrior(self.generator.latent, self.noise)

    def training_inputs(self, batch: Batch) -> tuple[Tensor, ...]:
        return (self.latents(batch),)

    def latents(self, batch: Batch) -> Tensor:
        """z [N, latent], one for each sample of the batch."""
        assert self.prior is not None
        return self.prior(len(batch.x), device=batch.x.device)

    def judge(self, samples: Tensor) -> Tensor | None:
        """None of a discriminator that is given labels, or something else than a sample (a pack, a pair)."""
        batch = Batch(samples, torch.zeros(len(samples), dtype=torch.int64, device=samples.device))
        if getattr(self.discriminator, "classes", 0) or self.real(batch).shape != samples.shape:
            return None
        answer = self.discriminate(samples, batch)
        return answer[:, 0] if getattr(self.discriminator, "outputs", 0) else answer

    def inputs(self, request: Request, rng: torch.Generator, reference: Batch | None = None) -> Inputs:
        if request.label is not None:
            raise UserError("label: this run knows no labels; train one with game=cgan")
        if request.codes:
            raise UserError("code: this run has no codes; train one with game=infogan")
        assert self.prior is not None
        return Inputs((request.repeat(self.prior(request.draws, generator=rng)),))
