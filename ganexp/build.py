"""From a checked configuration to the objects it names."""

from collections.abc import Callable
from typing import Any

from hydra.utils import instantiate
from omegaconf import DictConfig
from torch import nn

from ganexp.errors import UserError
from ganexp.games.game import Game, Parts


def build(node: DictConfig) -> Any:
    """The object that a node's ``_target_`` and settings name, with plain lists and dicts for its settings."""
    return instantiate(node, _convert_="all")


def build_game(cfg: DictConfig) -> Game:
    """Networks, loss, penalties and augmentation, joined by the game. Raises UserError where they do not fit.

    Networks are built in the order of their names, so that the order of lines in a YAML does not change the
    first weights.
    """
    parts = Parts(
        nets={str(name): build(cfg.arch[name]) for name in sorted(cfg.arch)},
        loss=None if cfg.loss is None else build(cfg.loss),
        penalties={str(name): build(node) for name, node in cfg.penalties.items()},
        augment=build(cfg.augment),
    )
    # Objects never enter the configuration, which would turn dataclasses into nodes: the game is made last.
    make_game: Callable[..., Game] = instantiate(cfg.game, _partial_=True, _convert_="all")
    game = make_game(parts=parts)
    _check_penalties(game)
    game.freeze_the_rest()
    return game


def _check_penalties(game: Game) -> None:
    """Raises UserError for a penalty of a player that is not there, or whose network mixes samples."""
    for name, penalty in game.parts.penalties.items():
        if penalty.player not in game.players:
            players = ", ".join(game.players)
            raise UserError(
                f"penalties.{name} is one of player {penalty.player}; this game's players are {players}"
            )
        if penalty.double_backward and penalty.player == "d" and _mixes_samples(game.players["d"].net):
            raise UserError(
                f"penalties.{name} takes each sample's own gradient, which batch norm mixes: "
                "set arch.discriminator.norm=none or layer"
            )


def _mixes_samples(net: nn.Module) -> bool:
    return any(isinstance(layer, nn.modules.batchnorm._BatchNorm) for layer in net.modules())
