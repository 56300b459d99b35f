"""Small games of super-resolution, for several files of tests."""

import torch
from conftest import composed

from ganexp.games.srgan import SRGAN
from ganexp.training.build import build, build_game
from ganexp.training.precision import Precision

SMALL = ["game=srgan", "arch.generator.width=4", "arch.generator.blocks=1", "arch.discriminator.width=2"]
FP32 = Precision("fp32", torch.device("cpu"))


def game_of(*overrides: str) -> tuple[SRGAN, dict[str, torch.optim.Optimizer]]:
    cfg = composed(*SMALL, *overrides)
    torch.manual_seed(0)
    game = build_game(cfg)
    assert isinstance(game, SRGAN)
    game.prepare_training()
    optim = build(cfg.optim)
    return game, {name: optim(player.net.parameters(), name) for name, player in game.players.items()}
