"""Images on disk, and the images that a generator is given to make them from."""

from dataclasses import dataclass, replace
from typing import Any, Literal

from ganexp.config.ranges import Count, Crop, Direction, OnError, Shape
from ganexp.data.arrays import Arrays
from ganexp.data.decode import Part, Recipe
from ganexp.data.images import Images
from ganexp.data.source import HELD_OUT, Source
from ganexp.errors import UserError


@dataclass(frozen=True, kw_only=True)
class ImagesWithSources(Images):
    """Images of one side as samples and those of the other as sources, each resized down to its own side.

    ``direction``: ``AtoB``: A are the sources and B the samples; ``BtoA``: the other way.
    """

    split: Literal["train", "valid", "val", "test"] | None
    direction: Direction
    source_resolution: Count
    channels: Literal[1, 3]
    source_channels: Literal[1, 3]
    source_shape: Shape
    crop: Crop
    on_error: OnError

    def splits(self) -> set[str]:
        """The names of the splits on disk; empty if there are none. Raises UserError."""
        raise NotImplementedError

    def held_out(self) -> dict[str, Source]:
        if self.split not in (None, "train") or "train" not in (splits := self.splits()):
            return {}
        change: Any = replace
        return {name: change(self, split=name) for name in HELD_OUT if name in splits}

    def check_arrays(self, arrays: Arrays) -> Arrays:
        arrays = super().check_arrays(arrays)
        found = None if arrays.sources is None else list(arrays.sources.shape[1:])
        if found != list(self.source_shape):
            raise UserError(f"data.source_shape={list(self.source_shape)}: the data's sources are {found}")
        return arrays

    def recipe(self, part: Part = "whole", *, is_source: bool) -> Recipe:
        """How a sample or a source is decoded from that part of its file."""
        if is_source:
            setting = "data.source_resolution"
            return Recipe(self.source_channels, self.source_resolution, self.crop, part, setting)
        return Recipe(self.channels, self.resolution, self.crop, part)
