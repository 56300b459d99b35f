"""Super-resolution: its networks, its phases."""

import pytest
import torch
from conftest import Verb, asked_to_stop
from srgan_games import FP32, SMALL, game_of
from torch import nn

from ganexp.data.batches import Batch
from ganexp.errors import UserError
from ganexp.games.game import StepProgress
from ganexp.nets.enlarging import PixelShuffleUp, enlargement, stages
from ganexp.nets.layers import count_weights
from ganexp.nets.rrdb import RRDB, DenseBlock, RRDBNet
from ganexp.nets.srresnet import MSRResNet, SRResNet
from ganexp.nets.vgg_critic import VGGDiscriminator
from ganexp.runs.bitwise import differences
from ganexp.system.signals import Stopped
from ganexp.train import player_step


def nets(scale: int, base: str = "bicubic") -> dict[str, nn.Module]:
    """One of each, from 3 x 5 x 7."""
    torch.manual_seed(0)
    shapes = [3, 5, 7], [3, 5 * scale, 7 * scale]
    return {
        "srresnet": SRResNet(*shapes, 8, 2, "layer"),
        "msrresnet": MSRResNet(*shapes, 8, 2, "none", base),  # type: ignore[arg-type]
        "rrdb": RRDBNet(*shapes, 8, 4, 2, base),  # type: ignore[arg-type]
    }


@pytest.mark.parametrize(
    ("scale", "paper", "modified", "dense"), [(4, 1549462, 1517571, 16697987), (2, 0, 1369859, 0)]
)
def test_published_numbers_of_weights(scale: int, paper: int, modified: int, dense: int) -> None:
    shapes = [3, 24, 24], [3, 24 * scale, 24 * scale]
    with torch.device("meta"):
        assert count_weights(SRResNet(*shapes, 64, 16, "batch")) == paper or not paper
        assert count_weights(MSRResNet(*shapes, 64, 16, "none", "bilinear")) == modified
        assert count_weights(RRDBNet(*shapes, 64, 32, 23, "none")) == dense or not dense


@pytest.mark.parametrize(("side", "weights"), [(96, 23_565_505), (64, 13_079_745)])
def test_the_critics_number_of_weights(side: int, weights: int) -> None:
    with torch.device("meta"):
        assert count_weights(VGGDiscriminator([3, side, side], 64, 1024, "batch")) == weights


@pytest.mark.parametrize("shape", [[1, 8, 8], [3, 16, 16], [3, 21, 30]])
def test_the_critic_judges_images_of_any_size_that_it_was_made_for(shape: list[int]) -> None:
    critic = VGGDiscriminator(shape, 2, 6, "layer")
    images = torch.randn(5, *shape)
    assert critic(images).shape == (5,) and critic.features(images).shape == (5, 6)
    assert critic.samplewise and torch.allclose(critic(images)[2:3], critic(images[2:3]), atol=1e-5)


def test_order_of_the_pixel_shuffle() -> None:
    maps = torch.arange(16.0).reshape(1, 4, 2, 2)
    assert PixelShuffleUp(1, 2)[1](maps)[0, 0, :2, :2].tolist() == [[0, 4], [8, 12]]


@pytest.mark.parametrize("scale", [1, 2, 3, 4, 6])
@pytest.mark.parametrize("size", [(5, 7), (1, 1), (8, 3)])
def test_outputs_are_exactly_so_many_times_larger(scale: int, size: tuple[int, int]) -> None:
    """For sources of other sizes than those trained with, too."""
    for net in nets(scale).values():
        assert net.multiple == 1 and net.scale == scale
        assert net(torch.randn(2, 3, *size)).shape == (2, 3, scale * size[0], scale * size[1])


def test_scales_that_there_are_not() -> None:
    assert stages(12) == [2, 2, 3] and stages(1) == []
    with pytest.raises(UserError, match=r"degrade\.factor=5: .*2 and 3"):
        stages(5)
    assert enlargement([3, 4, 6], [1, 8, 12]) == 2
    for output in ([3, 8, 9], [3, 9, 12], [3, 8, 18]):
        with pytest.raises(UserError, match="multiple"):
            enlargement([3, 4, 6], output)
    with pytest.raises(UserError, match=r"arch\.generator\.base=bicubic.*base=none"):
        MSRResNet([2, 4, 4], [3, 8, 8], 4, 1, "none", "bicubic")


