"""The conditional game (Mirza & Osindero 2014) for samples with several attributes at once."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional

from ganexp.data.batches import Batch
from ganexp.errors import UserError
from ganexp.games.cgan import CGAN
from ganexp.games.request import Inputs, Request
from ganexp.nets import mlp


class Generator(mlp.Generator):
    """Latents [N, latent] and attributes [N, classes] to samples."""

    def forward(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        assert y is not None
        flat: Tensor = self.last(self.out(self.hidden(torch.cat([z, y.to(z.dtype)], 1))))
        return flat.reshape(-1, *self.shape)


class Discriminator(mlp.Discriminator):
    """Samples [N, *shape] and attributes [N, classes] to logits [N]."""

    def features(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        assert y is not None
        vectors: Tensor = self.hidden(torch.cat([x.flatten(1), y.to(x.dtype)], 1))
        return vectors


@dataclass(eq=False, repr=False, kw_only=True)
class OfAttributes(CGAN):
    """Asked for one label, it makes samples with that attribute alone."""

    def inputs(self, request: Request, rng: torch.Generator, reference: Batch | None = None) -> Inputs:
        label = request.label
        if label is not None and label.dim() == 1:
            count, largest = self.generator.classes, int(label.max())
            if largest >= count:
                raise UserError(f"label={largest}: the attributes are 0 to {count - 1}")
            request = replace(request, label=functional.one_hot(label, count))
        return super().inputs(request, rng, reference)
