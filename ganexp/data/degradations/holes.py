"""Images with holes, to be filled (Pathak et al. 2016): a mask beside the image says where; 1 is a hole.

Outside of the holes the result is the source, bit for bit.
"""

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, interpolate, pad

from ganexp.config.ranges import Count, Factor, Share
from ganexp.data.degradations.degradation import Degradation, reflected, uniform
from ganexp.data.degradations.masks import box_masks, stroke_masks
from ganexp.errors import UserError


@dataclass(eq=False, repr=False, kw_only=True)
class Holes(Degradation):
    """[N, C, H, W] to [N, C + 1, H, W]: the image, 0 in the hole, and the mask.

    ``size``: the side of a hole in sides of the image. ``kind``: ``centre`` is a square in the middle, ``box``
    a square anywhere, ``boxes`` one to ``most`` rectangles, ``strokes`` one to ``most`` free-form strokes; see
    ``masks.py`` for ``vertices`` and ``width``.
    """

    BASELINE: ClassVar[str] = "Laplace fill"
    SOURCES_ARE_IMAGES: ClassVar[bool] = False

    kind: Literal["centre", "box", "boxes", "strokes"]
    size: Share
    most: Count = 4
    vertices: Factor = 8
    width: Share = 0.12

    @property
    def about(self) -> str:
        if self.kind in ("boxes", "strokes"):
            return f"images with holes (up to {self.most} {self.kind}) and their mask"
        return f"images with a hole ({self.kind}, {self.size:g} of the side) and its mask"

    def forward(self, x: Tensor, rng: torch.Generator | None = None) -> Tensor:
        return with_hole(x, self.mask(x, rng))

    def mask(self, x: Tensor, rng: torch.Generator | None = None) -> Tensor:
        """A hole for each image: [N, 1, H, W] float32, 1 in the hole."""
        if self.kind == "boxes":
            return box_masks(x, rng, self.most, self.size)
        if self.kind == "strokes":
            return stroke_masks(x, rng, self.most, self.vertices, self.size, self.width)
        sides = [max(1, round(self.size * side)) for side in x.shape[2:]]
        edges = [
            uniform(x, rng, len(x), 1) if self.kind == "box" else torch.full((len(x), 1), 0.5, device=x.device)
            for _ in sides
        ]
        inside = []
        for length, side, share in zip(x.shape[2:], sides, edges, strict=True):
            first = torch.floor(share * (length - side + 1)).clamp(max=length - side)
            places = torch.arange(length, device=x.device)
            inside.append((places >= first) & (places < first + side))
        return (inside[0][:, :, None] & inside[1][:, None, :])[:, None].to(x.dtype)

    def restore(self, output: Tensor, source: Tensor) -> Tensor:
        return torch.where(source[:, -1:] > 0.5, output.to(source.dtype), source[:, :-1])

    def shown(self, source: Tensor) -> Tensor:
        return source[:, :-1]

    def baseline(self, source: Tensor) -> Tensor:
        """The hole filled with a solution of Laplace's equation: as smooth as its border allows."""
        return laplace_fill(source[:, :-1], source[:, -1:])

    @property
    def file_channels(self) -> int:
        return self.source_shape[0] - 1

    def pad(self, source: Tensor, bottom: int, right: int) -> Tensor:
        """Continued as if it had no hole: what is mirrored of a hole is its smooth filling."""
        if not bottom and not right:
            return source
        height, width = source.shape[2:]
        padded = reflected(
            torch.cat([self.baseline(source), torch.zeros_like(source[:, -1:])], 1), bottom, right
        )
        padded[:, :, :height, :width] = source
        return padded

    def from_image(self, image: Tensor, mask: Tensor | None = None) -> Tensor:
        if mask is None:
            raise UserError("mask is missing: this run fills holes; set mask=<file or folder>, white in holes")
        return with_hole(image, mask.to(image.dtype))


def with_hole(image: Tensor, mask: Tensor) -> Tensor:
    """The image [N, C, H, W], 0 in the hole, and the mask [N, 1, H, W]: [N, C + 1, H, W]."""
    return torch.cat([image * (1 - mask), mask], 1)


def laplace_fill(image: Tensor, mask: Tensor, sweeps: int = 40) -> Tensor:
    """Fills holes smoothly: each pixel of the hole becomes the mean of its four neighbours.

    Jacobi's method, from the coarsest level of a pyramid to the finest, ``sweeps`` iterations on each.
    """
    known = 1 - mask
    if min(image.shape[2:]) >= 4 and not any(side % 2 for side in image.shape[2:]):
        share = avg_pool2d(known, 2)
        smaller = avg_pool2d(image * known, 2) / share.clamp(min=1e-8)
        start = interpolate(laplace_fill(smaller, (share == 0).to(image.dtype), sweeps), scale_factor=2.0)
    else:
        start = (image * known).sum((2, 3), keepdim=True) / known.sum((2, 3), keepdim=True).clamp(min=1)
        start = start.expand_as(image)
    filled = torch.where(mask > 0, start, image)
    for _ in range(sweeps):
        padded = pad(filled, (1, 1, 1, 1), mode="replicate")
        above_below = padded[..., :-2, 1:-1] + padded[..., 2:, 1:-1]
        left_right = padded[..., 1:-1, :-2] + padded[..., 1:-1, 2:]
        filled = torch.where(mask > 0, (above_below + left_right) / 4, image)
    return filled
