"""Composes a verb's configuration without Hydra's argument parser, for help and completion."""

from collections.abc import Sequence
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from ganexp.cli.keyed_settings import join_keyed_settings
from ganexp.config.targets import conf_folder

_CONFIG_DIR = ("--config-dir", "-cd")


def config_folders(arguments: Sequence[str]) -> list[Path]:
    """The folders of configurations: ganexp's own, and those of ``--config-dir``."""
    folders = [conf_folder()]
    for position, argument in enumerate(arguments):
        flag, _, value = argument.partition("=")
        if flag in _CONFIG_DIR:
            folders.append(Path(value or next(iter(arguments[position + 1 :]), ".")).absolute())
    return folders


def _overrides(arguments: Sequence[str]) -> list[str]:
    """The overrides among a verb's arguments; none with -m, where a key may have several values."""
    if {"-m", "--multirun"} & {*arguments}:
        return []
    pairs = zip(["", *arguments], arguments, strict=False)
    words = [word for flag, word in pairs if word[:1] != "-" and flag not in _CONFIG_DIR]
    return [word for word in words if "=" in word or word[:1] == "~"]


def compose_verb(
    verb: str, arguments: Sequence[str], folders: Sequence[Path]
) -> tuple[DictConfig, dict[str, str]]:
    """The composed configuration without Hydra's node, and the choice of each group that is a single one.

    ``folders`` are those of ``config_folders``. Raises Hydra's exceptions.
    """
    from hydra import compose, initialize_config_dir

    from ganexp.data.resolvers import register

    register()
    paths = ",".join(f'"file://{folder}"' for folder in folders[1:])
    extra = [f"hydra.searchpath=[{paths}]"] if paths else []
    with initialize_config_dir(str(folders[0]), version_base="1.3"):
        cfg = compose(
            verb,
            overrides=[*extra, *join_keyed_settings(verb, _overrides(arguments))],
            return_hydra_config=True,
        )
    choices = {str(name): str(choice or "null") for name, choice in cfg.hydra.runtime.choices.items()}
    return OmegaConf.masked_copy(cfg, [str(key) for key in cfg if key != "hydra"]), choices
