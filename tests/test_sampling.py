"""Batch norm's statistics for an averaged generator are those of the averaged weights."""

from typing import Any

import pytest
import torch
from conftest import composed
from torch import nn

from ganexp.games.request import Request
from ganexp.games.sampling import generate, recompute_batch_norm
from ganexp.system.tensor_file import digest
from ganexp.training.build import build_game

CPU = torch.device("cpu")
SMALL = ["arch=mlp", "data.resolution=8", "arch.generator.widths=[16,12]", "arch.discriminator.widths=[8]"]


def game_of(*overrides: str) -> Any:
    torch.manual_seed(0)
    return build_game(composed(*SMALL, *overrides))


def test_statistics_are_those_of_the_weights() -> None:
    game = game_of()
    before, state = digest(game.state_dict()), torch.get_rng_state()
    own = recompute_batch_norm(game, game.generator, CPU)
    assert digest(game.state_dict()) == before and torch.equal(torch.get_rng_state(), state)
    seen: dict[nn.BatchNorm1d, torch.Tensor] = {}
    norms = [module for module in own.modules() if isinstance(module, nn.BatchNorm1d)]
    for layer in norms:
        layer.register_forward_pre_hook(lambda layer, arguments: seen.__setitem__(layer, arguments[0]))
    latents = game.inputs(Request(1000), torch.Generator().manual_seed(0))
    generate(own, latents, 1000, CPU)
    assert len(norms) == 2
    for layer in norms:
        assert layer.running_mean is not None and layer.running_var is not None
        assert torch.allclose(layer.running_mean, seen[layer].mean(0), atol=0.02)
        assert torch.allclose(layer.running_var, seen[layer].var(0), rtol=0.05)
    (first, *_) = norms
    assert first.running_mean is not None
    assert torch.allclose(first.running_mean, seen[first].mean(0), atol=1e-5), "exactly, of the first layer"


@pytest.mark.parametrize("overrides", [["arch.generator.norm=layer"], ["game=cgan"]])
def test_without_statistics_or_with_labels_nothing_is_done(overrides: list[str]) -> None:
    game = game_of(*overrides)
    assert recompute_batch_norm(game, game.generator, CPU) is game.generator
