"""Strict models of the keys of ``ganexp export``, ``push`` and ``pull``."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, Field

from ganexp.config.schema import STRICT, Folder, Node, Text, matches

ExportFormat = Literal["safetensors", "onnx", "torch_export", "all"]


def _listed(formats: Any) -> Any:
    return [formats] if isinstance(formats, str) else formats


Repository = Annotated[str, matches(r"[\w-][\w.-]*/[\w-][\w.-]*", "should be <owner>/<name>")]
"""Of a hub."""


class ExportSettings(BaseModel):
    """The keys of ``conf/export.yaml``."""

    model_config = STRICT
    run: Folder
    format: Annotated[list[ExportFormat], BeforeValidator(_listed), Field(min_length=1)]
    direction: str | None
    title: Annotated[Text, matches(r"[^\r\n]+", "should be one line")] | None
    license: (
        Annotated[str, matches(r"[\w.+-]+", "should be the short name of a licence, such as cc-by-4.0")] | None
    )
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
