"""Strict models of the keys of ``ganexp export``, ``push`` and ``pull``."""

from typing import Annotated, Literal

from pydantic import BaseModel, Field

from ganexp.config.schema import STRICT, Folder, Node, Text

ExportFormat = Literal["safetensors", "onnx", "torch_export", "all"]

Repository = Annotated[str, Field(pattern=r"^[\w-][\w.-]*/[\w-][\w.-]*$")]
"""``<owner>/<name>``."""


class ExportSettings(BaseModel):
    """The keys of ``conf/export.yaml``."""

    model_config = STRICT
    run: Folder
    format: ExportFormat | Annotated[list[ExportFormat], Field(min_length=1)]
    direction: str | None
    title: Annotated[Text, Field(pattern=r"^[^\r\n]+$")] | None
    license: Annotated[str, Field(pattern=r"^[\w.+-]+$")] | None
    checkpoint: str
    out: str | None
    trust: bool
    device: Node


class PushSettings(BaseModel):
    """The keys of ``conf/push.yaml``."""

    model_config = STRICT
    run: Folder
    to: Repository
    private: bool
    dry_run: bool
    confirmed: bool


class PullSettings(BaseModel):
    """The keys of ``conf/pull.yaml``."""

    model_config = STRICT
    repo: Repository
    revision: Text | None
    out: str | None
