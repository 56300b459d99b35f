"""Annotations of settings in words."""

from typing import Annotated, Any, Literal

import pytest
from pydantic import Field

from ganexp.config.ranges import Betas, Count, Fraction, Names, Positive, Shape, Share
from ganexp.config.schema import Seed
from ganexp.config.type_words import allowed_values, type_in_words


@pytest.mark.parametrize(
    ("annotation", "words"),
    [
        (Count, "integer >= 1"),
        (Positive, "number > 0"),
        (Fraction, "number in [0, 1)"),
        (Share, "number in [0, 1]"),
        (Seed, "integer >= 0"),
        (Count | None, "integer >= 1 or null"),
        (Annotated[int, Field(ge=2, le=1_000_000)], "integer in [2, 1,000,000]"),
        (Annotated[float, Field(gt=0)] | None, "number > 0 or null"),
        (Betas, "list of 2 x number in [0, 1)"),
        (Shape, "list of integer >= 1"),
        (Names | None, "text | list of text or null"),
        (bool, "true | false"),
        (Literal["batch", "none"], "batch | none"),
        (Literal["lower", "higher"] | None, "lower | higher | null"),
        (dict[str, Any], ""),
        (Any, ""),
    ],
)
def test_types_in_words(annotation: Any, words: str) -> None:
    assert type_in_words(annotation) == words


def test_allowed_values() -> None:
    assert allowed_values(Literal["lower", "higher"] | None) == ("lower", "higher", "null")
    assert allowed_values(bool) == ("false", "true")
    assert allowed_values(Literal[1, 3]) == ("1", "3")
    assert allowed_values(Count) == ()
