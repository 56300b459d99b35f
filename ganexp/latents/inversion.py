r"""Inversion: the points of a latent space whose images are nearest to given images.

.. math:: \min_p\; |e(G(p)) - e(x)|^2 + prior \cdot penalty(p)

e is an embedding of images (``perceptual.py``); ``point_prior.py`` has the penalty. Each image has candidates:
what an encoder makes of it, the mean point, and points drawn from the prior. The best of them by the same
objective are optimised with Adam (Abdal et al. 2019, "Image2StyleGAN"; from an encoder's point: Zhu et al.
2016), and the best point of all steps is kept. Losses of images are summed, so that a batch is inverted as its
images would be alone.
"""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, NoReturn, TypeAlias

import torch
from torch import Tensor
from tqdm import tqdm

from ganexp.config.ranges import Count, NonNegative, Positive, Whole
from ganexp.errors import UserError
from ganexp.latents.encoder import EncoderTraining, TrainedEncoder, trained_encoder
from ganexp.latents.latent_space import LatentSpace
from ganexp.latents.objective import Objective, Targets
from ganexp.latents.perceptual import Embedding
from ganexp.latents.point_prior import PointPrior
from ganexp.latents.starts import KINDS, Starts, best_starts
from ganexp.latents.style_space import WSpace
from ganexp.system.float32 import full_float32
from ganexp.system.rng import fork_rng

_Bar: TypeAlias = "tqdm[NoReturn]"


class Inverted(NamedTuple):
    """The result for N images, on the CPU.

    ``points``: [N, size], or a w for each layer [N, layers, size]. ``objective``: [N]. ``radius``: the points'
    distance from the mean, in units of a typical one [N]. ``starts``: of what kind the best start was.
    """

    points: Tensor
    objective: Tensor
    radius: Tensor
    starts: list[str]


@dataclass(frozen=True, kw_only=True)
class Inversion:
    """The settings of an inversion, which ``conf/inversion`` explains."""

    encoder: Any
    drawn: Whole
    restarts: Count
    steps: Whole
    rate: Positive
    prior: NonNegative
    clamp: float | None
    per_layer: bool

    def __post_init__(self) -> None:
        if not isinstance(self.encoder, EncoderTraining | None):
            raise UserError("inversion.encoder: it does not build an EncoderTraining")
        if self.clamp is not None and not self.clamp > 0:
            raise UserError(f"inversion.clamp={self.clamp:g}: should be greater than 0, or null for no bound")

    def trained_encoder(self, space: LatentSpace, folder: Path) -> TrainedEncoder | None:
        """The encoder that starts are taken from, trained first if ``folder`` has none; None without."""
        return None if self.encoder is None else trained_encoder(space, self.encoder, folder)

    def check(self, space: LatentSpace) -> None:
        """Raises UserError where the space has no layers, and ``per_layer`` asks for them."""
        if self.per_layer and not isinstance(space, WSpace):
            raise UserError(
                "inversion.per_layer=true: only w has layers: set it to false, or train arch=stylegan2"
            )

    @full_float32()
    def invert(
        self,
        space: LatentSpace,
        embed: Embedding,
        images: Tensor,
        labels: Tensor | None = None,
        *,
        encoder: TrainedEncoder | None = None,
        seed: int = 0,
        batch_size: int = 32,
    ) -> Inverted:
        """Inverts images [N, C, H, W] in [-1, 1]; of a conditional generator, with labels [N] or [N, K].

        ``batch_size``: images at a time, which changes rounding only. Raises UserError as ``check`` does.
        """
        self.check(space)
        objective = Objective(space, PointPrior(space, self.clamp), embed, self.prior)
        net = None if encoder is None else encoder.net
        parts = []
        starts = range(0, len(images), batch_size)
        total = len(starts) * (self.steps + 1)
        with (
            fork_rng(space.device),
            tqdm(total=total, desc="inverting", unit=" steps", delay=1, disable=None, leave=False) as bar,
        ):
            torch.manual_seed(0)  # for generators that draw noise of their own
            for start in starts:
                rows = slice(start, start + batch_size)
                targets = objective.targets(images[rows], None if labels is None else labels[rows])
                best = best_starts(objective, targets, net, self.drawn, seed, self.restarts)
                bar.update()
                parts.append(self._optimised(objective, targets, best, bar))
        *numbers, kinds = zip(*parts, strict=True)
        points, values, radius = map(torch.cat, numbers)
        return Inverted(points, values, radius, [kind for part in kinds for kind in part])

    def _optimised(self, objective: Objective, targets: Targets, starts: Starts, bar: _Bar) -> Inverted:
        """The best point of each target that its starts lead to."""
        number, restarts = starts.objective.shape
        repeated = targets.rows(torch.arange(number).repeat_interleave(restarts))
        first = starts.units.flatten(0, 1)
        if self.per_layer and isinstance(objective.space, WSpace):
            first = first[:, None].repeat(1, objective.space.layers, 1)
        units, values = self._descended(objective, repeated, first, bar)
        chosen = values.reshape(number, restarts).argmin(1)
        best = torch.arange(number, device=chosen.device) * restarts + chosen
        units, kinds = units[best], starts.kinds.flatten()[best]
        return Inverted(
            objective.prior.points(units).cpu(),
            values[best].cpu(),
            objective.prior.radius(units).cpu(),
            [KINDS[kind] for kind in kinds.tolist()],
        )

    def _descended(
        self, objective: Objective, targets: Targets, units: Tensor, bar: _Bar
    ) -> tuple[Tensor, Tensor]:
        """Adam with a rate that falls along a cosine; the best of all steps: units [M, ...] and values [M]."""
        rest = objective.generator_labels(len(units), targets.labels)
        best, least = units, torch.full((len(units),), math.inf, device=units.device)
        units = units.clone().requires_grad_(True)
        optimiser = torch.optim.Adam([units], lr=self.rate)
        for step in range(self.steps + 1):
            with torch.enable_grad():
                values = objective(units, targets, rest)
            better = values.detach() < least
            least = torch.where(better, values.detach(), least)
            best = torch.where(better.reshape(-1, *[1] * (units.dim() - 1)), units.detach(), best)
            if step == self.steps:
                break
            optimiser.param_groups[0]["lr"] = self.rate * (1 + math.cos(math.pi * step / self.steps)) / 2
            (units.grad,) = torch.autograd.grad(values.sum(), units)
            optimiser.step()
            with torch.no_grad():
                units.copy_(objective.prior.clamped(units))
            bar.update()
        return best, least
