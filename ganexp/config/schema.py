"""Strict models of the keys in each verb's configuration; ``conf/<verb>.yaml`` explains each key."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from ganexp.config.ranges import Count, Share, Whole

STRICT = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False, protected_namespaces=())

Node = dict[str, Any]
Seed = Annotated[int, Field(ge=0, lt=2**63)]
_Word = BeforeValidator(lambda value: str(value) if isinstance(value, int | float) else value)
Folder = Annotated[str, _Word]  # Hydra parses run=1e3 as a number
Name = Annotated[
    str,
    _Word,
    Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9._+-]*$", max_length=120),
]


PenaltyName = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]  # a module's name takes no dots


class Ema(BaseModel):
    """The averaged generator (EMA); see ``ganexp.ema``."""

    model_config = STRICT
    halflife: Whole
    rampup: Share


class Every(BaseModel):
    """How often a checkpoint is written."""

    model_config = STRICT
    epochs: Count | None
    minutes: Annotated[float, Field(gt=0)] | None


class Checkpoint(BaseModel):
    """See ``ganexp.runs.checkpoints``."""

    model_config = STRICT
    every: Every
    keep: Count | None


class Best(BaseModel):
    """The score that decides which checkpoint is the best."""

    model_config = STRICT
    score: str | None
    direction: Literal["lower", "higher"] | None


class Published(BaseModel):
    """A paper's scores, to print beside this run's."""

    model_config = STRICT
    source: str
    images: Count
    differs: str
    scores: dict[str, dict[str, float]]


Split = Literal["training", "held_out", "test", "valid", "val"]


class Evaluate(BaseModel):
    """See ``ganexp.training.evaluation``."""

    model_config = STRICT
    every: Count | None
    count: Annotated[int, Field(ge=2)]
    split: Split
    seed: Seed
    best: Best
    published: Published | None


class TrainSettings(BaseModel):
    """The keys of ``conf/train.yaml``."""

    model_config = STRICT
    name: Name
    seed: Seed
    epochs: Count
    max_steps: Count | None
    batch_size: Annotated[int, Field(ge=2, le=1_000_000)]
    resume: str | None
    start_from: str | None
    start_weights: Literal["averaged", "live"]
    trust: bool
    ema: Ema
    checkpoint: Checkpoint
    sentinel: Node
    evaluate: Evaluate
    features: Node
    metrics: dict[str, Node]
    data: Node
    arch: dict[str, Node]
    game: Node
    loss: Node | None
    penalties: dict[PenaltyName, Node]
    augment: Node
    optim: Node
    schedule: Node
    schedules: Node
    device: Node


class DataSettings(BaseModel):
    """The keys of ``conf/data_info.yaml``; ``data_prepare`` has no ``out``."""

    model_config = STRICT
    data: Node
    out: str | None = None


class SampleSettings(BaseModel):
    """The keys of ``conf/sample.yaml``."""

    model_config = STRICT
    run: Folder
    n: Annotated[int, Field(ge=1, le=1_000_000)]
    seed: Seed
    label: Whole | None
    format: Annotated[str, Field(pattern="^(grid|classes|files|png|npz)$")]
    checkpoint: str
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
    format: Annotated[str, Field(pattern="^(table|json)$")]
    trust: bool
    device: Node


class FilmSettings(BaseModel):
    """The keys of ``conf/film.yaml``."""

    model_config = STRICT
    run: Folder
    format: Literal["webp", "gif"]
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
