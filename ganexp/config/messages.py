"""Hydra's and OmegaConf's exceptions as one line that names the key, what is allowed and the nearest."""

from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from ganexp.errors import UserError, suggest


def explain(error: BaseException) -> tuple[str | None, int]:
    """One line for a mistake of the user's, and the exit status; None for a defect of ours."""
    mistake = user_error(error)
    return (_composition(error), 2) if mistake is None else (str(mistake), mistake.status)


def user_error(error: BaseException) -> UserError | None:
    """The UserError that an exception is or was caused by: Hydra wraps what a constructor raises."""
    return next((link for link in _causes(error) if isinstance(link, UserError)), None)


def _composition(error: BaseException) -> str | None:
    """One line for what Hydra or OmegaConf could not put together."""
    chain = _causes(error)
    for link in chain:
        if isinstance(link, MissingConfigException):
            return _missing_config(link)
    for link in chain:
        missing = str(link).partition("Missing mandatory value: ")[2].split("\n")[0]
        if missing:
            return f"{missing} is needed: say {missing}=..."
    for link in chain:
        if isinstance(link, OmegaConfBaseException) and link.full_key:
            return _bad_key(link)
    for link in chain:
        if isinstance(link, OverrideParseException):
            return f"cannot read {link.override!r}: {_first_line(link)}; quote what has = , [ ] ( ) or blanks"
    text = _first_line(error)
    if isinstance(error, HydraException) and text.startswith("Ambiguous value"):
        return f"{text.split(chr(39))[1]} names several values: add -m to run each of them"
    return text if isinstance(error, HydraException | OmegaConfBaseException) else None


def _causes(error: BaseException | None) -> list[BaseException]:
    found: list[BaseException] = []
    while error is not None and error not in found:
        found.append(error)
        error = error.__cause__ or error.__context__
    return found


def _missing_config(error: MissingConfigException) -> str:
    group, _, choice = (error.missing_cfg_file or "").rpartition("/")
    if not group:
        return _first_line(error)
    return f"{group}={choice}: no such choice of {group}; {suggest(choice, error.options or ())}"


def _bad_key(error: OmegaConfBaseException) -> str:
    key = str(error.full_key)
    parent = error.parent_node
    if error.msg and "is not in struct" in error.msg:
        names = [str(name) for name in parent] if isinstance(parent, DictConfig) else []
        hint = suggest(key.rsplit(".", 1)[-1], [name for name in names if name not in ("hydra", "_target_")])
        return f"{key}: no such setting; {hint}"
    return f"{key}: {_first_line(error)}"


def _first_line(error: BaseException) -> str:
    return str(error).strip().split("\n")[0].strip()
