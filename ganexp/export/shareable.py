"""What of a run's folder may be given away: a configuration and a manifest without paths and names of machines.

Verbs read both: an exported folder is a run to look at. Whatever is not listed here is left out: logs, records
of TensorBoard, optimisers, the other networks' weights, and pictures, which may show real samples.
"""

import re
from typing import Any

from omegaconf import DictConfig, OmegaConf

LEFT_OUT = "left-out"
"""Stands where a path was."""

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
    """Of run.json: counts, choices of groups, facts of the data, versions; no host, process or commit."""
    shared = {key: manifest[key] for key in _FACTS if key in manifest}
    for key in ("choices", "versions"):
        if isinstance(manifest.get(key), dict):
            shared[key] = {name: value for name, value in manifest[key].items() if _is_word(name, value)}
    data = manifest.get("data")
    if isinstance(data, dict):
        shared["data"] = {key: data[key] for key in ("fingerprint", "count", "shape", "classes") if key in data}
    return {"status": "finished", **shared}


def _is_word(*texts: Any) -> bool:
    return all(isinstance(text, str) and _WORD.fullmatch(text) for text in texts)
