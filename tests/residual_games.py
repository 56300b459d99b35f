"""Tiny games of residual networks with labels, for the tests of their networks."""

import torch
from conftest import composed
from omegaconf import DictConfig, OmegaConf
from torch import nn

from ganexp.data.batches import Batch
from ganexp.games.game import Game
from ganexp.train import player_step
from ganexp.training.build import build, build_game
from ganexp.training.precision import Precision

FP32 = Precision("fp32", torch.device("cpu"))


def on_meta(arch: str, side: int, classes: int, **critic: object) -> dict[str, nn.Module]:
    """The networks of ``arch`` without values, for that many classes; ``critic``: settings that are changed.

    Without spectral norms, which add no weights, and take long on this device.
    """
    cfg = composed(f"arch={arch}", "data=celeba", f"data.resolution={side}")
    changed = {"classes": classes, "spectral": False}
    nets: dict[str, nn.Module] = {}
    for name, node in cfg.arch.items():
        merged = OmegaConf.merge(node, changed, critic if name == "discriminator" else {})
        assert isinstance(merged, DictConfig)
        with torch.device("meta"):
            nets[str(name)] = build(merged)
    return nets


def tiny_game(arch: str, *overrides: str) -> Game:
    """Of the digits of 16 x 16 pixels; ``arch``: of networks with ``width``, ``max_width`` and attention."""
    sizes = [f"arch.{player}.{key}=8" for player in ("generator", "discriminator") for key in SIZES]
    latent = ["arch.generator.latent=6", "arch.discriminator.halvings=2"]
    torch.manual_seed(0)
    return build_game(composed(f"arch={arch}", "loss=hinge", *sizes, *latent, *overrides))


SIZES = ("width", "max_width", "attention")


def two_steps(game: Game) -> dict[str, torch.Tensor]:
    """Two turns of each player; returns the scalars of the last one."""
    optim = build(composed().optim)
    optimisers = {name: optim(player.net.parameters(), name) for name, player in game.players.items()}
    batch = Batch(torch.rand(6, 1, 16, 16) * 2 - 1, torch.arange(6))
    seen: dict[str, torch.Tensor] = {}
    for name in 2 * list(game.players):
        seen = player_step(game, name, optimisers, batch, FP32)
        gradients = {key: weight.grad for key, weight in game.players[name].net.named_parameters()}
        lacking = [key for key, found in gradients.items() if found is None or not found.isfinite().all()]
        assert not lacking and all(value.isfinite() for value in seen.values())
    return seen
