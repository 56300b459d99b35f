"""Turns Hydra's and OmegaConf's exceptions into one line: the key, the allowed values, the closest match."""

import errno
import re

from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from ganexp.config.extras import LAUNCHERS
from ganexp.config.guesses import CHOICES, groups_of_choice
from ganexp.errors import UserError, first_line, suggest


def explain(error: BaseException) -> tuple[str | None, int]:
    """One line for a user's mistake, or None for a bug of ganexp's; and the exit status."""
    mistake = user_error(error)
    if mistake is not None:
        return str(mistake), mistake.status
    for describe in (_unknown_choice, _missing_value, _unknown_key, _bad_override, _file_error, _any_other):
        for link in _causes(error):
            line = describe(link)
            if line is not None:
                return line, 2
    return None, 1


def user_error(error: BaseException) -> UserError | None:
    """The UserError that an exception is or was caused by (Hydra wraps exceptions of constructors), or None.

    File errors of the system and failed allocations become UserErrors too.
    """
    for link in _causes(error):
        if isinstance(link, UserError):
            return link
    line = _file_error(error) if isinstance(error, OSError) else _out_of_memory(error)
    return UserError(line) if line is not None else None


def _causes(error: BaseException | None) -> list[BaseException]:
    found: list[BaseException] = []
    while error is not None and error not in found:
        found.append(error)
        error = error.__cause__ or error.__context__
    return found


def _unknown_choice(error: BaseException) -> str | None:
    """The group has no such choice."""
    if not isinstance(error, MissingConfigException):
        return None
    group, _, choice = (error.missing_cfg_file or "").rpartition("/")
    if not group:
        return first_line(error)
    if group == "hydra/launcher" and choice in LAUNCHERS:
        return LAUNCHERS[choice]
    told = f"{group}={choice}: no such choice of {group}"
    if choice in CHOICES.get(group, ()):
        return f"{told}; did you mean {group}={CHOICES[group][choice]}?"
    others = groups_of_choice(choice)
    if others:
        return f"{told}; {choice} is a choice of {others[0]}: {others[0]}={choice}"
    hint = suggest(choice, error.options or ())
    return f"{told}; {hint}" if hint else told


def _missing_value(error: BaseException) -> str | None:
    """A mandatory value is missing."""
    missing = str(error).partition("Missing mandatory value: ")[2].split("\n")[0]
    # the text may have the last part of the key only; full_key may be that of an interpolation of it
    name = missing if "." in missing else getattr(error, "full_key", None) or missing
    return f"{name} is required: set {name}=..." if missing else None


def _unknown_key(error: BaseException) -> str | None:
    """The key does not exist, or its value cannot be resolved."""
    if not isinstance(error, OmegaConfBaseException) or not error.full_key:
        return None
    key, parent = str(error.full_key), error.parent_node
    if not error.msg or "is not in struct" not in error.msg:
        return f"{key}: {first_line(error)}"
    if key.startswith("penalties."):
        name = key.split(".")[1]
        return f"{key}: this run has no penalty {name}; penalties={name} adds it"
    if key.startswith("features."):
        return f"{key}: the chosen features have no such setting; features=classifier has seed and widths"
    names = [str(name) for name in parent] if isinstance(parent, DictConfig) else []
    hint = suggest(key.rsplit(".", 1)[-1], [n for n in names if n != "hydra" and not n.startswith("_")])
    return f"{key}: no such setting" + (f"; {hint}" if hint else "")


def _bad_override(error: BaseException) -> str | None:
    """The override cannot be parsed, or has several values."""
    if isinstance(error, OverrideParseException):
        if "=" not in error.override:
            written = "settings are written key=value, without spaces, such as run=<folder>"
            return f"cannot read {error.override!r}: {written}"
        return (
            f"cannot read {error.override!r}: a value with spaces or = , [ ] ( ) ~ needs quotes inside "
            "the shell's, as in \"key='a=b'\""
        )
    text = first_line(error)
    if isinstance(error, ValueError) and text.startswith("Config group override must be"):
        return "null cannot be chosen for a group that every run needs, such as data, arch or loss"
    if isinstance(error, TypeError) and _raised_in(error) == "hydra._internal.defaults_list":
        return "the choice of a group, such as data=mnist or metrics=[fid,kid], is a name or a list of names"
    override = several_values(error)
    if override is None:
        return None
    key, _, values = override.partition("=")
    if key in LISTS:
        return f"{override} names several values: a list has brackets: {key}=[{values}]"
    quoted = f"{key}='{values}'"
    return f'{override} names several values, where one is taken; a text with commas needs quotes: "{quoted}"'


LISTS = ("metrics", "penalties")
"""The groups of which a run may have several choices."""


def several_values(error: BaseException) -> str | None:
    """The override that Hydra refuses because it names several values, such as ``seed=1,2``; else None."""
    text = first_line(error)
    if isinstance(error, HydraException) and text.startswith("Ambiguous value"):
        return text.split("'")[1]
    return None


def _raised_in(error: BaseException) -> str:
    """The name of the module that raised an exception."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return "" if trace is None else str(trace.tb_frame.f_globals.get("__name__"))


def _file_error(error: BaseException) -> str | None:
    """A YAML file cannot be parsed, or a file or folder cannot be read or written."""
    if isinstance(error, YAMLError):
        return f"a YAML cannot be read: {' '.join(str(error).split())}"
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS):
        return f"{error.filename or 'a file'} cannot be written: {error.strerror}"
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    return None


def _out_of_memory(error: BaseException) -> str | None:
    """The system or the device is out of memory, as reported by Python, NumPy or torch."""
    for link in _causes(error):
        text = first_line(link)
        wanted = re.search(r"[Uu]nable to allocate [^ ]+ \w+|tried to allocate [^ ]+ \w+", text)
        if (
            isinstance(link, MemoryError)
            or type(link).__name__ == "OutOfMemoryError"
            or _OUT_OF_MEMORY.search(text)
        ):
            asked = f" ({wanted[0][0].lower()}{wanted[0][1:]})" if wanted else ""
            return f"there is not enough memory{asked}: a smaller batch_size, arch or data set takes less"
    return None


_OUT_OF_MEMORY = re.compile(
    r"DefaultCPUAllocator: (can't allocate|not enough) memory|[Ss]torage size calculation overflowed"
)


def _any_other(error: BaseException) -> str | None:
    """Any other exception of Hydra or OmegaConf: its own first line."""
    return first_line(error) if isinstance(error, HydraException | OmegaConfBaseException) else None
