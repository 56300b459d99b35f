"""Strict models of the keys of a run's configuration; ``conf/train.yaml`` explains each key.

The models of the other verbs are in ``verb_schema.py``.
"""

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from ganexp.config.ranges import Count, Share, Whole

STRICT = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False, protected_namespaces=())

Node = dict[str, Any]
Seed = Annotated[int, Field(ge=0, lt=2**63)]
_AsText = BeforeValidator(lambda value: str(value) if isinstance(value, int | float) else value)
Text = Annotated[str, _AsText]  # Hydra parses run=1e3 as a number

Folder = Text


def matches(pattern: str, meaning: str) -> AfterValidator:
    """A check of a text, whose message says in words what the regular expression allows."""

    def check(value: str) -> str:
        if not re.fullmatch(pattern, value):
            raise ValueError(meaning)
        return value

    return AfterValidator(check)


Name = Annotated[
    str,
    _AsText,
    matches(
        r"[A-Za-z0-9_][A-Za-z0-9._+-]*",
        "should have only letters, digits, . _ + and -, and start with no . + or -",
    ),
    Field(max_length=120),
]
PenaltyName = Annotated[  # a module's name takes no dots
    str, matches(r"[A-Za-z_][A-Za-z0-9_]*", "should have only letters, digits and _, and start with no digit")
]


class Ema(BaseModel):
    """The averaged generator (EMA); see ``ganexp.ema``."""

    model_config = STRICT
    halflife: Whole
    rampup: Share


class CheckpointInterval(BaseModel):
    """How often a checkpoint is written."""

    model_config = STRICT
    epochs: Count | None
    minutes: Annotated[float, Field(gt=0)] | None


class Checkpoint(BaseModel):
    """See ``ganexp.runs.checkpoints``."""

    model_config = STRICT
    every: CheckpointInterval
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


Split = Literal["training", "held_out", "auto", "test", "valid", "val"]


class Evaluate(BaseModel):
    """See ``ganexp.training.evaluation``."""

    model_config = STRICT
    every: Count | None
    early: Count | None
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
    batch_size: Annotated[int, Field(ge=1, le=1_000_000)]
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
    degrade: Node | None
    optim: Node
    schedule: Node
    schedules: Node
    device: Node
