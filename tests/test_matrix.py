"""Every network of noise with every game of noise and every loss: two steps of each player, on made data."""

from pathlib import Path

import pytest
import torch
from conftest import composed
from omegaconf import DictConfig
from torch import nn

from ganexp.config.targets import conf_folder
from ganexp.data.batches import Batch
from ganexp.errors import UserError
from ganexp.games.game import StepProgress
from ganexp.train import player_step
from ganexp.training.build import build_game
from ganexp.training.model import make_optimisers
from ganexp.training.precision import Precision

LOSSES = sorted(path.stem for path in Path(conf_folder(), "loss").glob("*.yaml") if path.stem != "none")
GAMES = [
    "gan",
    *(pytest.param(name, marks=pytest.mark.slow) for name in ("cgan", "pacgan", "acgan", "infogan")),
]
SIDE, BATCH = 16, 8
FP32 = Precision("fp32", torch.device("cpu"))

PLAYERS = ("generator", "discriminator")
WIDTHS = ["arch.generator.width=4", "arch.discriminator.width=4"]
ATTENTIVE = [f"arch.{player}.{size}" for player in PLAYERS for size in ("width=8", "attention=8")]
BASES = [f"arch.{player}.max_width=4" for player in PLAYERS]
NETS: dict[str, list[str]] = {
    "mlp": ["arch.generator.widths=[8]", "arch.discriminator.widths=[8]"],
    "dcgan": WIDTHS,
    "resnet_small": WIDTHS,
    "sagan_small": [*ATTENTIVE, "arch.generator.latent=15"],
    "biggan_small": [*ATTENTIVE, "arch.generator.latent=15", "arch.generator.shared=4"],
    "progressive_small": [*BASES, "arch.generator.latent=15"],
    "stylegan2_small": [*BASES, "arch.generator.latent=15", "arch.generator.style=6"],
    "r3gan_small": [
        f"arch.{player}.{sizes}" for player in PLAYERS for sizes in ("widths=[4,4,4]", "groups=[2,2,2]")
    ],
}
"""Networks from noise, made small."""


REFUSED: dict[tuple[str, str], str] = {}
"""An architecture and a game that do not go together, and part of what is said of it."""


@pytest.fixture(scope="module")
def of_loss() -> dict[str, DictConfig]:
    """The loss and the penalties of each choice."""
    return {loss: composed("arch=mlp", f"loss={loss}") for loss in LOSSES}


@pytest.mark.parametrize("game", GAMES)
@pytest.mark.parametrize("arch", NETS)
def test_two_steps(arch: str, game: str, of_loss: dict[str, DictConfig]) -> None:
    common = [
        "loss=wgan_gp",
        f"data.resolution={SIDE}",
        f"batch_size={BATCH}",
    ]  # so the critic has no batch norm
    overrides = [f"arch={arch}", f"game={game}", *NETS[arch], *common]
    if (arch, game) in REFUSED:
        with pytest.raises(UserError, match=REFUSED[arch, game]):
            composed(*overrides)
        return
    cfg = composed(*overrides)
    batch = Batch(torch.rand(BATCH, *cfg.data.shape) * 2 - 1, torch.arange(BATCH))
    for loss, other in of_loss.items():
        cfg.loss, cfg.penalties = other.loss, other.penalties
        torch.manual_seed(0)
        takes_two_steps(cfg, batch, f"{arch}, {game}, {loss}")


def takes_two_steps(cfg: DictConfig, batch: Batch, where: str) -> None:
    """Each player moves its own weights only; all that it logs, and all of its weights, are finite."""
    game = build_game(cfg)
    optimisers = make_optimisers(cfg.optim, game)
    for step in range(2):
        game.begin_step(StepProgress(step, step * BATCH, step / 2))
        for name in game.players:
            before = {other: weights(player.net) for other, player in game.players.items()}
            logs = player_step(game, name, optimisers, batch, FP32)
            assert all(torch.isfinite(value) for value in logs.values()), f"{where}: {name} logs {logs}"
            for other, player in game.players.items():
                after = weights(player.net)
                assert torch.equal(before[other], after) == (other != name), (
                    f"{where}: {other} in {name}'s turn"
                )
                assert torch.isfinite(after).all(), where


def weights(net: nn.Module) -> torch.Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in net.parameters()])
