"""Validates each verb's composed configuration, or one read from a run folder, and resolves its paths."""

import math
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from importlib.util import find_spec
from pathlib import Path

from omegaconf import DictConfig, ListConfig, OmegaConf
from pydantic import BaseModel

from ganexp.config.check import check_config
from ganexp.config.combinations import check_combinations
from ganexp.config.degrade import check_degrade
from ganexp.config.export_schema import ExportSettings, PullSettings, PushSettings
from ganexp.config.extras import check_extras
from ganexp.config.latent_schema import (
    DirectionsSettings,
    EditSettings,
    InterpolateSettings,
    MixSettings,
    PlaySettings,
)
from ganexp.config.nets import check_nets, required_nets
from ganexp.config.resolvers import RESUMABLE
from ganexp.config.schema import TrainSettings
from ganexp.config.signatures import constant_of
from ganexp.config.start import check_start, with_nets_from_run
from ganexp.config.stored import read_run
from ganexp.config.verb_schema import (
    AnomalySettings,
    DataSettings,
    EvaluateSettings,
    FilmSettings,
    MoreDataSettings,
    NeighboursSettings,
    SampleSettings,
    TranslateSettings,
    TuneSettings,
    VerifySettings,
)
from ganexp.config.zoo import run_folder
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


def processes(cfg: DictConfig) -> int:
    """The number of processes that a run starts on this machine."""
    return int(cfg.device.count) if "count" in cfg.device else 1  # Metal is one device


def check_batch_split(cfg: DictConfig, world: int) -> None:
    """Raises UserError for a batch that is too small, or not to be split evenly in multiples of its unit."""
    smallest = constant_of(str(cfg.game["_target_"]), "SMALLEST_BATCH") or 2
    if cfg.batch_size < smallest:
        raise UserError(f"batch_size={cfg.batch_size}: should be greater than or equal to {smallest}")
    units = _batch_units(cfg)
    unit, named = math.prod(units.values()), " x ".join(f"{name}={size}" for name, size in units.items())
    if cfg.batch_size % unit:
        raise UserError(f"batch_size={cfg.batch_size}: it has to be a multiple of {named}")
    if cfg.batch_size % (world * unit):
        how = f"in multiples of {named}" if units else "evenly"
        raise UserError(f"batch_size={cfg.batch_size}: {world} processes cannot split it {how}")


def _batch_units(cfg: DictConfig) -> dict[str, int]:
    """The settings of the game and of the networks that ``BATCH_UNIT`` of their classes names, if not null.

    A pack counts as one sample of a network: a group of 4 packs of 2 is made of 8 samples.
    """
    nodes = {"game": cfg.game} | {f"arch.{name}": net for name, net in cfg.arch.items()}
    units = {}
    for path, node in nodes.items():
        name = constant_of(str(node.get("_target_")), "BATCH_UNIT")
        if name is not None and node[name] is not None:
            units[f"{path}.{name}"] = int(node[name])
    return units


def validate_data(cfg: DictConfig, overrides: Sequence[str]) -> DictConfig:
    """The configuration of ``ganexp data info`` and ``prepare``. Raises UserError."""
    used = OmegaConf.masked_copy(cfg, [key for key in ("data", "out") if key in cfg])
    return check_config(used, DataSettings)


def validate_tune(cfg: DictConfig, overrides: Sequence[str]) -> DictConfig:
    """The configuration of ``ganexp tune``; ``sweeps.tune.space`` checks the space. Raises UserError."""
    if find_spec("optuna") is None:
        raise UserError("ganexp tune needs Optuna: pip install -e '.[tune]'")
    return check_config(cfg, TuneSettings)


def _validate_reader(
    model: type[BaseModel], run_keys: Sequence[str], cfg: DictConfig, overrides: Sequence[str]
) -> DictConfig:
    """The configuration of a verb that reads the runs named by the keys ``run_keys``. Raises UserError."""
    validated = check_config(cfg, model)
    if "device" in validated and processes(validated) > 1:
        raise UserError(f"device.count={validated.device.count}: only ganexp train uses several devices")
    for key in run_keys:
        if validated[key] is not None:
            validated[key] = run_folder(str(validated[key]))  # Hydra parses run=nan as a number
            read_run(validated[key], trust=validated.trust)
    if "blend" in validated and validated.blend.run is not None:
        validated.blend.run = run_folder(str(validated.blend.run))
    return validated


