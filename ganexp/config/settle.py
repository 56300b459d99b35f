"""From what was composed to what is run: checked, resolved, with absolute paths; or read from a folder."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from ganexp.config.check import DataSettings, SampleSettings, TrainSettings, check
from ganexp.config.resolvers import RESUMABLE
from ganexp.errors import UserError

_TRUSTED = ("ganexp.", "torch.nn.", "torch.optim.")


def settle_train(cfg: DictConfig, overrides: Sequence[str]) -> DictConfig:
    """The configuration of a run, new or resumed. Raises UserError."""
    if cfg.resume is not None:
        return _resumed(cfg, overrides)
    return _absolute(check(cfg, TrainSettings))


def settle_data(cfg: DictConfig, overrides: Sequence[str]) -> DictConfig:
    """The configuration of ``ganexp data info`` and ``prepare``. Raises UserError."""
    used = OmegaConf.masked_copy(cfg, [key for key in ("data", "out") if key in cfg])
    return _absolute(check(used, DataSettings))


def settle_sample(cfg: DictConfig, overrides: Sequence[str]) -> DictConfig:
    """The configuration of ``ganexp sample``. Raises UserError."""
    settled = check(cfg, SampleSettings)
    read_run(settled.run, trust=settled.trust)
    return settled


def read_run(folder: str, *, trust: bool) -> DictConfig:
    """The configuration that a run folder holds, resolved; None of its text is executed.

    A target outside of ganexp and torch's networks and optimisers names code that only a run's owner can
    vouch for: it is refused unless ``trust``. Raises UserError.
    """
    file = Path(folder).expanduser() / "config.yaml"
    if not file.is_file():
        raise UserError(f"{folder} is not a run: it has no config.yaml")
    try:
        cfg = OmegaConf.load(file)
    except (OmegaConfBaseException, yaml.YAMLError, UnicodeDecodeError):
        raise UserError(f"{file} is damaged: it is not YAML") from None
    if not isinstance(cfg, DictConfig):
        raise UserError(f"{file} is damaged: it holds no settings")
    if not trust:
        for target in _targets(OmegaConf.to_container(cfg)):
            if not target.startswith(_TRUSTED):
                raise UserError(f"{file} wants to run {target}: if you know that code, add trust=true")
    return check(cfg, TrainSettings)


def _absolute(settled: DictConfig) -> DictConfig:
    """A run is resumed and sampled from any directory: where its data lies must not depend on one."""
    root = OmegaConf.select(settled, "data.root")
    if root is not None:
        settled.data.root = str(Path(root).expanduser().absolute())
    return settled


def _targets(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if "_target_" in node:
            yield str(node["_target_"])
        node = list(node.values())
    if isinstance(node, list):
        for item in node:
            yield from _targets(item)


def _resumed(cfg: DictConfig, overrides: Sequence[str]) -> DictConfig:
    stored = read_run(cfg.resume, trust=cfg.trust)
    allowed = [key for key in RESUMABLE if key != "name"]
    for override in overrides:
        key = override.lstrip("+~").partition("=")[0]
        group = key.split(".")[0]
        if group not in allowed:
            raise UserError(
                f"{override}: a resumed run stays what it was; only {', '.join(allowed)} can be given with it"
            )
        stored[group] = cfg[group]
    stored.resume = str(Path(cfg.resume).expanduser().absolute())
    return check(stored, TrainSettings)
