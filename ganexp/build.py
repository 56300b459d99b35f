"""From a checked configuration to the objects it names."""

from collections.abc import Callable
from typing import Any

from hydra.utils import instantiate
from omegaconf import DictConfig
from torch import nn

from ganexp.errors import UserError
from ganexp.games.game import Game


def build(node: DictConfig) -> Any:
    """The object that a node's ``_target_`` and settings name, with plain lists and dicts for its settings."""
    return instantiate(node, _convert_="all")


def build_game(cfg: DictConfig) -> Game:
    """Networks, loss and penalties, joined by the game. Raises UserError where they do not go together."""
    discriminator = build(cfg.arch.discriminator)
    penalties = {name: build(node) for name, node in cfg.penalties.items()}
    if penalties and _mixes_samples(discriminator):
        raise UserError(
            f"penalties.{next(iter(penalties))} takes each sample's own gradient, which batch norm mixes: "
            "set arch.discriminator.norm=none or layer"
        )
    # Objects never enter the configuration, which would turn dataclasses into nodes: the game is made last.
    make_game: Callable[..., Game] = instantiate(cfg.game, _partial_=True, _convert_="all")
    game = make_game(
        generator=build(cfg.arch.generator),
        discriminator=discriminator,
        loss=build(cfg.loss),
        penalties=penalties,
    )
    game.check()
    return game


def _mixes_samples(net: nn.Module) -> bool:
    return any(isinstance(layer, nn.modules.batchnorm._BatchNorm) for layer in net.modules())
