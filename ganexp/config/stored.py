"""Reads the ``config.yaml`` of a run folder. It may be untrusted, so its size is checked before it is loaded.

A kilobyte of YAML can expand to more than fits into memory (``b: [*a, *a]``, ``c: [*b, *b]``, ...), contain
itself, or be nested deeper than Python's recursion limit. ganexp writes no aliases, tags or interpolations, so
all three are refused; size, depth and number of values are limited.
"""

import re
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any

import yaml
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from ganexp.config.check import MissingSetting, check_config
from ganexp.config.schema import TrainSettings
from ganexp.config.targets import builtin_targets, current_target
from ganexp.errors import UserError
from ganexp.system.atomic import read_regular
from ganexp.system.nested import leaves

try:
    from yaml import CSafeLoader as _SafeLoader
except ImportError:  # PyYAML was built without libyaml
    from yaml import SafeLoader as _SafeLoader  # type: ignore[assignment]

MAX_BYTES = 1 << 20
MAX_VALUES = 3_000
MAX_DEPTH = 32
"""Limits of a file. A run's has about 4 kB, 250 values, 5 levels; OmegaConf loads 3,000 values a second."""


DEFAULTS_FOR_OLD_RUNS: dict[str, Any] = {
    "start_from": None,
    "start_weights": "averaged",
    "schedules": {},
    "augment": {"_target_": "ganexp.augment.NoAugment"},
    "degrade": None,
    "evaluate.split": "training",
    "evaluate.early": None,
}
"""Settings added after the first version, with the values under which a stored run behaves as it did."""

_ADDED_DATA_SETTINGS: dict[str, Any] = {"leave_out": [], "per_class": None, "per_class_seed": 0}
"""The same of every data set."""

_ADDED_TO_DIGITS = {"split": "all"}


