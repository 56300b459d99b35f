"""The folder of the configuration, and the ``_target_`` values in it.

A stored run may name any ``_target_`` of ganexp's own YAML files without ``trust=true``. So a new loss or
metric needs only its YAML, and no entry in a list.
"""

import re
from functools import cache
from pathlib import Path

_TARGET = re.compile(r"^\s*(?:\w+\s*:\s*\{)?\s*_target_:\s*([\w.]+)", re.MULTILINE)


def conf_folder() -> Path:
    """The folder ``conf``: inside the package in a wheel, beside it in a checkout."""
    inside = Path(__file__).resolve().parent.parent / "conf"
    return inside if inside.is_dir() else inside.parent.parent / "conf"


_MOVED = {
    "ganexp.device": "ganexp.training.device",
    "ganexp.sentinel.Limits": "ganexp.sentinel.SentinelConfig",
}
"""Old path -> current path of moved modules (with everything in them) and classes that stored runs name."""


def current_target(target: str) -> str:
    """The current dotted path of a stored ``_target_``, which may have been moved since."""
    for former, now in _MOVED.items():
        if target == former or target.startswith(f"{former}."):
            return now + target.removeprefix(former)
    return target


@cache
def builtin_targets() -> frozenset[str]:
    """Every class and function of ganexp that its own YAML files name as a ``_target_``."""
    groups = (file for file in conf_folder().glob("*/*.yaml") if file.parent.name != "hydra")
    texts = (file.read_text(encoding="utf-8") for file in (conf_folder() / "train.yaml", *groups))
    found = (target for text in texts for target in _TARGET.findall(text))
    return frozenset(target for target in found if target.startswith("ganexp."))
