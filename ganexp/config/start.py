"""``start_from=<run>``: takes the configuration of the networks from another run."""

from collections.abc import Sequence
from contextlib import suppress
from copy import deepcopy
from pathlib import Path

from omegaconf import DictConfig, OmegaConf, open_dict

from ganexp.config.nets import required_nets
from ganexp.config.signatures import constant_of
from ganexp.config.stored import without_added
from ganexp.errors import UserError

_SHAPES = ("source_shape", "output_shape", "shape")


def check_start(cfg: DictConfig, overrides: Sequence[str]) -> None:
    """Raises UserError for a game of trained networks without ``start_from``, unless it is said to be null."""
    if cfg.start_from is not None or "start_from=null" in overrides:
        return
    with suppress(LookupError):  # check_config() reports a class that does not exist
        if constant_of(str(cfg.game["_target_"]), "NEEDS_START"):
            raise UserError(
                "start_from: this game needs networks that are trained already: set start_from=<run>, a run of "
                "game=gan on the same data"
            )


def with_nets_from_run(cfg: DictConfig, stored: DictConfig, overrides: Sequence[str]) -> DictConfig:
    """The configuration with the networks of another run, whose configuration is ``stored``.

    If that run has all networks that the game needs, ``arch`` is replaced as a whole. Raises UserError.
    """
    required = required_nets(cfg.game) or [str(name) for name in cfg.arch]
    names = [str(name) for name in stored.arch if name in required]
    whole = set(names) == set(required)
    for override in overrides:
        key = override.lstrip("+~").partition("=")[0]
        if (whole and key.split(".")[0] == "arch") or any(f"{key}.".startswith(f"arch.{n}.") for n in names):
            raise UserError(
                f"{override}: start_from takes {', '.join(names)} from the other run; leave this out"
            )
    if list(stored.data.shape) != list(cfg.data.shape):
        shapes = f"{list(stored.data.shape)}, and this run's data {list(cfg.data.shape)}"
        raise UserError(f"start_from={cfg.start_from}: its samples have the shape {shapes}")
    for name in names:
        _check_shapes(name, cfg, stored)
    _check_data(cfg, stored)
    cfg = deepcopy(cfg)
    with open_dict(cfg):
        cfg.arch = {} if whole else cfg.arch
        for name in names:
            cfg.arch[name] = OmegaConf.create(OmegaConf.to_container(stored.arch[name]))
        cfg.start_from = str(Path(str(cfg.start_from)).expanduser().absolute())
    return cfg


def _check_data(cfg: DictConfig, stored: DictConfig) -> None:
    """Raises UserError where a game of trained networks would be trained with other samples than they were.

    Networks that have seen an anomaly rebuild it, and what is held out for them has to be held out for both.
    """
    if not constant_of(str(cfg.game["_target_"]), "NEEDS_START"):
        return
    data = [{str(key): value for key, value in one.data.items()} for one in (cfg, stored)]
    ours, theirs = map(without_added, data)
    for key in sorted({*ours, *theirs} - {"root", "mirror"}):
        if ours.get(key) != theirs.get(key):
            raise UserError(
                f"start_from={cfg.start_from}: its data.{key} is {theirs.get(key)}, and this run's "
                f"{ours.get(key)}: this game needs networks of the same data"
            )


def _check_shapes(name: str, cfg: DictConfig, stored: DictConfig) -> None:
    """Raises UserError where a network of the other run takes or gives other shapes than this run asks for.

    Images of the same data have other sources with another ``degrade``, and critics other inputs in another
    game.
    """
    wanted, found = cfg.arch.get(name), stored.arch[name]
    for key in _SHAPES:
        if wanted is not None and key in wanted and key in found and list(wanted[key]) != list(found[key]):
            raise UserError(
                f"start_from={cfg.start_from}: its {name} has {key} {list(found[key])}, and this run needs "
                f"{list(wanted[key])}: choose game and degrade as in that run"
            )
    labels = [int(net["classes"]) for net in (wanted, found) if net is not None and net.get("classes")]
    if len(set(labels)) > 1:
        raise UserError(
            f"start_from={cfg.start_from}: its {name} takes {labels[1]} classes or attributes, and this run's "
            f"data have {labels[0]}: choose data as in that run"
        )
