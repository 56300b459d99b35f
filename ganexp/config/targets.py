"""The configuration's folder, and what its ``_target_`` lines name.

What a YAML of ganexp's own names is a building block of ganexp's: a stored run may name it without being
trusted. So a new loss or metric is known by its YAML, and by no list beside it.
"""

import re
from functools import cache
from pathlib import Path

_TARGET = re.compile(r"^\s*(?:\w+\s*:\s*\{)?\s*_target_:\s*([\w.]+)", re.MULTILINE)


def conf_folder() -> Path:
    """The configuration: inside the package in a wheel, beside it in a checkout."""
    inside = Path(__file__).resolve().parent.parent / "conf"
    return inside if inside.is_dir() else inside.parent.parent / "conf"


_MOVED = {
    "ganexp.device": "ganexp.training.device",
    "ganexp.sentinel.Limits": "ganexp.sentinel.SentinelConfig",
}
"""What runs of earlier versions name, and where it is now: a module with all that is in it, or a class."""


def present_target(target: str) -> str:
    """The dotted path that a stored ``_target_`` has today."""
    for former, now in _MOVED.items():
        if target == former or target.startswith(f"{former}."):
            return now + target.removeprefix(former)
    return target


@cache
def own_targets() -> frozenset[str]:
    """Every class and function that the choices of ganexp's own configuration groups name."""
    groups = (file for file in conf_folder().glob("*/*.yaml") if file.parent.name != "hydra")
    texts = (file.read_text(encoding="utf-8") for file in (conf_folder() / "train.yaml", *groups))
    found = (target for text in texts for target in _TARGET.findall(text))
    return frozenset(target for target in found if target.startswith("ganexp."))
