"""Checks every value of a run's configuration before torch is imported.

There are three layers: Hydra refuses keys and choices that do not exist; the models of ``schema.py`` check the
keys that every run has; a node with a ``_target_`` is checked against the signature of that class
(``signatures.py``).
"""

from collections.abc import Mapping
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pydantic import BaseModel, ValidationError, create_model

from ganexp.config.messages import user_error
from ganexp.config.optimisers import split_by_player
from ganexp.config.schema import STRICT, Node
from ganexp.config.signatures import settings_of
from ganexp.errors import UserError, suggest

_NEED_TARGET = ("data", "game", "loss", "optim", "schedule", "device", "sentinel", "features")
"""Groups whose node must have a ``_target_``; so must each network of ``arch``."""


class MissingSetting(UserError):
    """A required setting is missing."""

    def __init__(self, where: str) -> None:
        super().__init__(
            f"{where} is missing: a run cannot do without it, so {where}=null and ~{where} are refused"
        )
        self.where = where


def check_config(cfg: DictConfig, model: type[BaseModel]) -> DictConfig:
    """Resolves all interpolations and checks every value; returns the resolved configuration.

    Raises UserError, one line that names the key, its value and what is allowed.
    """
    plain = _resolve(cfg)
    validate_model(model, plain, "")
    for key, value in plain.items():
        if key == "optim" and isinstance(value, dict):
            shared, players = split_by_player(value)
            _check_node(shared, "optim")
            for player, node in players.items():
                _check_node(node, f"optim.{player}")
        elif isinstance(value, dict):
            _check_node(value, str(key))
    return OmegaConf.create(plain)


def _resolve(cfg: DictConfig) -> dict[str, Any]:
    """The configuration as plain dicts and lists. Raises UserError for a value that was never given."""
    try:
        plain = OmegaConf.to_container(cfg, resolve=True, throw_on_missing=True)
    except OmegaConfBaseException as error:
        raise user_error(error) or error from None  # the UserError of a resolver, if there is one
    assert isinstance(plain, dict)
    return {str(key): value for key, value in plain.items()}


def _check_node(node: Node, path: str) -> None:
    for key, value in node.items():
        if isinstance(value, dict):
            _check_node(value, f"{path}.{key}")
    if (
        path.startswith(("penalties.", "metrics.", "checks."))
        and path.count(".") == 1
        and "_target_" not in node
    ):
        group, name = path.split(".")
        raise UserError(f"{path} has no _target_: choose it with {group}={name}, then {path}.<setting>=...")
    if "_target_" not in node:
        if path in _NEED_TARGET or (path.startswith("arch.") and path.count(".") == 1):
            raise UserError(f"{path} has no _target_, which says what class it is built from")
        return
    if not isinstance(node["_target_"], str) or "." not in node["_target_"]:
        raise UserError(f"{path}._target_={node['_target_']}: should be a class, such as ganexp.losses.Hinge")
    try:
        settings = settings_of(node["_target_"])
    except LookupError as error:
        raise UserError(f"{path}._target_={node['_target_']}: {error}") from None
    if settings is None:
        return
    fields: dict[str, Any] = {key: (p.annotation, ... if p.required else None) for key, p in settings.items()}
    model = create_model(node["_target_"], __config__=STRICT, **fields)
    values = {key: value for key, value in node.items() if key not in ("_target_", "_partial_")}
    checked = validate_model(model, values, f"{path}.")
    node.update({key: getattr(checked, key) for key, value in values.items() if _is_text(value)})


def _is_text(value: Any) -> bool:
    """Whether a value may be a path, which its type (``FilePath``) makes absolute."""
    return isinstance(value, str) or (isinstance(value, list) and all(isinstance(part, str) for part in value))


def validate_model(model: type[BaseModel], values: Mapping[str, Any], prefix: str) -> BaseModel:
    """Validates values with a model. ``prefix``: their path in the configuration. Raises UserError."""
    try:
        return model.model_validate(values)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = prefix + _dotted(first["loc"])
        if first["type"] == "extra_forbidden":
            hint = suggest(str(first["loc"][-1]), model.model_fields) or "it takes none"
            owner = prefix.rstrip(".") or "a run"
            undo = f"; if another choice added it, ~{where} removes it" if prefix else ""
            if prefix.startswith("arch."):
                undo = (
                    "; if the game sets it, these networks do not fit it: arch=dcgan and arch=mlp fit all games"
                )
            raise UserError(f"{where}: no such setting of {owner}; {hint}{undo}") from None
        if first["type"] == "missing":
            raise MissingSetting(where) from None
        if first["type"] == "dict_type":
            hint = f"it is a group of settings: set {where}.<key>=<value>"
            raise UserError(f"{where}={_short(first['input'])}: {hint}") from None
        message = first["msg"].replace("Input should", "should").removeprefix("Value error, ")
        raise UserError(f"{where}={_short(first['input'])}: {message[0].lower()}{message[1:]}") from None


def _dotted(loc: tuple[int | str, ...]) -> str:
    text = ""
    for part in loc:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def _short(value: Any) -> str:
    text = "null" if value is None else str(value)
    return text if len(text) <= 60 else text[:57] + "..."
