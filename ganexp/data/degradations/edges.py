"""Line drawings, to be made images: edge maps, dark on white as those of edges2shoes (Isola et al. 2017).

The lines of that data set come from a trained edge detector (HED, Xie and Tu 2015). These are Sobel gradients,
which need no network.
"""

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import pad

from ganexp.config.ranges import Positive
from ganexp.data.degradations.degradation import Degradation
from ganexp.data.degradations.filters import check_radius, gaussian_blur, gray, in_8_bits, kernel_radius

_BLACK = 3.0
"""A gradient of so many times the image's root mean square is drawn black."""

_FLAT = 0.02
"""The root mean square, in units of [-1, 1] per pixel, below which an image counts as flat.

Without it the noise of an image without edges would be drawn as lines.
"""

_DIAGONAL = math.tan(math.pi / 8)


@dataclass(eq=False, repr=False, kw_only=True)
class Edges(Degradation):
    """[N, 3 or 1, H, W] to [N, 1, H, W] in [-1, 1]: 1 where nothing is, -1 on strong edges.

    The gradients of the luma, smoothed by ``sigma`` pixels, relative to their root mean square in the image.
    ``thin``: only the largest ones across each edge, as lines of one pixel, or two on a diagonal.
    """

    BASELINE: ClassVar[str] = "mid-grey"

    sigma: Positive
    thin: bool

    def __post_init__(self) -> None:
        super().__post_init__()
        check_radius("degrade.sigma", self.sigma, self.source_shape)

    @property
    def about(self) -> str:
        return f"{'thin' if self.thin else 'soft'} edges, dark on white"

    def forward(self, x: Tensor, rng: torch.Generator | None = None) -> Tensor:
        sigma = torch.full((len(x),), self.sigma, device=x.device)
        smooth = gaussian_blur(gray(x), sigma, kernel_radius(self.sigma))
        down, right = sobel(smooth)
        strength = torch.sqrt(down**2 + right**2)
        scale = _BLACK * (strength**2).mean((1, 2, 3), keepdim=True).sqrt().clamp(min=_FLAT)
        lines = thinned(strength, down, right) if self.thin else strength
        return in_8_bits(1 - 2 * lines / scale)

    def baseline(self, source: Tensor) -> Tensor:
        """The middle of the range: a drawing says nothing of colours."""
        return source.new_zeros(len(source), self.output_shape[0], *source.shape[2:])

    def from_image(self, image: Tensor, mask: Tensor | None = None) -> Tensor:
        """A drawing as it is, in grey."""
        return gray(super().from_image(image, mask))


def sobel(images: Tensor) -> tuple[Tensor, Tensor]:
    """The derivatives [N, 1, H, W] of images [N, 1, H, W], down and to the right, per pixel; 3 x 3 kernels."""
    around = pad(images, (1, 1, 1, 1), mode="replicate")
    across = (around[..., :-2] + 2 * around[..., 1:-1] + around[..., 2:]) / 4
    along = (around[..., :-2, :] + 2 * around[..., 1:-1, :] + around[..., 2:, :]) / 4
    return (across[..., 2:, :] - across[..., :-2, :]) / 2, (along[..., 2:] - along[..., :-2]) / 2


def thinned(strength: Tensor, down: Tensor, right: Tensor) -> Tensor:
    """Strengths [N, 1, H, W] where they are the largest across the edge, else 0: Canny 1986.

    The direction of the gradient is rounded to a multiple of 45 degrees. Of two equal neighbours one is kept.
    """
    height, width = strength.shape[2:]
    around = pad(strength, (1, 1, 1, 1))

    def neighbour(y: int, x: int) -> Tensor:
        return around[..., 1 + y : 1 + y + height, 1 + x : 1 + x + width]

    def largest(y: int, x: int) -> Tensor:
        return (strength > neighbour(y, x)) & (strength >= neighbour(-y, -x))

    level, upright = down.abs() <= _DIAGONAL * right.abs(), right.abs() <= _DIAGONAL * down.abs()
    slanted = torch.where(down * right > 0, largest(1, 1), largest(1, -1))
    kept = torch.where(level, largest(0, 1), torch.where(upright, largest(1, 0), slanted))
    return strength * kept
