"""What of a run's folder may be given away: a configuration and a manifest without paths and names of machines.

Verbs read both: an exported folder is a run to look at. Whatever is not listed here is left out: logs, records
of TensorBoard, optimisers, the other networks' weights, and pictures, which may show real samples.
"""

import re
from typing import Any

from omegaconf import DictConfig, OmegaConf

from ganexp.config.exported_files import LEFT_OUT
from ganexp.config.targets import conf_folder

_NAME = "exported"

_FACTS = ("steps", "seed", "images", "precision", "scores")
"""Entries of run.json that are numbers and names of scores."""

_WORD = re.compile(r"[\w.+-]{1,60}")


def shareable_config(config: DictConfig) -> dict[str, Any]:
    """A stored configuration without paths, the run's name, and what only training reads of other runs."""
    shared: dict[str, Any] = _without_paths(OmegaConf.to_container(config))
    return shared | {"name": _NAME, "resume": None, "start_from": None}


def _without_paths(node: Any) -> Any:
    if isinstance(node, dict):
        return {key: value if key == "_target_" else _without_paths(value) for key, value in node.items()}
    if isinstance(node, list):
        return [_without_paths(value) for value in node]
    return LEFT_OUT if isinstance(node, str) and may_be_path(node) else node


def may_be_path(text: str) -> bool:
    """Whether a value could say something of a machine: it has a separator of paths, or begins at home."""
    return "/" in text or "\\" in text or text.startswith("~")


def shareable_manifest(manifest: dict[str, Any]) -> dict[str, Any]:
    """Of run.json: counts, choices of groups, facts of the data, versions; no host, process or commit.

    The fingerprint of the data is left out: by it, whoever has them can tell that they were used.
    """
    shared = {key: manifest[key] for key in _FACTS if key in manifest}
    if isinstance(manifest.get("versions"), dict):
        shared["versions"] = {name: value for name, value in manifest["versions"].items() if _is_word(value)}
    if isinstance(manifest.get("choices"), dict):
        shared["choices"] = {name: value for name, value in manifest["choices"].items() if _ships(name, value)}
    data = manifest.get("data")
    if isinstance(data, dict):
        shared["data"] = {key: data[key] for key in ("count", "shape", "classes") if key in data}
    return {"status": "finished", **shared}


def _is_word(text: Any) -> bool:
    return isinstance(text, str) and bool(_WORD.fullmatch(text))


def _ships(group: str, choice: Any) -> bool:
    """Whether a choice is one of ganexp's own: the name of another one may say whose it is."""
    return _is_word(group) and _is_word(choice) and (conf_folder() / group / f"{choice}.yaml").is_file()
