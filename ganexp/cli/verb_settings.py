"""What a verb can be told: its groups with their choices, and its settings with type, default and sentence.

Help and shell completion read it. It needs Hydra's composition but not its argument parser, and not torch.
"""

from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple, get_type_hints

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pydantic import BaseModel

from ganexp.cli.composition import compose_verb, config_folders
from ganexp.config.signatures import settings_of
from ganexp.config.targets import conf_folder
from ganexp.config.type_words import allowed_values, type_in_words
from ganexp.config.verb_schema import MODELS
from ganexp.config.yaml_comments import read_comments
from ganexp.errors import UserError


class Group(NamedTuple):
    """A config group: the name that is typed, the current choice, all choices, what it is."""

    name: str
    chosen: str
    choices: tuple[str, ...]
    sentence: str


class VerbSetting(NamedTuple):
    """A setting: its dotted path, its value as text, its type in words, its few values if so, its sentence."""

    path: str
    value: str
    kind: str
    allowed: tuple[str, ...]
    sentence: str


class VerbSettings(NamedTuple):
    """Everything that a verb takes; ``nodes``: the sentence of a group of settings by its path."""

    groups: list[Group]
    settings: list[VerbSetting]
    nodes: dict[str, str]


def verb_settings(verb: str, arguments: Sequence[str]) -> VerbSettings:
    """What the verb takes once ``arguments`` are given; ``verb`` names its YAML. Raises Hydra's exceptions."""
    folders = config_folders(arguments)
    cfg, choices = compose_verb(verb, arguments, folders)
    model = MODELS[verb]
    entries = _group_entries(verb)
    groups = []
    for name, sentence in reversed(entries.items()):  # what comes later in the defaults list wins
        group, _, package = name.partition("@")
        if (package or group) in model.model_fields or _is_recipe(group):
            chosen = choices.get(name) or _chosen_list(cfg, package or group)
            groups.append(Group(name, chosen, _choices(group, folders), sentence))
    files = _comment_files(verb, groups, folders)
    owned = {group.name.rpartition("@")[2] for group in groups}
    settings = [
        _setting(cfg, path, node, model, files)
        for path, node in _leaves(cfg)
        if path.split(".")[0] in model.model_fields and path not in owned
    ]
    nodes: dict[str, str] = {}
    for group_name, file in files:
        for path, sentence in read_comments(file).nodes.items():
            nodes.setdefault(_absolute(path, group_name, file), sentence)
    return VerbSettings(groups, settings, nodes)


@cache
def _group_entries(verb: str) -> dict[str, str]:
    """The sentence of each group in the verb's defaults list and in those of the files that it extends."""
    entries: dict[str, str] = {}
    for file in _extended_files(verb):
        for name, sentence in read_comments(file).groups.items():
            entries.setdefault(name, sentence)
    return entries


def _extended_files(verb: str) -> list[Path]:
    """The verb's YAML, then the files that it extends (``defaults: [reader, _self_]``)."""
    file = conf_folder() / f"{verb}.yaml"
    found = [file]
    for entry in OmegaConf.select(OmegaConf.load(file), "defaults", default=[]):
        if isinstance(entry, str) and entry != "_self_":
            found += _extended_files(entry)
    return found


def _is_recipe(group: str) -> bool:
    """Whether a group has no node of its own: its choices set keys anywhere, as those of experiment do."""
    files = (conf_folder() / group).glob("*.yaml")
    return all(read_comments(file).is_global and group not in OmegaConf.load(file) for file in files)


def _choices(group: str, folders: list[Path]) -> tuple[str, ...]:
    return tuple(sorted({file.stem for folder in folders for file in (folder / group).glob("*.yaml")}))


def _chosen_list(cfg: DictConfig, package: str) -> str:
    """The choice of a group that takes a list: the names of the nodes that it made."""
    node = cfg.get(package)
    return f"[{','.join(map(str, node))}]" if isinstance(node, DictConfig) and node else "null"


def _comment_files(verb: str, groups: list[Group], folders: list[Path]) -> list[tuple[str, Path]]:
    """(package, file) of the YAMLs whose comments explain settings, those of the chosen ones first."""
    found = [("", file) for file in _extended_files(verb)]
    for group in groups:
        name, _, package = group.name.partition("@")
        files = [file for folder in folders for file in sorted((folder / name).glob("*.yaml"))]
        files.sort(key=lambda file: file.stem != group.chosen)
        found += [(package or name, file) for file in files]
    return found


def _absolute(path: str, group: str, file: Path) -> str:
    return f"{group}.{path}" if group and not read_comments(file).is_global else path


def _leaves(node: DictConfig, prefix: str = "") -> Iterator[tuple[str, DictConfig]]:
    """The path of every setting, and the node that it is in."""
    for key in map(str, node):
        path = f"{prefix}{key}"
        value = None if OmegaConf.is_missing(node, key) or OmegaConf.is_interpolation(node, key) else node[key]
        if isinstance(value, DictConfig) and value:
            yield from _leaves(value, f"{path}.")
        elif key not in ("_target_", "_partial_"):
            yield path, node


def _setting(
    cfg: DictConfig, path: str, node: DictConfig, model: type[BaseModel], files: list[tuple[str, Path]]
) -> VerbSetting:
    annotation = _annotation(path, node, model)
    return VerbSetting(
        path, _value(cfg, path), type_in_words(annotation), allowed_values(annotation), _sentence(path, files)
    )


def _sentence(path: str, files: list[tuple[str, Path]]) -> str:
    """A setting's sentence, or that of the nearest setting above it: ``optim.lr`` for ``optim.lr.low``."""
    owner = path.split(".")[0]
    own_first = sorted(files, key=lambda pair: pair[0] not in ("", owner))  # recipes comment on their values
    while path:
        for package, file in own_first:
            for known, sentence in read_comments(file).leaves.items():
                if sentence and _absolute(known, package, file) == path:
                    return sentence
        path = path.rpartition(".")[0]
    return ""


def _annotation(path: str, node: DictConfig, model: type[BaseModel]) -> Any:
    """A setting's annotation, from the signature of its node's class or from the verb's model."""
    name = path.rpartition(".")[2]
    if "_target_" in node:
        try:
            parameter = (settings_of(str(node["_target_"])) or {}).get(name)
        except LookupError:
            return Any
        return Any if parameter is None else parameter.annotation
    found: Any = model
    for part in path.split("."):
        if not (isinstance(found, type) and issubclass(found, BaseModel)):
            return Any
        found = get_type_hints(found, include_extras=True).get(part, Any)
    return found


def _value(cfg: DictConfig, path: str) -> str:
    """A setting's value as it is typed; ``???`` if it is required, ``...`` if it follows from one that is."""
    try:
        value = OmegaConf.select(cfg, path)
        if OmegaConf.is_config(value):
            value = OmegaConf.to_container(value, resolve=True)
    except (OmegaConfBaseException, UserError):
        return "..."
    return "???" if value is None and _is_missing(cfg, path) else _typed(value)


def _is_missing(cfg: DictConfig, path: str) -> bool:
    owner, _, key = path.rpartition(".")
    node = OmegaConf.select(cfg, owner) if owner else cfg
    return OmegaConf.is_missing(node, key)


def _typed(value: Any) -> str:
    if isinstance(value, list):
        return f"[{','.join(map(_typed, value))}]"
    if isinstance(value, dict):
        return f"{{{','.join(f'{key}:{_typed(inner)}' for key, inner in value.items())}}}"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return str(value)
