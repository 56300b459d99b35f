"""Annotated types for settings: the signature of a class is the schema of its YAML node.

A constructor ``def __init__(self, weight: NonNegative, every: Count)`` makes ``penalties.r1.weight=-1`` a
one-line error before torch is imported (see ``signatures.py``).
"""

from pathlib import Path
from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt, Le, Len, Lt, MinLen
from pydantic import AfterValidator, BeforeValidator


def _check_names(value: Any) -> Any:
    """Raises ValueError for what ``Names`` refuses; pydantic's own errors are one for each type of a union."""
    several = isinstance(value, list) and value and all(isinstance(name, str) for name in value)
    if not several and not isinstance(value, str):
        raise ValueError("should be a name, or a list of one or more names")
    twice = next((name for name in value if value.count(name) > 1), None) if several else None
    if twice is not None:
        raise ValueError(f"should have each name once, and {twice} is there {value.count(twice)} times")
    return value


def _check_labels(value: Any) -> Any:
    """Raises ValueError for what ``Labels`` refuses."""
    several = value if isinstance(value, list) and value else [value]
    if not all(isinstance(one, str) or (type(one) is int and one >= 0) for one in several):
        raise ValueError("should be a name or number of a class or attribute, or a list of one or more of them")
    return value


Count = Annotated[int, Ge(1)]
"""An integer >= 1."""

Whole = Annotated[int, Ge(0)]
"""An integer >= 0."""

Factor = Annotated[int, Ge(2)]
"""An integer >= 2 by which something is divided."""

Positive = Annotated[float, Gt(0)]
"""A number > 0."""

NonNegative = Annotated[float, Ge(0)]
"""A number >= 0."""

Fraction = Annotated[float, Ge(0), Lt(1)]
"""A number in [0, 1): a momentum, a dropout rate."""

Share = Annotated[float, Ge(0), Le(1)]
"""A number in [0, 1]."""

PositiveShare = Annotated[float, Gt(0), Le(1)]
"""A number in (0, 1]."""

Betas = Annotated[list[Fraction], Len(2, 2)]
"""Adam's two betas."""

Widths = Annotated[list[Count], MinLen(1)]
"""Units of each hidden layer, in the order of the layers."""

Colour = Annotated[list[Annotated[int, Ge(0), Le(255)]], Len(3, 3)]
"""Red, green and blue, integers from 0 to 255."""

Names = Annotated[str | list[str], BeforeValidator(_check_names)]
"""A name, or a list of one or more different names."""

ClassNames = list[str | int]
"""Classes or attributes by name or number."""

Labels = Annotated[int | str | list[int | str], BeforeValidator(_check_labels)]
"""A class or attribute by name or number, or a list of one or more."""


def _absolute(path: str) -> str:
    return str(Path(path).expanduser().absolute())


def _all_absolute(paths: str | list[str]) -> str | list[str]:
    return _absolute(paths) if isinstance(paths, str) else [_absolute(path) for path in paths]


FilePath = Annotated[str, AfterValidator(_absolute)]
"""A file or folder. A configuration holds it as an absolute path: runs are read from other directories too."""

FilePaths = Annotated[Names, AfterValidator(_all_absolute)]
"""A file or folder, or a list of one or more different ones."""

Shape = list[Count]
"""A sample's shape without the batch: [channels, height, width] of an image, [dimensions] of a point."""

ImageNorm = Literal["batch", "layer", "group", "instance", "none"]
"""Normalisation of feature maps; ``group``: over groups of at most 32 channels."""

Upsample = Literal["transposed", "nearest"]
"""How feature maps are doubled: a transposed convolution; nearest neighbours, then a convolution."""

Padding = Literal["reflect", "zeros"]
"""What convolutions see beyond the border of a map."""

FlatNorm = Literal["batch", "layer", "none"]
"""Normalisation of feature vectors."""

Initialisation = Literal["glorot", "orthogonal", "normal"]
"""The distribution of initial weights; see ``ganexp.nets.initialise``."""

PrecisionName = Literal["auto", "fp32", "tf32", "bf16", "fp16"]
"""Numerical precision; see ``ganexp.training.precision``."""

GeneratorCondition = Literal["joined", "norm"]
"""How a generator takes labels: joined to its latents; as a gain and a bias of each of its norms."""

CriticCondition = Literal["joined", "projection", "none"]
"""How a discriminator takes labels: joined to its input; by a projection of its features; not at all."""

Noise = Literal["normal", "uniform"]
"""The distribution of latents."""

Crop = Literal["centre", "none"]
"""How an image becomes square: cropped to its largest central square, or resized as a whole."""

Direction = Literal["AtoB", "BtoA"]
"""Which image of a pair is the source: A (the left half, the first folder), or B."""

OnError = Literal["raise", "skip"]
"""For images that cannot be used: stop, or leave them out."""
