"""Strict models of the keys of every verb but ``train``; ``conf/<verb>.yaml`` explains each key."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, Field, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from ganexp.config.export_schema import ExportSettings, PullSettings, PushSettings
from ganexp.config.latent_schema import (
    DirectionsSettings,
    EditSettings,
    InterpolateSettings,
    MixSettings,
    PlaySettings,
)
from ganexp.config.ranges import ClassNames, Count, Share
from ganexp.config.sample_values import check_codes, check_label
from ganexp.config.schema import STRICT, Folder, Name, Node, Seed, Split, TrainSettings


class DataSettings(BaseModel):
    """The keys of ``conf/data_info.yaml``; ``data_prepare`` has no ``out``."""

    model_config = STRICT
    data: Node
    out: str | None = None


_OTHER_VERBS = {
    "film": "ganexp film run=<folder> makes one of the epochs' grids",
    "neighbours": "ganexp neighbours run=<folder> draws samples beside their nearest training images",
    "interpolation": "ganexp interpolate run=<folder> draws ways from sample to sample",
}
"""What might be asked of ``ganexp sample`` as a format, and where it is."""


def _check_format(value: Any) -> Any:
    """Raises PydanticCustomError for what another verb does."""
    if isinstance(value, str) and value in _OTHER_VERBS:
        raise PydanticCustomError("other_verb", "{hint}", {"hint": _OTHER_VERBS[value]})
    return value


class BlendSettings(BaseModel):
    """The keys of ``blend``."""

    model_config = STRICT
    run: Folder | None
    alpha: Share


class SampleSettings(BaseModel):
    """The keys of ``conf/sample.yaml``."""

    model_config = STRICT
    run: Folder
    n: Annotated[int, Field(ge=1, le=1_000_000)]
    seed: Seed
    truncation: Annotated[float, Field(ge=0, le=2)] | None
    label: Annotated[Any, BeforeValidator(check_label)]
    code: Annotated[Any, BeforeValidator(check_codes)]
    format: Annotated[
        Literal["grid", "classes", "ranked", "files", "png", "npz"], BeforeValidator(_check_format)
    ]
    checkpoint: str
    blend: BlendSettings
    out: str | None
    batch_size: Count
    trust: bool
    device: Node


class EvaluateSettings(BaseModel):
    """The keys of ``conf/evaluate.yaml``."""

    model_config = STRICT
    run: Folder
    checkpoint: str
    against: str | None
    count: Annotated[int, Field(ge=2)]
    split: Split | None
    seed: Seed
    features: Node | None
    metrics: dict[str, Node]
    checks: dict[str, Node] | None
    format: Literal["table", "json"]
    trust: bool
    device: Node


class FilmSettings(BaseModel):
    """The keys of ``conf/film.yaml``."""

    model_config = STRICT
    run: Folder
    format: Literal["webp", "gif", "mp4"]
    seconds: Annotated[float, Field(gt=0, le=600)]  # a frame of a GIF lasts at most 655 s
    frames: Annotated[int, Field(ge=2)]
    width: Annotated[int, Field(ge=16, le=10_000)]
    out: str | None
    trust: bool


class NeighboursSettings(BaseModel):
    """The keys of ``conf/neighbours.yaml``."""

    model_config = STRICT
    run: Folder
    checkpoint: str
    n: Annotated[int, Field(ge=1, le=10_000)]
    k: Annotated[int, Field(ge=1, le=10_000)]
    count: Annotated[int, Field(ge=2, le=1_000_000)]
    seed: Seed
    out: str | None
    features: Node
    trust: bool
    device: Node


class MoreDataSettings(BaseModel):
    """The keys of ``conf/moredata.yaml``."""

    model_config = STRICT
    run: Folder | Annotated[list[Folder], Field(min_length=1)]
    checkpoint: str
    shares: Annotated[list[Annotated[float, Field(gt=0, le=1)]], Field(min_length=1, max_length=20)]
    generated: Annotated[int, Field(ge=2, le=1_000_000)]
    seeds: Annotated[int, Field(ge=1, le=1000)]
    steps: Annotated[int, Field(ge=2, le=1_000_000)]
    batch_size: Annotated[int, Field(ge=2, le=100_000)]
    shift: Share
    flip: bool | None
    mixup: Annotated[float, Field(gt=0)]
    validation: Annotated[int, Field(ge=50)]
    seed: Seed
    out: str | None
    trust: bool
    device: Node


class TranslateSettings(BaseModel):
    """The keys of ``conf/translate.yaml``."""

    model_config = STRICT
    run: Folder
    input: Folder
    output: Folder
    mask: Folder | None
    degrade_input: bool
    direction: str | None
    label: Annotated[Any, BeforeValidator(check_label)]
    tile: Annotated[int, Field(ge=16, le=1_000_000)]
    overlap: Annotated[int, Field(ge=0, le=1_000_000)]
    format: Literal["png", "jpg", "webp"]
    sheet: bool
    overwrite: bool
    checkpoint: str
    blend: BlendSettings
    seed: Seed
    trust: bool
    device: Node

    @field_validator("overlap")
    @classmethod
    def _check_overlap(cls, overlap: int, other: ValidationInfo) -> int:
        if "tile" in other.data and 2 * overlap >= other.data["tile"]:
            raise ValueError(f"should be less than half of tile={other.data['tile']}")
        return overlap


class AnomalySettings(BaseModel):
    """The keys of ``conf/anomaly.yaml``."""

    model_config = STRICT
    run: Folder
    input: Folder | None
    anomalous: ClassNames | None
    split: Literal["test", "valid", "val"] | None
    false_alarms: Annotated[float, Field(gt=0, lt=1)]
    output: Folder | None
    heat_maps: bool
    shown: Annotated[int, Field(ge=0, le=10_000)]
    checkpoint: str
    batch_size: Count
    seed: Seed
    trust: bool
    device: Node


class VerifySettings(BaseModel):
    """The keys of ``conf/verify.yaml``."""

    model_config = STRICT
    run: Folder
    steps: Count
    against: str | None
    trust: bool


class TuneSettings(BaseModel):
    """The keys of ``conf/tune.yaml``; ``ganexp.sweeps.tune.space`` reads the space."""

    model_config = STRICT
    name: Name
    train: list[str]
    space: Node
    sampler: Node
    pruner: Node
    goal: str | None
    direction: Literal["lower", "higher"] | None
    trials: Count
    slots: Annotated[int, Field(ge=1, le=1000)]
    minutes: Annotated[float, Field(gt=0)] | None


NOT_OF_TRIALS = ("name", "resume", "trust", "hydra")
"""Settings of ``ganexp train`` that a search does not take for its trials, behind ``--``."""

MODELS: dict[str, type[BaseModel]] = {
    "train": TrainSettings,
    "sample": SampleSettings,
    "edit": EditSettings,
    "evaluate": EvaluateSettings,
    "film": FilmSettings,
    "directions": DirectionsSettings,
    "interpolate": InterpolateSettings,
    "mix": MixSettings,
    "neighbours": NeighboursSettings,
    "play": PlaySettings,
    "moredata": MoreDataSettings,
    "translate": TranslateSettings,
    "anomaly": AnomalySettings,
    "export": ExportSettings,
    "push": PushSettings,
    "pull": PullSettings,
    "verify": VerifySettings,
    "tune": TuneSettings,
    "data_info": DataSettings,
    "data_prepare": DataSettings,
}
"""The model of each verb's settings, by the name of its YAML in ``conf``."""
