"""The values of ``label`` and ``code`` of ``ganexp sample``: what is allowed, and ranges such as ``0..9``."""

import re
from collections.abc import Mapping
from typing import Any

from ganexp.errors import UserError

LABEL_RULE = "should be a class's number, from 0, or its name"
_LABELS_RULE = f"{LABEL_RULE}; a range such as 0..9, or a list, makes a row of each"
LARGEST_CODE = 1e6
"""Of a continuous code, which is from -1 to 1 in training; float32 holds it."""

_CODE_RULE = "should be a number, or a range such as 0..9 or -2..2, and at most a million"

_NUMBER = r"([+-]?(?:\d+(?:\.\d+)?|\.\d+)(?:[eE][+-]?\d+)?)"
_RANGE = re.compile(rf"{_NUMBER}\.\.{_NUMBER}")


def is_label(value: Any) -> bool:
    """Whether a value can name a class: a number from 0, or a text. ``LABEL_RULE`` says so to the user."""
    return _is_whole(value) or (isinstance(value, str) and value != "")


def number_range(value: Any) -> tuple[float, float] | None:
    """The two ends of a range such as ``-2..2``; None for everything else."""
    match = _RANGE.fullmatch(value) if isinstance(value, str) else None
    return None if match is None else (float(match[1]), float(match[2]))


def whole_range(value: Any) -> range | None:
    """The integers of a range such as ``0..9``, with both ends; None for everything else."""
    ends = number_range(value)
    if ends is None or not all(end.is_integer() and end >= 0 for end in ends) or ends[0] > ends[1]:
        return None
    return range(int(ends[0]), int(ends[1]) + 1)


def check_label(label: Any) -> Any:
    """Returns ``label``: null, a class, a list of classes, or attributes by name. Raises UserError."""
    if isinstance(label, Mapping):
        if not label:
            raise UserError("label={}: should name an attribute: label.<name>=1")
        for name, value in label.items():
            if not is_label(name):
                raise UserError(f"label.{name}={_typed(value)}: an attribute has a name, or a number from 0")
            if value not in (0, 1):
                raise UserError(f"label.{name}={_typed(value)}: should be 1 or 0")
        return label
    each = label if isinstance(label, list) else [label]
    if label is not None and not (each and all(map(is_label, each))):
        raise UserError(f"label={_typed(label)}: {_LABELS_RULE}")
    return label


def check_codes(codes: Any) -> Any:
    """Returns ``codes``: null, or a value, a range or a list by the number of a code. Raises UserError."""
    if codes is None:
        return None
    if not isinstance(codes, Mapping):
        raise UserError(f"code={_typed(codes)}: a code has a number, from 0: code.0={_typed(codes)}")
    for number, value in codes.items():
        if not _is_whole(number):
            raise UserError(
                f"code.{number}={_typed(value)}: codes have numbers, from 0: code.0={_typed(value)}"
            )
        each = value if isinstance(value, list) else [value]
        if not each or not all(all(map(_is_moderate, number_range(one) or (one,))) for one in each):
            raise UserError(f"code.{number}={_typed(value)}: {_CODE_RULE}")
    return codes


_ALONG_RULE = "should be a number of z or w, from 0, a range such as 0..7, a list, or a code such as code.1"


def check_along(along: Any) -> Any:
    """Returns ``along``: null, numbers of a point, a range of them, or a code. Raises UserError."""
    for one in along if isinstance(along, list) and along else [along]:
        is_code = isinstance(one, str) and re.fullmatch(r"code\.\d{1,9}", one)
        if not (along is None or _is_whole(one) or whole_range(one) or is_code):
            raise UserError(f"along={_typed(along)}: {_ALONG_RULE}")
    return along


_STRENGTH_RULE = "should be a number, a list of numbers, or a range such as -3..3, and at most 1,000"


def check_strength(strength: Any) -> Any:
    """Returns ``strength``: a number, a list of different ones, or a range. Raises UserError."""
    each = strength if isinstance(strength, list) else number_range(strength) or (strength,)
    sizes = (isinstance(one, int | float) and not isinstance(one, bool) and abs(one) <= 1000 for one in each)
    if not each or not all(sizes):
        raise UserError(f"strength={_typed(strength)}: {_STRENGTH_RULE}")
    if len({*each}) < len(each):
        raise UserError(f"strength={_typed(strength)}: should have each number once")
    return strength


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_moderate(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= LARGEST_CODE


def _typed(value: Any) -> str:
    """A value as it is typed, cut where it is long."""
    text = f"[{','.join(map(str, value))}]" if isinstance(value, list) else str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
