"""Turns a fixed override of a sweep into a sweep over one value, so that it is applied to each member.

Hydra applies the fixed overrides of a sweep to the default configuration first. In
``-m data=ring,grid arch.generator.widths=[64]``, ``arch.generator.widths`` does not exist there, because the
default data choose another architecture. A sweep over one value is applied to each member instead.
"""

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import OverrideType
from hydra.errors import HydraException


def as_choice_sweep(argument: str, groups: frozenset[str]) -> str:
    """The argument; a fixed setting inside one of the config ``groups`` as ``key=choice(value)``."""
    key = argument.partition("=")[0]
    if argument.startswith("-") or "=" not in argument or "." not in key or key.split(".")[0] not in groups:
        return argument
    try:
        override = OverridesParser.create().parse_override(argument)
    except HydraException:
        return argument  # Hydra reports the error
    if override.is_sweep_override() or override.type != OverrideType.CHANGE:
        return argument
    return f"{key}=choice({override.get_value_element_as_str()})"
