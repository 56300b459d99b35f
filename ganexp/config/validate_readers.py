"""Validates the configurations of the verbs that read runs."""

from collections.abc import Callable, Sequence
from functools import partial
from importlib.util import find_spec
from pathlib import Path

from omegaconf import DictConfig, ListConfig, OmegaConf
from pydantic import BaseModel

from ganexp.config.batch_split import processes
from ganexp.config.check import check_config
from ganexp.config.export_schema import ExportSettings, PullSettings, PushSettings
from ganexp.config.latent_schema import (
    DirectionsSettings,
    EditSettings,
    InterpolateSettings,
    MixSettings,
    PlaySettings,
)
from ganexp.config.stored import read_run
from ganexp.config.verb_schema import (
    AnomalySettings,
    EvaluateSettings,
    FilmSettings,
    MoreDataSettings,
    NeighboursSettings,
    SampleSettings,
    TranslateSettings,
    VerifySettings,
)
from ganexp.config.zoo import run_folder
from ganexp.errors import UserError


def _validate(
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


def validate_push(cfg: DictConfig, overrides: Sequence[str]) -> DictConfig:
    """The configuration of ``ganexp push``. Raises UserError."""
    validated = check_config(cfg, PushSettings)
    validated.run = run_folder(str(validated.run))
    return validated


def validate_edit(cfg: DictConfig, overrides: Sequence[str]) -> DictConfig:
    """The configuration of ``ganexp edit``. Raises UserError, also for files that do not exist."""
    validated = _validate(EditSettings, ["run"], cfg, overrides)
    if validated.input is not None and not Path(validated.input).expanduser().exists():
        raise UserError(f"input={validated.input}: there is no such file or folder")
    return validated


def validate_translate(cfg: DictConfig, overrides: Sequence[str]) -> DictConfig:
    """The configuration of ``ganexp translate``. Raises UserError, also for files that do not exist."""
    validated = _validate(TranslateSettings, ["run"], cfg, overrides)
    _check_exist(validated, "input", "mask")
    return validated


def validate_anomaly(cfg: DictConfig, overrides: Sequence[str]) -> DictConfig:
    """The configuration of ``ganexp anomaly``. Raises UserError, also for files that do not exist."""
    validated = _validate(AnomalySettings, ["run"], cfg, overrides)
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
            "ganexp play needs Gradio: pip install 'gradio>=6.31'; pip install --no-deps 'pillow>=13'; "
            "docs/play.md says why"
        )
    used = OmegaConf.masked_copy(cfg, [key for key in PlaySettings.model_fields if key in cfg])
    validated = _validate(PlaySettings, [], used, overrides)
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
    validated = _validate(MoreDataSettings, [], cfg, overrides)
    given = validated.run if isinstance(validated.run, ListConfig) else [validated.run]
    validated.run = [run_folder(str(path)) for path in given]
    for path in validated.run:
        folder = Path(path).expanduser()
        if (folder / "config.yaml").is_file() or not folder.is_dir():
            read_run(path, trust=validated.trust)
    return validated


READERS: dict[str, Callable[[DictConfig, Sequence[str]], DictConfig]] = {
    "sample": partial(_validate, SampleSettings, ["run"]),
    "evaluate": partial(_validate, EvaluateSettings, ["run"]),
    "film": partial(_validate, FilmSettings, ["run"]),
    "edit": validate_edit,
    "directions": partial(_validate, DirectionsSettings, ["run"]),
    "interpolate": partial(_validate, InterpolateSettings, ["run"]),
    "mix": partial(_validate, MixSettings, ["run"]),
    "neighbours": partial(_validate, NeighboursSettings, ["run"]),
    "moredata": validate_moredata,
    "play": validate_play,
    "translate": validate_translate,
    "export": partial(_validate, ExportSettings, ["run"]),
    "push": validate_push,
    "pull": partial(_validate, PullSettings, []),
    "anomaly": validate_anomaly,
    "verify": partial(_validate, VerifySettings, ["run", "against"]),
}
"""Of ``VALIDATORS``, those of verbs that read runs."""
