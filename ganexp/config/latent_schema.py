"""Strict models of the keys of verbs that explore the latents of a run."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, Field

from ganexp.config.ranges import Count
from ganexp.config.sample_values import check_along, check_codes, check_label, check_strength
from ganexp.config.schema import STRICT, Folder, Node, Seed


class _LatentSettings(BaseModel):
    """The keys that all of them have."""

    model_config = STRICT
    run: Folder
    seed: Seed
    label: Annotated[Any, BeforeValidator(check_label)]
    checkpoint: str
    out: str | None
    batch_size: Count
    trust: bool
    device: Node


class DirectionsSettings(_LatentSettings):
    """The keys of ``conf/directions.yaml``."""

    method: Node
    n: Annotated[int, Field(ge=1, le=100)]
    reach: Annotated[float, Field(gt=0, le=100)]
    steps: Annotated[int, Field(ge=2, le=100)]
    latents: Literal["z", "w"] | None
    truncation: Annotated[float, Field(ge=0, le=2)] | None


class InterpolateSettings(_LatentSettings):
    """The keys of ``conf/interpolate.yaml``."""

    n: Annotated[int, Field(ge=2, le=1000)]
    frames: Annotated[int, Field(ge=1, le=1000)]
    walks: Annotated[int, Field(ge=1, le=100)]
    loop: bool
    along: Annotated[Any, BeforeValidator(check_along)]
    reach: Annotated[float, Field(gt=0, le=100)]
    path: Node
    latents: Literal["z", "w"] | None
    truncation: Annotated[float, Field(ge=0, le=2)] | None
    code: Annotated[Any, BeforeValidator(check_codes)]
    format: Literal["png", "webp", "gif", "mp4"]
    seconds: Annotated[float, Field(gt=0, le=600)]


class MixSettings(_LatentSettings):
    """The keys of ``conf/mix.yaml``."""

    rows: Annotated[int, Field(ge=1, le=100)]
    columns: Annotated[int, Field(ge=1, le=100)]
    coarse: Count | None
    truncation: Annotated[float, Field(ge=0, le=2)] | None


class PlaySettings(BaseModel):
    """The keys of ``conf/play.yaml`` that are used: ``run`` or ``data``."""

    model_config = STRICT
    run: Folder | Annotated[list[Folder], Field(min_length=1, max_length=8)] | None
    data: Node | None
    sliders: Annotated[int, Field(ge=1, le=64)]
    directions: str | None
    latents: Literal["z", "w"] | None
    n: Annotated[int, Field(ge=1, le=64)]
    seed: Seed
    spread: Annotated[float, Field(gt=0, le=100)] | None
    checkpoint: str
    batch_size: Count
    port: Annotated[int, Field(ge=0, le=65_535)]
    trust: bool
    device: Node


class EditSettings(_LatentSettings):
    """The keys of ``conf/edit.yaml``."""

    input: Folder | None
    held_out: Annotated[int, Field(ge=1, le=10_000)] | None
    attribute: int | str | None
    direction: int | str | None
    directions: str
    strength: Annotated[Any, BeforeValidator(check_strength)]
    columns: Annotated[int, Field(ge=2, le=100)]
    latents: Literal["z", "w"] | None
    sort: Literal["psnr", "identity"] | None
    rows: Annotated[int, Field(ge=1, le=1000)]
    among: Annotated[int, Field(ge=0, le=100_000)]
    inversion: Node
    perceptual: Node
    features: Node
