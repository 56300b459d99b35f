"""Settings with keys that only a run knows: ``label.Smiling=1`` and ``code.0=3``."""

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from ganexp.cli.composing import composed
from ganexp.cli.keyed_settings import join_keyed_settings
from ganexp.cli.verb_help import verb_help
from ganexp.errors import UserError


@pytest.mark.parametrize(
    ("typed", "joined"),
    [
        (["n=4", "seed=1"], ["n=4", "seed=1"]),
        (["label=0..9", "code=3"], ["label=0..9", "code=3"]),
        (
            ["label.Smiling=1", "n=4", "+label.5_o_Clock=0"],
            ["label={Smiling:1,5_o_Clock:0}", "n=4"],
        ),
        (["code.0=3", "label.a=1", "code.1=-2..2"], ["code={0:3,1:-2..2}", "label={a:1}"]),
        (["codes.0=3", "my.label.a=1"], ["codes.0=3", "my.label.a=1"]),
        (["label.Blond Hair=1"], ["label={Blond\\ Hair:1}"]),
    ],
)
def test_settings_with_keys_become_one(typed: list[str], joined: list[str]) -> None:
    assert join_keyed_settings("sample", typed) == joined


def test_other_verbs_have_none() -> None:
    assert join_keyed_settings("train", ["label.a=1", "label.b=1"]) == ["label.a=1", "label.b=1"]


@pytest.mark.parametrize(
    "name", ["5_o_Clock_Shadow", "a-b", "a.b", "a b", "a:b", "(a),{b}", "[a]", "a\\b", "50%"]
)
def test_hydra_reads_any_name(name: str) -> None:
    (joined,) = join_keyed_settings("sample", [f"label.{name}=1"])
    assert OverridesParser.create().parse_override(joined).value() == {name: 1}


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        (["label=3", "label.Smiling=1"], "label=3 and label.Smiling=1: give one of them"),
        (["code.0=3", "code={1:2}"], "code={1:2} and code.0=3: give one of them"),
        (["label.Lächeln=1"], "label.Lächeln=1: a name with such letters cannot be written here"),
    ],
)
def test_mistakes(typed: list[str], told: str) -> None:
    with pytest.raises(UserError) as raised:
        join_keyed_settings("sample", typed)
    assert str(raised.value).startswith(told)


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        ("label.Smiling=2", "label.Smiling=2: should be 1 or 0"),
        ("label=[]", "label=[]: should be a class's number, from 0, or its name; a range such as 0..9"),
        ("label=[3,-1]", "label=[3,-1]: should be a class's number"),
        ("code=3", "code=3: a code has a number, from 0: code.0=3"),
        ("code.x=3", "code.x=3: codes have numbers, from 0: code.0=3"),
        ("code.0=true", "code.0=True: should be a number, or a range such as 0..9 or -2..2"),
        ("code.1=nan", "code.1=nan: should be a number"),
        ("code.1=-2...2", None),
        ("code.1=-2.2", None),
        ("code.1=-2..x", "code.1=-2..x: should be a number"),
        ("code.0=[]", "code.0=[]: should be a number"),
    ],
)
def test_values_are_checked_before_a_run_is_opened(typed: str, told: str | None) -> None:
    with pytest.raises(UserError) as raised:
        composed("sample", ["run=nowhere", typed])
    assert str(raised.value).startswith(told or "nowhere is not a run")


def test_help_shows_them() -> None:
    told = verb_help("sample", "ganexp sample", "", ["label.Smiling=1", "label.Male=0"])
    assert "label=0..9 or" in told and "code.1=-2..2" in told and "label.Male=0" in told
