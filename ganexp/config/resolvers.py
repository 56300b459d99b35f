"""OmegaConf resolvers for ganexp's YAML files; none needs torch.

| in a YAML | gives |
|---|---|
| ``${timestamp:}`` | the start of this command, the same in every run of a sweep |
| ``${run_folder:}`` | ``outputs/<name>/<overrides>``, or the folder that ``resume`` names |
| ``${overrides_name:}`` | the overrides as a folder name: ``loss-wgan_gp+seed-1`` |
| ``${critic_norm:${penalties},batch}`` | the critic's norm: ``none`` with a gradient penalty |
| ``${packed:${data.shape},2}`` | the shape of 2 samples joined along their first axis |
| ``${sum:[10],2}`` | the sum of numbers and lists of numbers |
| ``${divided:64,4}`` | a number divided by a whole one; refused where there is a remainder |
| ``${joined_channels:${degrade.source_shape},${data.shape}}`` | the second shape, with the channels of both |
| ``${label_classes:attribute}`` | a data set's ``classes``: 1 if null, 2 by a name, else a list's length |
"""

import hashlib
import os
import re
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf

from ganexp.config.signatures import constant_of
from ganexp.errors import UserError

RESUMABLE = (
    "name",
    "resume",
    "trust",
    "epochs",
    "max_steps",
    "device",
    "checkpoint",
    "sentinel",
    "evaluate",
    "features",
    "metrics",
)
"""Keys that a resumed run may change, and that therefore do not identify a run."""


def identifies_run(key: str) -> bool:
    """Whether a setting identifies a run. Of the device, only settings that change the results do."""
    return key in ("device.precision", "device.sync_batch_norm") or key.split(".")[0] not in RESUMABLE


MAX_NAME_LENGTH = 120  # characters of a folder's name; the usual limit of a file system is 255 bytes


def register_config_resolvers() -> None:
    """Registers these resolvers with OmegaConf; ``data.resolvers.register`` calls it."""
    resolvers: dict[str, Callable[..., Any]] = {
        "timestamp": _timestamp,
        "run_folder": _run_folder,
        "overrides_name": lambda *, _root_: overrides_name(_root_.hydra.overrides.task),
        "critic_norm": _critic_norm,
        "sum": _sum,
        "divided": _divided,
        "joined_channels": lambda first, second: [first[0] + second[0], *second[1:]],
        "packed": lambda shape, packing: [packing * shape[0], *shape[1:]],
        "label_classes": _label_classes,
    }
    for name, resolver in resolvers.items():
        OmegaConf.register_new_resolver(name, resolver, replace=True)


def overrides_name(overrides: Sequence[str]) -> str:
    """The overrides as a folder name that needs no quoting in a shell and is short in TensorBoard's list.

    Sorted ``key-value`` pairs joined by ``+``. A key is cut to its leaf where that is unique; characters other
    than letters, digits, ``.``, ``_`` and ``-`` become ``-``. Only keys that identify a run are
    included (``identifies_run``), so that the same command with more epochs finds the same folder.
    """
    pairs = []
    for override in overrides:
        key, _, value = override.lstrip("+~").partition("=")
        if identifies_run(key):
            pairs.append((key, value))
    leaves = Counter(key.rsplit(".", 1)[-1] for key, _ in pairs)
    named = []
    for key, value in pairs:
        leaf = key.rsplit(".", 1)[-1]
        value = _EXPONENT.sub(_plain_exponent, value.strip("./[]{}"))
        named.append(f"{leaf if leaves[leaf] == 1 else key}-{value}")
    text = "+".join(re.sub(r"[^A-Za-z0-9._-]+", "-", part).strip("-") for part in sorted(named)) or "default"
    if len(text) > MAX_NAME_LENGTH:
        return cut_name(text, "+".join(map("=".join, sorted(pairs))))
    return text


def cut_name(text: str, identity: str) -> str:
    """A name of 120 characters at most, which ends in a hash of what it stands for."""
    digest = hashlib.sha256(identity.encode()).hexdigest()[:8]
    return f"{text[: MAX_NAME_LENGTH - 9]}-{digest}"


_EXPONENT = re.compile(r"(?<=\d)[eE]([+-]?)0*(\d+)")


def _plain_exponent(found: re.Match[str]) -> str:
    """1e-05 becomes 1e-5, and 1e+30 becomes 1e30: otherwise its ``+`` would be replaced by ``-``."""
    return f"e{found[1].strip('+')}{found[2]}"


TIMESTAMP = "GANEXP_TIMESTAMP"
"""The environment variable that holds ``${timestamp:}``."""


def _timestamp() -> str:
    """When this command started, with a suffix if outputs/ has such a folder.

    Kept in the environment, so that a sweep's processes share it.
    """
    stamp = os.environ.get(TIMESTAMP)
    if stamp is None:
        stamp = base = time.strftime("%Y-%m-%d_%H-%M-%S")
        count = 1
        while Path("outputs", stamp).exists():
            count += 1
            stamp = f"{base}_{count}"
        os.environ[TIMESTAMP] = stamp
    return stamp


def _run_folder(*, _root_: DictConfig) -> str:
    if _root_.resume is not None:
        return str(Path(str(_root_.resume)).expanduser())
    return f"outputs/{_root_.name}/{overrides_name(_root_.hydra.overrides.task)}"


def _label_classes(attribute: Any) -> int:
    """One class without an attribute, two classes by one, or the number of attributes of a list."""
    if isinstance(attribute, ListConfig):
        return max(len(attribute), 1)  # the data set's schema refuses an empty list by its own name
    return 1 if attribute is None else 2


def _critic_norm(penalties: Any, norm: str) -> str:
    """``none`` with a penalty of the critic's per-sample gradients, because batch norm mixes samples.

    Read from the class (``Penalty.double_backward``); assumed if the class's source cannot be read.
    """
    nodes = penalties.values() if isinstance(penalties, DictConfig) else []
    targets = [str(node.get("_target_")) for node in nodes if isinstance(node, DictConfig)]
    return "none" if any(_penalises_critics_gradient(target) for target in targets) else norm


def _sum(*values: Any) -> int:
    """Other values than numbers are left out; the check of the setting that they belong to refuses them."""
    each = [one for value in values for one in (value if isinstance(value, Sequence) else [value])]
    return sum(one for one in each if isinstance(one, int))


def _divided(number: int, divisor: int) -> int:
    """Raises UserError where there is a remainder."""
    if not isinstance(divisor, int) or divisor < 1 or number % divisor:
        raise UserError(
            f"{number} pixels cannot be divided by {divisor}: choose another data.resolution or degrade.factor"
        )
    return number // divisor


def _penalises_critics_gradient(target: str) -> bool:
    try:
        player, twice = constant_of(target, "player"), constant_of(target, "double_backward")
    except LookupError:
        return True  # there is no such class; check() reports it
    return twice is not False and player in (None, "d")
