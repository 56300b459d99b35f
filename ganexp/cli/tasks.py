"""Calls a verb's function with its validated configuration; torch is imported no earlier than here."""

from importlib import import_module
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

_FUNCTIONS = {
    "sample": "ganexp.cli.sample:sample",
    "evaluate": "ganexp.cli.evaluate:evaluate",
    "film": "ganexp.cli.film:film",
    "neighbours": "ganexp.cli.neighbours:neighbours",
    "verify": "ganexp.cli.verify:verify",
    "tune": "ganexp.sweeps.tune.search:search",
    "data_info": "ganexp.cli.data:info",
    "data_prepare": "ganexp.cli.data:prepare",
}
"""``module:function`` by the name of the verb's configuration."""


def run_task(verb: str, cfg: DictConfig) -> None:
    """Runs a verb. Raises whatever the verb raises."""
    if verb == "train":
        _train(cfg)
        return
    module, _, name = _FUNCTIONS[verb].partition(":")
    getattr(import_module(module), name)(cfg)


def _train(cfg: DictConfig) -> None:
    from ganexp.train import train

    hydra_cfg = HydraConfig.get()
    folder = Path(hydra_cfg.runtime.output_dir)
    if folder.is_relative_to(Path.cwd()):
        folder = folder.relative_to(Path.cwd())  # the form in which a user would type it
    choices = {key: str(value) for key, value in hydra_cfg.runtime.choices.items() if "/" not in key}
    train(cfg, folder, choices)
