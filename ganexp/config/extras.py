"""Packages that are not installed with ganexp: a run that needs one is refused before it has a folder."""

from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from omegaconf import DictConfig

from ganexp.errors import UserError


class Extra(NamedTuple):
    """What a ``_target_`` needs: a module, unless one of the files is there; and the message without it."""

    module: str
    unless: tuple[str, ...]
    message: str


EXTRAS = {
    "ganexp.metrics.features.inception": Extra(
        "torch_fidelity",
        (),
        "features=inception needs torch-fidelity: pip install -e '.[inception]'; "
        "features=classifier needs nothing",
    ),
    "ganexp.data.medmnist.MedMNIST": Extra(
        "medmnist",
        ("{root}/{subset}.npz",),
        "data=medmnist needs {subset}.npz in data.root={root}, or, to download it, the package medmnist: "
        "pip install -e '.[medmnist]'",
    ),
    "ganexp.data.celeba.CelebA": Extra(
        "gdown",
        ("{root}/img_align_celeba", "{root}/img_align_celeba.zip"),
        "data=celeba needs img_align_celeba.zip (1.4 GB) and list_eval_partition.txt in data.root={root}: they "
        "come from https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html; or install gdown to download them, while "
        "the day's quota of Google Drive lasts",
    ),
}
"""What is needed, by ``_target_``; the message and the files are formatted with the node's settings."""

_SLURM = "{} needs hydra-submitit-launcher: pip install -e '.[slurm]'"

LAUNCHERS = {name: _SLURM.format(f"hydra/launcher={name}") for name in ("submitit_local", "submitit_slurm")}
"""Choices of hydra/launcher that another package brings."""


def check_extras(validated: DictConfig) -> None:
    """Raises UserError where a node of a validated configuration needs a package that is not installed."""
    for node in validated.values():
        extra = EXTRAS.get(str(node.get("_target_"))) if isinstance(node, DictConfig) else None
        if extra is not None and find_spec(extra.module) is None:
            settings: dict[str, Any] = {str(key): value for key, value in node.items()}
            files = [Path(pattern.format_map(settings)).expanduser() for pattern in extra.unless]
            if not any(file.exists() for file in files):
                raise UserError(extra.message.format_map(settings))
