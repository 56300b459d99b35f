"""Builds the objects that a validated configuration names."""

from collections.abc import Callable
from typing import Any, TypeVar

from hydra.utils import get_object, instantiate
from omegaconf import DictConfig
from torch import nn

from ganexp.augment import Augment
from ganexp.data.degradations.degradation import Degradation
from ganexp.data.source import Source
from ganexp.errors import UserError
from ganexp.games.game import Game, Parts
from ganexp.losses import Loss
from ganexp.penalties import Penalty


def build(node: DictConfig) -> Any:
    """Instantiates a node's ``_target_``; its settings are passed as plain lists and dicts."""
    return instantiate(node, _convert_="all")


T = TypeVar("T")


def build_as(kind: type[T], node: DictConfig, where: str) -> T:
    """Builds the node at the path ``where``. Raises UserError if the object is not a ``kind``."""
    made = build(node)
    if not isinstance(made, kind):
        raise UserError(f"{where}._target_={node.get('_target_')}: it does not build a {kind.__name__}")
    return made


def build_source(cfg: DictConfig) -> Source:
    """The data set, in the two domains that ``degrade`` makes of it, if it makes any (``degrade=classes``)."""
    source = build_as(Source, cfg.data, "data")
    return source if cfg.degrade is None else build_as(Degradation, cfg.degrade, "degrade").domains(source)


def build_game(cfg: DictConfig) -> Game:
    """The game with its networks, loss, penalties and augmentation. Raises UserError where they do not fit.

    Networks are built in the order of their names, so that the order of lines in a YAML does not change the
    initial weights.
    """
    parts = Parts(
        nets={str(name): build_as(nn.Module, cfg.arch[name], f"arch.{name}") for name in sorted(cfg.arch)},
        # mypy wants a concrete class; build_as only calls isinstance, which a Protocol supports
        loss=None if cfg.loss is None else build_as(Loss, cfg.loss, "loss"),  # type: ignore[type-abstract]
        penalties={
            str(name): build_as(Penalty, node, f"penalties.{name}") for name, node in cfg.penalties.items()
        },
        augment=build_as(Augment, cfg.augment, "augment"),
        label_kind=build_source(cfg).label_kind,
        degrade=None if cfg.degrade is None else build_as(Degradation, cfg.degrade, "degrade"),
    )
    # The parts are passed to a partial: OmegaConf would turn dataclasses in a configuration into nodes.
    kind = get_object(cfg.game["_target_"])
    if not (isinstance(kind, type) and issubclass(kind, Game)):
        raise UserError(f"game._target_={cfg.game['_target_']}: it is not a Game")
    make_game: Callable[..., Game] = instantiate(cfg.game, _partial_=True, _convert_="all")
    game = make_game(parts=parts)
    _check_penalties(game)
    game.freeze_untrained()
    return game


def _check_penalties(game: Game) -> None:
    """Raises UserError for a penalty of an unknown player, or of sample gradients in a net with batch norm."""
    for name, penalty in game.parts.penalties.items():
        if penalty.player not in game.players:
            players = ", ".join(game.players)
            raise UserError(
                f"penalties.{name} belongs to player {penalty.player}; this game's players are {players}"
            )
        if penalty.double_backward and penalty.player == "d" and _mixes_samples(game.players["d"].net):
            raise UserError(
                f"penalties.{name} takes each sample's own gradient, which batch norm mixes: "
                "set arch.discriminator.norm=none or layer"
            )


def _mixes_samples(net: nn.Module) -> bool:
    return any(isinstance(layer, nn.modules.batchnorm._BatchNorm) for layer in net.modules())
