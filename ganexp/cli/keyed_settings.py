"""Joins ``label.Smiling=1 label.Male=0`` into ``label={Smiling:1,Male:0}`` before Hydra reads the arguments.

``label`` and ``code`` of ``ganexp sample``, and ``label`` of ``ganexp translate``, have keys that only the run
knows; so have those of the verbs that explore latents. They are null in the configuration, and Hydra refuses a
key of null.
"""

import re
from collections.abc import Sequence

from ganexp.errors import UserError

_KEYED = {
    "sample": ("label", "code"),
    "interpolate": ("label", "code"),
    "mix": ("label",),
    "directions": ("label",),
    "edit": ("label",),
    "translate": ("label",),
}
"""The settings with keys of this kind, by verb."""

_SETTING = re.compile(r"\+{0,2}(\w+)(?:\.([^=]+))?=(.*)", re.DOTALL)
_SPECIAL = re.compile(r"[\\()\[\]{}:=,\s]")  # Hydra wants a backslash before these in the key of a dictionary
_PLAIN = re.compile(r"[\w\-/+.$%*@?|\\()\[\]{}:=,\s]+", re.ASCII)


def join_keyed_settings(verb: str, arguments: Sequence[str]) -> list[str]:
    """The arguments, with the settings of each key in one argument, where the first of them stood.

    Raises UserError where a setting is given both with keys and without, and for names that Hydra cannot read.
    """
    matches = [_SETTING.fullmatch(argument) for argument in arguments]
    joined: dict[int, str] = {}
    dropped: set[int] = set()
    for name in _KEYED.get(verb, ()):
        found = [
            (place, match) for place, match in enumerate(matches) if match is not None and match[1] == name
        ]
        keyed = [(place, match) for place, match in found if match[2] is not None]
        if not keyed:
            continue
        if len(keyed) < len(found):
            whole = next(match[0] for _, match in found if match[2] is None)
            raise UserError(f"{whole} and {keyed[0][1][0]}: give one of them")
        entries = [f"{_escaped(match)}:{match[3]}" for _, match in keyed]
        joined[keyed[0][0]] = f"{name}={{{','.join(entries)}}}"
        dropped |= {place for place, _ in keyed}
    kept = [joined.get(place, argument) for place, argument in enumerate(arguments)]
    return [argument for place, argument in enumerate(kept) if place in joined or place not in dropped]


def _escaped(setting: "re.Match[str]") -> str:
    """The key of a setting in Hydra's grammar."""
    if not _PLAIN.fullmatch(setting[2]):
        other = f"{setting[1]}.<number>={setting[3]}"
        raise UserError(
            f"{setting[0]}: a name with such letters cannot be written here; use its number: {other}"
        )
    return _SPECIAL.sub(lambda special: f"\\{special[0]}", setting[2])
