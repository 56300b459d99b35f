"""A game whose generator is asked for codes, as InfoGAN's is: they are the last numbers of z."""

from dataclasses import dataclass, replace

import torch
from torch.nn import functional

from ganexp.data.batches import Batch
from ganexp.errors import UserError
from ganexp.games.gan import GAN
from ganexp.games.request import Inputs, Request


@dataclass(eq=False, repr=False, kw_only=True)
class OfCodes(GAN):
    """Code 0 is one of three categories, code 1 a number; code 2 is one of two categories."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.code_kinds = (3, 0, 2)

    def inputs(self, request: Request, rng: torch.Generator, reference: Batch | None = None) -> Inputs:
        unknown = [number for number in request.codes if number >= len(self.code_kinds)]
        if unknown:
            raise UserError(f"code.{unknown[0]}: the codes are 0 to {len(self.code_kinds) - 1}")
        (z,) = super().inputs(replace(request, codes={}), rng).args
        start = z.shape[1] - sum(max(kind, 1) for kind in self.code_kinds)
        for number, kind in enumerate(self.code_kinds):
            width = max(kind, 1)
            if number in request.codes:
                code = request.codes[number]
                z[:, start : start + width] = functional.one_hot(code, kind) if kind else code[:, None]
            start += width
        return Inputs((z,))
