"""A setting's annotation in words, for help: ``integer >= 1``, ``batch | layer``, ``number in [0, 1)``."""

import types
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from annotated_types import BaseMetadata, GroupedMetadata
from pydantic.fields import FieldInfo

_NAMES = {int: "integer", float: "number", bool: "true | false", str: "text"}
_LARGE = 10**12  # a bound beyond it, such as a seed's 2**63, tells nobody anything


def type_in_words(annotation: Any) -> str:
    """The type, range or choices of an annotation of a setting; empty where nothing can be said."""
    options = get_args(annotation) if _is_union(annotation) else (annotation,)
    words = [_one_in_words(option) for option in options if option is not type(None)]
    if not all(words):
        return ""
    text = " | ".join(words)
    if len(words) == len(options):
        return text
    return f"{text} | null" if _is_choice(options[0]) else f"{text} or null"


def allowed_values(annotation: Any) -> tuple[str, ...]:
    """The values of a setting that has only a few: those of ``Literal`` and bool, and ``null``."""
    if get_origin(annotation) is Annotated:
        return allowed_values(get_args(annotation)[0])
    if _is_union(annotation):
        return tuple(value for option in get_args(annotation) for value in allowed_values(option))
    if annotation is bool:
        return ("false", "true")
    if annotation is type(None):
        return ("null",)
    return tuple(map(_yaml_word, get_args(annotation))) if get_origin(annotation) is Literal else ()


def _is_union(annotation: Any) -> bool:
    return get_origin(annotation) in (Union, types.UnionType)


def _is_choice(annotation: Any) -> bool:
    return annotation is bool or get_origin(annotation) is Literal


def _yaml_word(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _one_in_words(annotation: Any) -> str:
    """An annotation that is no union."""
    if get_origin(annotation) is Literal:
        return " | ".join(map(_yaml_word, get_args(annotation)))
    bounds: dict[str, Any] = {}
    if get_origin(annotation) is Annotated:
        annotation, *metadata = get_args(annotation)
        bounds = _bounds(metadata)
    if _is_union(annotation):
        return type_in_words(annotation)
    if get_origin(annotation) is list:
        inner = type_in_words(get_args(annotation)[0])
        count = bounds.get("min_length") if bounds.get("min_length") == bounds.get("max_length") else None
        return f"list of {f'{count} x ' if count else ''}{inner or 'values'}"
    return f"{_NAMES.get(annotation, '')}{_range(bounds)}"


def _bounds(metadata: list[Any]) -> dict[str, Any]:
    """``ge``, ``gt``, ``le``, ``lt``, ``min_length``, ``max_length`` of annotated_types or pydantic."""
    flat: list[Any] = []
    for item in metadata:
        inner = item.metadata if isinstance(item, FieldInfo) else [item]
        flat += [part for entry in inner for part in (entry if isinstance(entry, GroupedMetadata) else [entry])]
    names = ("ge", "gt", "le", "lt", "min_length", "max_length")
    known = [item for item in flat if isinstance(item, BaseMetadata)]
    return {name: getattr(item, name) for item in known for name in names if hasattr(item, name)}


def _range(bounds: dict[str, Any]) -> str:
    low, high = bounds.get("ge", bounds.get("gt")), bounds.get("le", bounds.get("lt"))
    high = None if high is not None and high > _LARGE else high
    if low is not None and high is not None:
        return f" in {'[' if 'ge' in bounds else '('}{low:,}, {high:,}{']' if 'le' in bounds else ')'}"
    if low is not None:
        return f" {'>=' if 'ge' in bounds else '>'} {low:,}"
    return "" if high is None else f" {'<=' if 'le' in bounds else '<'} {high:,}"
