"""The fields of ``run.json``, and which values of a manifest that somebody may have edited are valid."""

import math
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

Status = Literal["running", "finished", "interrupted", "failed", "diverged"]

_LARGEST = 1e100  # float32's largest number is 3.4e38


def is_huge(value: Any) -> bool:
    """Whether a number is larger than any run's, so that it or its square could overflow.

    Infinity is not: a diverged run can have it.
    """
    if isinstance(value, float):
        return _LARGEST < abs(value) < math.inf
    return isinstance(value, int) and abs(value) >= 2**63


def _printable(text: str) -> str:
    if not text.isprintable():
        raise ValueError("it holds control characters")
    return text


def _not_huge(value: Any) -> Any:
    if is_huge(value):
        raise ValueError("no run comes to such a number")
    return value


Printable = Annotated[str, AfterValidator(_printable)]
Whole = Annotated[int, AfterValidator(_not_huge)]


class _Data(BaseModel):
    model_config = ConfigDict(strict=True, extra="allow")

    fingerprint: str


class _Content(BaseModel):
    """The schema of ``run.json``. Other fields are kept, except for numbers that are too large."""

    model_config = ConfigDict(strict=True, extra="allow", protected_namespaces=())
    __pydantic_extra__: dict[str, Annotated[Any, AfterValidator(_not_huge)]]

    status: Status | None = None
    start: str | None = None
    sessions: Whole | None = None
    images: Whole | None = None
    saved: Whole | None = None
    git: dict[str, Any] | None = None
    device: str | None = None
    precision: Literal["fp32", "tf32", "bf16", "fp16"] | None = None
    choices: dict[str, Printable] | None = None
    data: _Data | None = None
    versions: dict[str, Any] | None = None
    weights: dict[Annotated[str, Field(pattern=r"^\d+$")], str] | None = None
    alarms: list[dict[str, Any]] | None = None
    scores: dict[str, Literal["lower", "higher"]] | None = None


def valid_fields(found: Any) -> dict[str, Any]:
    """The valid fields of a manifest, which somebody may have edited; invalid ones are left out."""
    content = found if isinstance(found, dict) else {}
    try:
        _Content.model_validate(content)
    except ValidationError as error:
        wrong = {str(each["loc"][0]) for each in error.errors(include_url=False) if each["loc"]}
        content = {key: value for key, value in content.items() if key not in wrong}
    return {key: value for key, value in content.items() if value is not None or key in ("end", "reason")}
