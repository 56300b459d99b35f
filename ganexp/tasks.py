"""What the verbs that take overrides do with a settled configuration; torch is imported only here."""

from collections.abc import Callable
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig


def _train(cfg: DictConfig) -> None:
    from ganexp.train import train

    hydra_cfg = HydraConfig.get()
    folder = Path(hydra_cfg.runtime.output_dir)
    if folder.is_relative_to(Path.cwd()):
        folder = folder.relative_to(Path.cwd())  # as a person would type it
    choices = {key: str(value) for key, value in hydra_cfg.runtime.choices.items() if "/" not in key}
    train(cfg, folder, choices)


def _sample(cfg: DictConfig) -> None:
    from ganexp.commands.sample import sample

    sample(cfg)


def _evaluate(cfg: DictConfig) -> None:
    from ganexp.commands.evaluate import evaluate

    evaluate(cfg)


def _film(cfg: DictConfig) -> None:
    from ganexp.commands.film import film

    film(cfg)


def _neighbours(cfg: DictConfig) -> None:
    from ganexp.commands.neighbours import neighbours

    neighbours(cfg)


def _verify(cfg: DictConfig) -> None:
    from ganexp.commands.verify import verify

    verify(cfg)


def _tune(cfg: DictConfig) -> None:
    from ganexp.tune.search import search

    search(cfg)


def _data_info(cfg: DictConfig) -> None:
    from ganexp.commands.data import info

    info(cfg)


def _data_prepare(cfg: DictConfig) -> None:
    from ganexp.commands.data import prepare

    prepare(cfg)


TASKS: dict[str, Callable[[DictConfig], None]] = {
    "train": _train,
    "sample": _sample,
    "evaluate": _evaluate,
    "film": _film,
    "neighbours": _neighbours,
    "verify": _verify,
    "tune": _tune,
    "data_info": _data_info,
    "data_prepare": _data_prepare,
}
"""By the name of the verb's configuration."""
