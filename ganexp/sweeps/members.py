"""What a sweep says to each of its members, and not to all of them together.

Hydra applies every override of a sweep that is no sweep itself to the default configuration first, where
``arch.generator.widths`` of ``-m data=ring,grid arch.generator.widths=[64]`` does not exist: the default data
choose another architecture. As a sweep over one value it is applied to each member alone.
"""

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import OverrideType
from hydra.errors import HydraException


def for_each(argument: str, groups: frozenset[str]) -> str:
    """An argument of a sweep; a setting within one of ``groups`` becomes a choice of one value."""
    key = argument.partition("=")[0]
    if argument.startswith("-") or "=" not in argument or "." not in key or key.split(".")[0] not in groups:
        return argument
    try:
        override = OverridesParser.create().parse_override(argument)
    except HydraException:
        return argument  # Hydra tells what is wrong with it
    if override.is_sweep_override() or override.type != OverrideType.CHANGE:
        return argument
    return f"{key}=choice({override.get_value_element_as_str()})"
