"""Validates each verb's composed configuration, or one read from a run folder, and resolves its paths."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

from omegaconf import DictConfig, ListConfig, OmegaConf

from ganexp.config.batch_split import check_batch_split, processes
from ganexp.config.check import check_config
from ganexp.config.combinations import check_combinations
from ganexp.config.degrade import check_degrade
from ganexp.config.extras import check_extras
from ganexp.config.nets import check_nets, required_nets
from ganexp.config.resolvers import RESUMABLE
from ganexp.config.schema import TrainSettings
from ganexp.config.start import check_start, with_nets_from_run
from ganexp.config.stored import read_run
from ganexp.config.validate_readers import READERS
from ganexp.config.verb_schema import (
    DataSettings,
    TuneSettings,
)
from ganexp.errors import UserError


def validate_train(cfg: DictConfig, overrides: Sequence[str]) -> DictConfig:
    """The configuration of a run, new or resumed. Raises UserError."""
    if not cfg.resume and cfg.resume is not None:
        raise UserError("resume is empty: set resume=<folder>")
    if cfg.resume is not None:
        if isinstance(cfg.resume, DictConfig | ListConfig):
            raise UserError(f"resume={cfg.resume}: set resume=<folder>")
        return _validate_resumed(cfg, overrides)
    literals = _literal_facts(cfg)
    check_start(cfg, overrides)
    if cfg.start_from is not None:
        cfg = with_nets_from_run(cfg, read_run(cfg.start_from, trust=cfg.trust), overrides)
    if isinstance(cfg.game, DictConfig) and isinstance(cfg.arch, DictConfig):
        with suppress(LookupError):  # check_config() below reports a class that does not exist
            _check_arch(cfg)  # first, because check_config() resolves references to missing networks
            check_degrade(cfg)
    validated = check_config(cfg, TrainSettings)
    _check_facts(validated, literals)
    check_combinations(validated)
    check_batch_split(validated, processes(validated))
    return validated


def _literal_facts(cfg: DictConfig) -> list[tuple[str, str]]:
    """(network, key) pairs of ``shape`` and ``classes`` that are values and not interpolations.

    Only these must equal the data's. What the interpolation of a game or an architecture gives may differ: a
    critic of pairs has twice the channels.
    """
    nets = [(str(name), net) for name, net in cfg.arch.items() if isinstance(net, DictConfig)]
    facts = [(name, key, net) for name, net in nets for key in ("shape", "classes") if key in net]
    return [(name, key) for name, key, net in facts if not OmegaConf.is_interpolation(net, key)]


def _check_facts(validated: DictConfig, literals: Sequence[tuple[str, str]]) -> None:
    """Raises UserError for a value among ``literals`` that is not the data's."""
    shape, classes = validated.data.shape, validated.data.classes
    for name, key in literals:
        if name not in validated.arch:
            continue  # start_from replaced it
        value = validated.arch[name][key]
        if key == "shape" and value != shape:
            raise UserError(f"arch.{name}.shape={value}: the data's samples are {shape}")
        if key == "classes" and value not in (0, classes):
            raise UserError(f"arch.{name}.classes={value}: the data has {classes} classes")


def _check_arch(cfg: DictConfig) -> None:
    """Raises UserError where ``arch`` does not have exactly the networks that the game needs."""
    nets = required_nets(cfg.game)
    if nets is not None:
        check_nets(str(cfg.game["_target_"]).rpartition(".")[2], nets, cfg.arch)


def validate_data(cfg: DictConfig, overrides: Sequence[str]) -> DictConfig:
    """The configuration of ``ganexp data info`` and ``prepare``. Raises UserError."""
    used = OmegaConf.masked_copy(cfg, [key for key in ("data", "out") if key in cfg])
    return check_config(used, DataSettings)


def validate_tune(cfg: DictConfig, overrides: Sequence[str]) -> DictConfig:
    """The configuration of ``ganexp tune``; ``sweeps.tune.space`` checks the space. Raises UserError."""
    if find_spec("optuna") is None:
        raise UserError("ganexp tune needs Optuna: pip install -e '.[tune]'")
    return check_config(cfg, TuneSettings)


def _validate_resumed(cfg: DictConfig, overrides: Sequence[str]) -> DictConfig:
    stored = read_run(str(cfg.resume), trust=cfg.trust)
    allowed = [key for key in RESUMABLE if key != "name"]
    for override in overrides:
        key = override.lstrip("+~").partition("=")[0]
        group = key.split(".")[0]
        if group not in allowed:
            raise UserError(
                f"{override}: a resumed run keeps its settings; only {', '.join(allowed)} can be changed"
            )
        key = key if key != group and group in stored else group  # one setting, or the whole group
        OmegaConf.update(stored, key, OmegaConf.select(cfg, key))
    stored.resume = str(Path(str(cfg.resume)).expanduser().absolute())
    validated = check_config(stored, TrainSettings)
    check_batch_split(validated, processes(validated))
    return validated


def validate_config(verb: str, composed: DictConfig, overrides: Sequence[str]) -> DictConfig:
    """Validates a verb's configuration without Hydra's own node, before a folder is made. Raises UserError."""
    settings = [str(key) for key in composed if key != "hydra"]
    validated = VALIDATORS[verb](OmegaConf.masked_copy(composed, settings), overrides)
    check_extras(validated)
    return validated


VALIDATORS: dict[str, Callable[[DictConfig, Sequence[str]], DictConfig]] = {
    "train": validate_train,
    **READERS,
    "tune": validate_tune,
    "data_info": validate_data,
    "data_prepare": validate_data,
}
"""Functions that validate a verb's configuration and overrides, by the name of the configuration."""