def without_added(data: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a data set, without those that were added later and change nothing.

    So the data of old and new runs are equal where their samples are.
    """
    digits = data.get("_target_") == "ganexp.data.digits.Digits"
    added = _ADDED_DATA_SETTINGS | (_ADDED_TO_DIGITS if digits else {})
    return {key: value for key, value in data.items() if key not in added or added[key] != value}


def read_run(folder: str, *, trust: bool) -> DictConfig:
    """The configuration stored in a run folder, which may be untrusted.

    It was written without interpolations, so none is resolved. Unless ``trust``, a ``_target_`` that ganexp's
    own YAML files do not name is refused, because it could run any code; and so is a link that leads out of the
    folder, because files could be written through it. Raises UserError.
    """
    file = Path(folder).expanduser() / "config.yaml"
    if not file.is_file():
        raise UserError(not_a_run(file.parent))
    cfg = load_config(file)
    if not trust:
        check_links(file.parent)
    foreign = [] if trust else foreign_targets(cfg)
    if foreign:
        raise UserError(f"{file} would run {foreign[0]}: if you trust that code, add trust=true")
    try:
        return check_config(cfg, TrainSettings)
    except MissingSetting as error:
        raise UserError(
            f"{file} has no {error.where}, perhaps because an earlier version wrote it: add the value that the "
            "run started with; ganexp train --cfg job shows a new run's value"
        ) from None
    except UserError as error:
        raise UserError(f"{file}: {error}") from None


def foreign_targets(cfg: DictConfig) -> list[str]:
    """The ``_target_`` paths that ganexp's own YAML files do not name; the run is read with ``trust=true``."""
    values = leaves(OmegaConf.to_container(cfg), lists=True)
    targets = [str(value) for path, value in values if "_target_" in path]
    return [target for target in targets if target not in builtin_targets()]


def load_config(file: Path) -> DictConfig:
    """The content of a config.yaml. Raises UserError where it is damaged."""
    content = read_bounded_yaml(file)
    try:
        cfg = OmegaConf.create(content)
        _upgrade(cfg)
        return cfg
    except OmegaConfBaseException:
        raise UserError(f"{file} is damaged: OmegaConf cannot read its values") from None


def _upgrade(cfg: DictConfig) -> None:
    """Adds settings that the version that wrote the file did not have, and updates ``_target_`` paths."""
    for key, value in DEFAULTS_FOR_OLD_RUNS.items():
        *owners, name = key.split(".")
        owner = cfg.get(owners[0]) if owners else cfg
        if isinstance(owner, DictConfig) and name not in owner:
            owner[name] = value
    _rename_targets(cfg)


def not_a_run(folder: Path) -> str:
    """One line on a folder that holds no run, with the first of the runs in it, if there are any."""
    if not folder.is_dir():
        return f"{folder} is not a run: it has no config.yaml; there is no such folder"
    below = sorted(folder.glob("*/config.yaml"))
    return f"{folder} is not a run: it has no config.yaml" + (f"; {below[0].parent} is one" if below else "")


def _rename_targets(node: DictConfig) -> None:
    """Replaces ``_target_`` paths of moved classes with their current ones, in place."""
    for key, value in node.items():
        if isinstance(value, DictConfig):
            _rename_targets(value)
        elif key == "_target_":
            node[key] = current_target(str(value))


def check_links(folder: Path) -> None:
    """Raises UserError if a link in a run folder leads out of it: writes must stay inside."""
    inside = folder.resolve()
    for path in folder.rglob("*"):
        if path.is_symlink() and not path.resolve().is_relative_to(inside):
            raise UserError(f"{path} leads out of the run folder: if that is meant, add trust=true")


def read_bounded_yaml(file: Path) -> dict[Any, Any]:
    """The content of a ``config.yaml`` as plain dicts, lists and values. Raises UserError, one line."""
    try:
        text = read_regular(file, MAX_BYTES).decode("utf-8")
    except OSError as error:
        raise UserError(f"{file} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UserError(f"{file} is damaged: it is not YAML") from None
    try:
        _check_bounds(text, file)
        content = yaml.load(text, _Loader)
    except (yaml.YAMLError, ValueError):  # ValueError: a malformed number, or one with too many digits
        raise UserError(f"{file} is damaged: it is not YAML") from None
    if not isinstance(content, dict) or not content:
        raise UserError(f"{file} is damaged: it holds no settings")
    return content


def _check_bounds(text: str, file: Path) -> None:
    """Checks the YAML's events, which builds no objects. Raises UserError, yaml.YAMLError."""
    depth = values = 0
    for event in yaml.parse(text, _SafeLoader):
        if isinstance(event, yaml.AliasEvent):
            raise UserError(f"{file} is damaged: it has aliases (*{event.anchor}), which ganexp never writes")
        tag, value = getattr(event, "tag", None), getattr(event, "value", "")
        if tag is not None:
            raise UserError(f"{file} is damaged: it has tags ({tag}), which ganexp never writes")
        if "${" in value:
            raise UserError(f"{file} is damaged: it was written without {value[:60]}")
        values += isinstance(event, yaml.NodeEvent)
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH:
            raise UserError(f"{file} is damaged: it is nested deeper than {MAX_DEPTH} levels")
        if values > MAX_VALUES:
            raise UserError(f"{file} is damaged: it holds more than {MAX_VALUES:,} values")


class _Loader(_SafeLoader):
    """Reads as OmegaConf does: ``1e-5`` is a number, ``2026-01-01`` is text, duplicate keys are an error."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        if len(set(keys)) < len(keys):
            raise yaml.constructor.ConstructorError(None, None, "duplicate key", node.start_mark)
        return super().construct_mapping(node, deep=deep)


_Loader.yaml_implicit_resolvers = {
    letter: [pair for pair in pairs if pair[0] != "tag:yaml.org,2002:timestamp"]
    for letter, pairs in _SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"[-+]?\d[\d_]*(\.[\d_]*)?[eE][-+]?\d+$"),
    list("-+0123456789."),
)
