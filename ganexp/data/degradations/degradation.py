"""The base class of degradations, which make pairs of a source and a target from images.

A game asks for a pair in each turn, on the device, so that random degradations differ from step to step. In a
turn random numbers come from the global RNG; for grids, scores and files they come from the generator ``rng``
on the CPU, so that these are always the same.
"""

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from ganexp.config.ranges import Shape
from ganexp.data.source import Source
from ganexp.errors import UserError


class Pair(NamedTuple):
    """``source`` [N, *source_shape]: what a generator is given; ``target`` [N, C, H, W]: the image to make."""

    source: Tensor
    target: Tensor


@dataclass(eq=False, repr=False, kw_only=True)
class Degradation(nn.Module):
    """Images [N, C, H, W] in [-1, 1] to sources [N, *source_shape].

    A subclass has the same decorator and implements ``forward``; ``restore`` where a part of the image is known
    from the source, so that the network need not predict it.
    """

    BASELINE: ClassVar[str] = ""
    """The name of the trivial method that ``baseline`` is; empty if there is none."""

    PAIRED: ClassVar[bool] = True
    """Whether a source's target is known; False where sources and samples are two unpaired domains."""

    MAKES_DOMAINS: ClassVar[bool] = False
    """Whether ``domains`` gives a data set without sources some. A literal, like those above."""

    USES_SOURCES: ClassVar[bool] = False
    """Whether the sources are those that the data set has, as ``data=pairs``, and none are made of images."""

    SOURCES_ARE_IMAGES: ClassVar[bool] = True
    """Whether sources are images in [-1, 1], which a network can make; False where they have a mask beside."""

    IS_IDENTITY: ClassVar[bool] = False
    """Whether the source is the sample itself, for games with ``NEEDS_TARGET = False``. A literal too."""

    source_shape: Shape
    """The shape of a source, without the batch."""

    output_shape: Shape
    """The shape of what the network gives, from which ``restore`` makes an image."""

    def __post_init__(self) -> None:
        super().__init__()

    @property
    def about(self) -> str:
        """What the sources are, for the log."""
        raise NotImplementedError

    @property
    def image_shape(self) -> list[int]:
        """The shape of an image, without the batch: that of what ``restore`` makes."""
        output, source = (torch.zeros(1, *shape) for shape in (self.output_shape, self.source_shape))
        return list(self.restore(output, source).shape[1:])

    @property
    def changes_target(self) -> bool:
        """Whether targets are not the images themselves, but made of them."""
        return False

    def domains(self, source: Source) -> Source:
        """The data set whose samples and sources are used; by default as it is."""
        return source

    def forward(self, x: Tensor, rng: torch.Generator | None = None) -> Tensor:
        """The sources of images [N, C, H, W]."""
        raise NotImplementedError

    def pair(self, x: Tensor, source: Tensor | None, rng: torch.Generator | None = None) -> Pair:
        """The pairs of a batch: ``x`` [N, C, H, W] and the data set's own sources, if it has any."""
        return Pair(self(x, rng), x)

    def restore(self, output: Tensor, source: Tensor) -> Tensor:
        """Images [N, C, H, W] from a network's output [N, *output_shape] and its source."""
        return output

    def shown(self, source: Tensor) -> Tensor:
        """Sources as images [N, 1 or 3, h, w] in [-1, 1], for grids."""
        return source

    def baseline(self, source: Tensor) -> Tensor:
        """Images [N, C, H, W] by a method that learns nothing; a network has to be better."""
        raise NotImplementedError

    @property
    def file_channels(self) -> int:
        """The channels of the image that ``from_image`` takes."""
        return self.source_shape[0]

    def from_image(self, image: Tensor, mask: Tensor | None = None) -> Tensor:
        """The source [1, ...] of an image file [1, C, H, W] in [-1, 1] of any size, for ``ganexp translate``.

        By default the file is the source. ``mask`` [1, 1, H, W]: 1 in a hole, 0 elsewhere. Raises UserError for
        a mask that is not used.
        """
        if mask is not None:
            raise UserError("mask: this run does not fill holes; a run with degrade=holes does")
        return image

    def pad(self, source: Tensor, bottom: int, right: int) -> Tensor:
        """A source [N, c, h, w] continued by ``bottom`` rows and ``right`` columns, which are cut off later."""
        return reflected(source, bottom, right)


def uniform(x: Tensor, rng: torch.Generator | None, *shape: int) -> Tensor:
    """Random numbers [*shape] in [0, 1) on the device of ``x``, from ``rng`` or the global RNG."""
    if rng is None:
        return torch.rand(*shape, device=x.device)
    return torch.rand(*shape, generator=rng).to(x.device)


def normal(x: Tensor, rng: torch.Generator | None, *shape: int) -> Tensor:
    """Random numbers [*shape] of the standard normal distribution; see ``uniform``."""
    if rng is None:
        return torch.randn(*shape, device=x.device)
    return torch.randn(*shape, generator=rng).to(x.device)


def reflected(images: Tensor, bottom: int, right: int) -> Tensor:
    """Images [N, C, H, W] with ``bottom`` rows and ``right`` columns more, mirrored at the last ones.

    A side that is too short for that is continued by repeating its last pixels.
    """
    for axis, more in ((2, bottom), (3, right)):
        side = images.shape[axis]
        beyond = torch.arange(side, side + more, device=images.device)
        places = 2 * (side - 1) - beyond if more < side else torch.full_like(beyond, side - 1)
        images = torch.cat([images, images.index_select(axis, places)], axis)
    return images
