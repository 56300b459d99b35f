"""The verbs that take overrides: a composed configuration is settled, and only then is torch imported."""

from collections.abc import Callable
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from ganexp.config.settle import settle_data, settle_sample, settle_train


def _train(cfg: DictConfig) -> None:
    hydra_cfg = HydraConfig.get()
    settled = settle_train(cfg, list(hydra_cfg.overrides.task))
    folder = Path(hydra_cfg.runtime.output_dir)
    if folder.is_relative_to(Path.cwd()):
        folder = folder.relative_to(Path.cwd())  # as a person would type it
    choices = {key: str(value) for key, value in hydra_cfg.runtime.choices.items() if "/" not in key}
    from ganexp.train import train

    train(settled, folder, choices)


def _sample(cfg: DictConfig) -> None:
    settled = settle_sample(cfg, [])
    from ganexp.commands.sample import sample

    sample(settled)


def _data_info(cfg: DictConfig) -> None:
    from ganexp.commands.data import info

    info(settle_data(cfg, []))


def _data_prepare(cfg: DictConfig) -> None:
    from ganexp.commands.data import prepare

    prepare(settle_data(cfg, []))


TASKS: dict[str, Callable[[DictConfig], None]] = {
    "train": _train,
    "sample": _sample,
    "data_info": _data_info,
    "data_prepare": _data_prepare,
}
"""By the name of the verb's configuration."""
