"""What the scripts share."""

from hydra import compose, initialize_config_dir
from omegaconf import DictConfig

from ganexp.cli import conf_folder
from ganexp.config.resolvers import register
from ganexp.config.settle import settle_train


def composed(overrides: list[str]) -> DictConfig:
    """A checked configuration of ``ganexp train``."""
    register()
    with initialize_config_dir(str(conf_folder()), version_base="1.3"):
        return settle_train(compose("train", overrides=overrides), overrides)
