"""The space w of a generator with styles, such as StyleGAN2's. A point may have a w for each layer."""

from functools import cached_property
from typing import Protocol

import torch
from torch import Tensor, nn

from ganexp.games.prior import Moments
from ganexp.latents.latent_space import Codes, LatentSpace, ZSpace
from ganexp.penalties import StyledGenerator

_MEASURED = 4096
"""Styles that the moments of w are measured from; always the same ones."""


class StyledNet(StyledGenerator, Protocol):
    """What w needs of a generator: the mean of its styles [size], beside ``styles`` and ``synthesis``."""

    style_mean: Tensor


class _Synthesis(nn.Module):
    """Styles [N, size] or [N, layers, size] to samples."""

    def __init__(self, net: nn.Module, styled: StyledGenerator, layers: int) -> None:
        super().__init__()
        self.net, self._synthesis, self.layers = net, styled.synthesis, layers

    def forward(self, styles: Tensor) -> Tensor:
        if styles.dim() == 2:
            styles = styles[:, None].expand(-1, self.layers, -1)
        return self._synthesis(styles)


class WSpace(LatentSpace):
    """w [N, size], what a generator with styles makes of z and labels; or one for each layer [N, layers, size].

    ``z``: the space that w is made from. Truncation is a part of the step from z to w.
    """

    name = "w"
    spherical = False
    takes_labels = False
    isotropic = False
    is_bounded = False

    def __init__(self, z: ZSpace, net: StyledNet) -> None:
        self.z, self._styled = z, net
        with torch.no_grad():
            self.layers = int(self._styles(torch.zeros(1, z.size), self._first_label()).shape[1])
        super().__init__(z.game, z.prior, _Synthesis(z.generator, net, self.layers))

    @property
    def size(self) -> int:
        return len(self._styled.style_mean)

    @property
    def noise_size(self) -> int:
        return self.size

    def draw(
        self, count: int, rng: torch.Generator, labels: Tensor | None = None, codes: Codes | None = None
    ) -> Tensor:
        """As of every space; without labels, random ones."""
        points = self.z.draw(count, rng, labels, codes)
        return self.of(points, self.z.random_labels(count, rng) if labels is None else labels)

    def draw_with_one_code(
        self, count: int, rng: torch.Generator, labels: Tensor | None = None, codes: Codes | None = None
    ) -> Tensor:
        points = self.z.draw_with_one_code(count, rng, labels, codes)
        return self.of(points, self.z.random_labels(count, rng) if labels is None else labels)

    @torch.no_grad()
    def of(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """The styles w [N, size] of latents z [N, latent] and, of a conditional run, labels."""
        return self._styles(z, labels)[:, 0].float().cpu()

    def _styles(self, z: Tensor, labels: Tensor | None) -> Tensor:
        return self._styled.styles(*(part.to(self.z.device) for part in self.z.inputs(z, labels).args))

    def _first_label(self) -> Tensor | None:
        return torch.zeros(1, dtype=torch.int64) if self.z.conditional else None

    @cached_property
    def _measured(self) -> Tensor:
        return self.draw(_MEASURED, torch.Generator().manual_seed(0))

    def moments(self) -> Moments:
        """The mean is that of training, around which styles are truncated; the deviation is measured."""
        return Moments(self._styled.style_mean.float().cpu().clone(), self._measured.std(0))

    def deviation_along(self, vectors: Tensor) -> Tensor:
        return (self._measured @ vectors.T).std(0)
