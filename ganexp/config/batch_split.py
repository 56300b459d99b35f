"""How the batches of a run are divided between its processes."""

import math

from omegaconf import DictConfig

from ganexp.config.signatures import constant_of
from ganexp.errors import UserError


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