@pytest.mark.parametrize("base", ["bilinear", "bicubic"])
def test_with_zero_weights_the_base_alone_remains(base: str) -> None:
    """Bicubic is the baseline of degrade=lowres, to the bit."""
    source = torch.rand(2, 3, 5, 7) * 2 - 1
    aliased = {"antialias": True} if base == "bicubic" else {"align_corners": False}
    wanted = nn.functional.interpolate(source, scale_factor=4.0, mode=base, **aliased)
    for name in ("msrresnet", "rrdb"):
        net = nets(4, base)[name]
        for parameter in net.parameters():
            nn.init.zeros_(parameter)
        assert torch.equal(net(source), wanted)


def test_a_network_begins_close_to_its_base() -> None:
    source = torch.rand(2, 3, 5, 7) * 2 - 1
    base = nn.functional.interpolate(source, scale_factor=4.0, mode="bicubic", antialias=True)
    for name in ("msrresnet", "rrdb"):
        difference = (nets(4)[name](source) - base).abs().mean()
        assert 0 < difference < 0.1


def test_residuals_are_scaled_by_a_fifth() -> None:
    """With only the last bias of a dense block set to 1, it adds 0.2; three of them, scaled again, add 0.12."""
    x = torch.randn(1, 3, 4, 4)
    dense, block = DenseBlock(3, 2), RRDB(3, 2)
    for parameter in [*dense.parameters(), *block.parameters()]:
        nn.init.zeros_(parameter)
    assert torch.equal(dense(x), x) and torch.allclose(block(x), 1.2 * x)
    for one in (dense, *block.blocks):
        assert isinstance(one, DenseBlock)
        nn.init.ones_(one.convolutions[-1].bias)  # type: ignore[arg-type]
    assert torch.allclose(dense(x), x + 0.2)
    assert torch.allclose(block(x), x + 0.2 * (x + 0.6))


def test_dense_blocks_begin_with_a_tenth_of_hes_weights() -> None:
    block = DenseBlock(64, 32)
    net = RRDBNet([3, 4, 4], [3, 16, 16], 64, 32, 1, "none")
    fresh = net.blocks[0].blocks[0].convolutions[2]  # type: ignore[union-attr, index]
    assert fresh.weight.std().item() == pytest.approx(0.1 * (2 / (9 * 128)) ** 0.5, rel=0.03)
    assert not fresh.bias.any() and block.convolutions[2].weight.shape == fresh.weight.shape


def test_who_plays_when() -> None:
    game, optimisers = game_of("game.pretrain_steps=2", "game.critic_steps=1")
    players = [game.begin_step(StepProgress(step, 0, 0.0)).players for step in range(5)]
    assert players == [("g",), ("g",), ("d",), ("d", "g"), ("d", "g")]
    batch = Batch(torch.rand(3, 1, 16, 16) * 2 - 1, torch.zeros(3, dtype=torch.long))
    terms = []
    for step in (0, 3):
        game.begin_step(StepProgress(step, 0, 0.0))
        terms.append(set(player_step(game, "g", optimisers, batch, FP32)) - {"gradient_norm"})
    assert "pixel" in terms[0] and "adversarial" not in terms[0]
    assert {"pixel", "adversarial", "D_G_z"} <= terms[1]
    alone, _ = game_of("loss=none")
    assert list(alone.players) == ["g"] and alone.begin_step(StepProgress(9, 0, 0.0)).players == ("g",)


@pytest.mark.parametrize("stop", [6, 12, 19], ids=["pretraining", "critic", "both"])
def test_resumed_in_each_phase_it_is_the_same_run(stop: int, train: Verb) -> None:
    settings = [*SMALL, "recipe=none", "content=random", "loss=ragan", "evaluate.every=null", "max_steps=24"]
    settings += ["batch_size=16", "game.pretrain_steps=10", "game.critic_steps=5"]
    whole = train(*settings, name="whole")
    with asked_to_stop(after=stop), pytest.raises(Stopped):
        train(*settings, name="cut")
    cut = train(*settings, name="cut")
    assert list(differences(whole, cut)) == []
