"""From a checked configuration to the objects it names."""

from collections.abc import Callable

from hydra.utils import instantiate
from omegaconf import DictConfig
from torch import nn

from ganexp.errors import UserError
from ganexp.games.game import Game


def build_game(cfg: DictConfig) -> Game:
    """Networks, loss and penalties, joined by the game. Raises UserError where they do not go together."""
    discriminator = instantiate(cfg.arch.discriminator)
    penalties = {name: instantiate(node) for name, node in cfg.penalties.items()}
    if penalties and _mixes_samples(discriminator):
        raise UserError(
            f"penalties.{next(iter(penalties))} takes each sample's own gradient, which batch norm mixes: "
            "set arch.discriminator.norm=none or layer"
        )
    make_game: Callable[..., Game] = instantiate(cfg.game, _partial_=True)  # objects never enter the config
    return make_game(
        generator=instantiate(cfg.arch.generator),
        discriminator=discriminator,
        loss=instantiate(cfg.loss),
        penalties=penalties,
    )


def _mixes_samples(net: nn.Module) -> bool:
    return any(isinstance(layer, nn.modules.batchnorm._BatchNorm) for layer in net.modules())