def _validate_push(cfg: DictConfig, overrides: Sequence[str]) -> DictConfig:
    validated = check_config(cfg, PushSettings)
    validated.run = run_folder(str(validated.run))
    return validated


def validate_edit(cfg: DictConfig, overrides: Sequence[str]) -> DictConfig:
    """The configuration of ``ganexp edit``. Raises UserError, also for files that do not exist."""
    validated = _validate_reader(EditSettings, ["run"], cfg, overrides)
    if validated.input is not None and not Path(validated.input).expanduser().exists():
        raise UserError(f"input={validated.input}: there is no such file or folder")
    return validated


def validate_translate(cfg: DictConfig, overrides: Sequence[str]) -> DictConfig:
    """The configuration of ``ganexp translate``. Raises UserError, also for files that do not exist."""
    validated = _validate_reader(TranslateSettings, ["run"], cfg, overrides)
    _check_exist(validated, "input", "mask")
    return validated


def validate_anomaly(cfg: DictConfig, overrides: Sequence[str]) -> DictConfig:
    """The configuration of ``ganexp anomaly``. Raises UserError, also for files that do not exist."""
    validated = _validate_reader(AnomalySettings, ["run"], cfg, overrides)
    _check_exist(validated, "input")
    return validated


def _check_exist(validated: DictConfig, *keys: str) -> None:
    """Raises UserError for a setting that names a file or folder that does not exist."""
    for key in keys:
        if validated[key] is not None and not Path(validated[key]).expanduser().exists():
            raise UserError(f"{key}={validated[key]}: there is no such file or folder")


def validate_play(cfg: DictConfig, overrides: Sequence[str]) -> DictConfig:
    """The configuration of ``ganexp play``; ``run`` becomes a list if it is given. Raises UserError."""
    if find_spec("gradio") is None:
        raise UserError(
            "ganexp play needs Gradio: pip install -e '.[play]'; where pip finds no versions that fit, "
            "docs/play.md says what to do"
        )
    used = OmegaConf.masked_copy(cfg, [key for key in PlaySettings.model_fields if key in cfg])
    validated = _validate_reader(PlaySettings, [], used, overrides)
    if (validated.run is None) == (validated.data is None):
        told = "run=<folder> for a run, data=ring for a GAN in the plane"
        raise UserError(f"run or data: give one of them: {told}")
    if validated.run is not None:
        given = validated.run if isinstance(validated.run, ListConfig) else [validated.run]
        validated.run = [run_folder(str(path)) for path in given]  # Hydra parses run=nan as a number
        for path in validated.run:
            read_run(path, trust=validated.trust)
    return validated


def validate_moredata(cfg: DictConfig, overrides: Sequence[str]) -> DictConfig:
    """The configuration of ``ganexp moredata``; its ``run`` becomes a list. Raises UserError."""
    validated = _validate_reader(MoreDataSettings, [], cfg, overrides)
    given = validated.run if isinstance(validated.run, ListConfig) else [validated.run]
    validated.run = [run_folder(str(path)) for path in given]
    for path in validated.run:
        folder = Path(path).expanduser()
        if (folder / "config.yaml").is_file() or not folder.is_dir():
            read_run(path, trust=validated.trust)
    return validated


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
    "sample": partial(_validate_reader, SampleSettings, ["run"]),
    "evaluate": partial(_validate_reader, EvaluateSettings, ["run"]),
    "film": partial(_validate_reader, FilmSettings, ["run"]),
    "edit": validate_edit,
    "directions": partial(_validate_reader, DirectionsSettings, ["run"]),
    "interpolate": partial(_validate_reader, InterpolateSettings, ["run"]),
    "mix": partial(_validate_reader, MixSettings, ["run"]),
    "neighbours": partial(_validate_reader, NeighboursSettings, ["run"]),
    "moredata": validate_moredata,
    "play": validate_play,
    "translate": validate_translate,
    "export": partial(_validate_reader, ExportSettings, ["run"]),
    "push": _validate_push,
    "pull": partial(_validate_reader, PullSettings, []),
    "anomaly": validate_anomaly,
    "verify": partial(_validate_reader, VerifySettings, ["run", "against"]),
    "tune": validate_tune,
    "data_info": validate_data,
    "data_prepare": validate_data,
}
"""Functions that validate a verb's configuration and overrides, by the name of the configuration."""
