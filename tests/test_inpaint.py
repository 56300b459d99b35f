"""Inpainting: what is outside of a hole stays, its inside is learned, critics look at the right place."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from conftest import Verb, asked_to_stop, composed
from torch import Tensor, nn

import ganexp
from ganexp.data.batches import Batch
from ganexp.data.degradations.holes import with_hole
from ganexp.errors import UserError
from ganexp.games.game import StepProgress
from ganexp.games.inpaint import Inpaint, hole_mean, hole_weights
from ganexp.nets.context_encoder import ContextEncoder
from ganexp.nets.gated import GatedConv, GatedNetwork
from ganexp.nets.glcic import COMPLETION, CompletionNetwork, GlobalLocalDiscriminator, Step, crop_around_hole
from ganexp.nets.layers import count_weights
from ganexp.nets.sn_patch import SNPatchDiscriminator
from ganexp.runs.bitwise import differences
from ganexp.system.signals import Stopped
from ganexp.train import player_step
from ganexp.training.build import build, build_game
from ganexp.training.precision import Precision

ARCHES = ["context_encoder_small", "gated_small", "glcic_small"]
SMALL = ["game=inpaint", "arch=gated_small", "arch.generator.width=2", "arch.discriminator.width=2"]
TINY = [*SMALL, "arch.discriminator.layers=2", "recipe=none", "data.resolution=8", "evaluate.every=null"]


def game_of(*overrides: str) -> Inpaint:
    torch.manual_seed(0)
    game = build_game(composed(*TINY, *overrides))
    assert isinstance(game, Inpaint)
    return game


def box(top: int, left: int, height: int, width: int, side: int = 16) -> Tensor:
    mask = torch.zeros(1, 1, side, side)
    mask[..., top : top + height, left : left + width] = 1
    return mask


def batch_with(mask: Tensor) -> Batch:
    torch.manual_seed(1)
    x = torch.rand(len(mask), 1, *mask.shape[2:]) * 2 - 1
    return Batch(x, torch.zeros(len(x), dtype=torch.int64), source=with_hole(x, mask))


def test_a_runs_images_are_exact_outside_of_the_hole(train: Verb) -> None:
    run = ganexp.load(train(*TINY, "epochs=1", "degrade.kind=box", "loss=hinge"), device="cpu")
    inputs, samples, _ = run._draw(24, 0, None, None, 8)
    (source,) = inputs.args
    hole = (source[:, -1:] == 1).expand(-1, 1, -1, -1).numpy()
    assert hole.mean() == 0.25 and inputs.target is not None
    assert np.array_equal(samples[~hole], inputs.target.numpy()[~hole])
    assert (samples[hole] != inputs.target.numpy()[hole]).mean() > 0.9


def test_without_a_hole_the_image_stays_and_there_is_nothing_to_learn() -> None:
    game, batch = game_of(), batch_with(torch.zeros(2, 1, 8, 8))
    fake = game.generator(batch.source)
    assert torch.equal(fake, batch.x)
    assert game.content(fake, batch)["hole"].item() == 0


@pytest.mark.parametrize("difference", ["absolute", "squared"])
def test_the_hole_loss_and_its_gradient_by_hand(difference: str) -> None:
    game = game_of(f"game.difference={difference}", "game.hole_weight=3")
    batch = batch_with(torch.cat([box(2, 3, 2, 2, 8), torch.zeros(1, 1, 8, 8)]))
    output = torch.zeros(2, 1, 8, 8, requires_grad=True)
    assert batch.source is not None
    fake = game.degrade.restore(output, batch.source)
    hole = batch.x[0, 0, 2:4, 3:5]
    by_hand = hole.abs().mean() if difference == "absolute" else hole.square().mean()
    loss = game.content(fake, batch)["hole"]
    torch.testing.assert_close(loss, 3 * by_hand / 2)  # the second image has no hole
    loss.backward()
    assert output.grad is not None
    expected = torch.zeros(2, 1, 8, 8)
    slope = -hole.sign() if difference == "absolute" else -2 * hole
    expected[0, 0, 2:4, 3:5] = 3 * slope / 4 / 2
    torch.testing.assert_close(output.grad, expected)


def test_the_border_of_a_hole_is_weighted() -> None:
    weights = hole_weights(box(4, 4, 6, 6), 2, 10.0)
    expected = 10 * box(4, 4, 6, 6) - 9 * box(6, 6, 2, 2)
    assert torch.equal(weights, expected)
    assert torch.equal(hole_weights(box(4, 4, 6, 6), 0, 10.0), box(4, 4, 6, 6))


def test_each_hole_counts_the_same() -> None:
    """So that the mean of two processes is the mean over the whole batch."""
    mask = torch.cat([box(0, 0, 2, 2), box(3, 3, 8, 8)])
    error = torch.rand(2, 3, 16, 16)
    halves = [hole_mean(error[n : n + 1], mask[n : n + 1], mask[n : n + 1]) for n in range(2)]
    torch.testing.assert_close(hole_mean(error, mask, mask), sum(halves) / 2)


def test_the_critic_is_given_the_image_and_the_mask() -> None:
    game, batch = game_of(), batch_with(box(1, 2, 4, 4, 8))
    given: list[Tensor] = []
    game.discriminator.register_forward_pre_hook(lambda module, inputs: given.append(inputs[0]))
    game.discriminator_turn(batch)
    (both,) = given
    masks = both[:, 1:]
    assert both.shape == (2, 2, 8, 8), "real and fake in one batch, each with its mask"
    assert torch.equal(masks[0], masks[1]) and masks[0].mean() == 0.25
    assert torch.equal(both[0, :1], batch.x[0])
    outside = masks[0] == 0
    assert torch.equal(both[1, :1][outside], batch.x[0][outside])
    assert not torch.equal(both[1, :1], batch.x[0])


def test_a_critic_that_takes_a_mask_is_refused_where_there_is_none() -> None:
    """The last channel of what another game's critic is given is not a mask."""
    overrides = ["degrade=holes", "arch=glcic_small", "recipe=none", "data.resolution=16"]
    with pytest.raises(UserError, match=r"arch\.discriminator: it takes a mask of holes"):
        build_game(composed("game=pix2pix", *overrides))
    build_game(composed("game=inpaint", *overrides))


def test_only_holes_are_filled() -> None:
    with pytest.raises(UserError, match="degrade=holes"):
        build_game(composed(*TINY, "degrade=lowres", "degrade.factor=2"))


@pytest.mark.parametrize(("gate", "share"), [(float("inf"), 1.0), (float("-inf"), 0.0), (0.0, 0.5)])
@pytest.mark.parametrize("step", [Step(1), Step(1, stride=2), Step(1, dilation=4), Step(1, doubles=True)])
def test_gates_let_all_nothing_or_a_half_pass(gate: float, share: float, step: Step) -> None:
    torch.manual_seed(0)
    layer = GatedConv(3, 5, step)
    assert layer.conv.bias is not None
    with torch.no_grad():
        layer.conv.weight[5:] = 0
        layer.conv.bias[5:] = gate
    x = torch.randn(2, 3, 8, 8)
    passed = nn.functional.elu(layer.conv(x)[:, :5])
    torch.testing.assert_close(layer(x), share * passed)
    assert passed.shape[2] == (16 if step.doubles else 8 // step.stride) and passed.std() > 0.5


def test_a_gated_networks_maps_neither_vanish_nor_explode() -> None:
    torch.manual_seed(0)
    maps = with_hole(torch.randn(4, 3, 32, 32).clamp(-1, 1), box(8, 8, 16, 16, 32).repeat(4, 1, 1, 1))
    for layer in GatedNetwork([4, 32, 32], [3, 32, 32], 12).layers:
        maps = layer(maps)
        assert 0.05 < maps.square().mean().sqrt() < 2


@pytest.mark.parametrize(
    ("hole", "corner"),
    [
        ((0, 0, 3, 3), (0, 0)),
        ((0, 13, 3, 3), (0, 8)),
        ((13, 0, 3, 3), (8, 0)),
        ((13, 13, 3, 3), (8, 8)),
        ((5, 6, 4, 2), (3, 3)),
        ((2, 4, 12, 8), (4, 4)),
        ((0, 0, 0, 0), (4, 4)),
    ],
)
def test_the_local_crop_is_around_the_hole_and_inside_the_image(
    hole: tuple[int, int, int, int], corner: tuple[int, int]
) -> None:
    image, (top, left) = torch.randn(2, 3, 16, 16), corner
    masks = torch.cat([box(*hole), box(4, 4, 8, 8)])
    crops = crop_around_hole(image, masks, 8)
    assert torch.equal(crops[0], image[0, :, top : top + 8, left : left + 8])
    assert torch.equal(crops[1], image[1, :, 4:12, 4:12]), "each image has its own"


def test_a_crop_of_a_free_form_hole_has_the_centre_of_its_bounding_box() -> None:
    mask, image = box(3, 3, 1, 1) + box(8, 10, 1, 1), torch.randn(1, 1, 16, 16)
    assert torch.equal(crop_around_hole(image, mask, 8), image[:, :, 2:10, 3:11])


def test_the_local_critic_sees_the_crop_alone_and_no_critic_the_mask() -> None:
    critic = GlobalLocalDiscriminator([4, 16, 16], width=4, max_width=8, units=6, local=8, norm="none")
    x = torch.randn(1, 3, 16, 16, requires_grad=True)
    features = critic.features(torch.cat([x, box(0, 0, 4, 4)], 1))
    assert features.shape == (1, 12) and critic(torch.cat([x, box(0, 0, 4, 4)], 1)).shape == (1,)
    (gradient,) = torch.autograd.grad(features[:, 6:].sum(), x)
    assert gradient[..., :8, :8].abs().min() > 0 and gradient.count_nonzero() == 3 * 8 * 8
    same_crop = critic.features(torch.cat([x, box(2, 2, 4, 4)], 1))
    torch.testing.assert_close(same_crop, features)
    with pytest.raises(UserError, match=r"arch\.discriminator\.local=17"):
        GlobalLocalDiscriminator([4, 16, 16], width=4, max_width=8, units=6, local=17, norm="none")


def receptive_field() -> int:
    """Of a pixel of the output, from the layers' kernels, strides and dilations."""
    field, pixels = 1, 1  # ``pixels``: between two neighbours of the current map
    for step in COMPLETION:
        if step.doubles:  # kernel 4, stride 2: each output depends on two inputs
            field, pixels = field + pixels, pixels // 2
        else:
            field, pixels = field + (step.kernel - 1) * step.dilation * pixels, pixels * step.stride
    return field + 2


def test_the_dilated_convolutions_reach_beyond_the_hole() -> None:
    """Measured by a gradient, with positive weights, so that nothing cancels."""
    assert receptive_field() == 301
    net = CompletionNetwork([2, 384, 384], [1, 384, 384], width=1, norm="none").double()
    for weight in net.parameters():
        nn.init.constant_(weight, 0.1)
    source = torch.ones(1, 2, 384, 384, dtype=torch.float64, requires_grad=True)
    maps = net.layers[:-1](source)  # without tanh, whose slope is 0 here
    (gradient,) = torch.autograd.grad(maps[0, 0, 192, 192], source)
    reached = gradient[0, 0].nonzero()
    width = int(reached[:, 0].max() - reached[:, 0].min() + 1)
    assert 295 <= width <= 301, "the strides' phase decides which"
    assert width > 2 * 128, "the paper's largest hole, whole from each of its corners"


def test_spectral_norms_are_one() -> None:
    torch.manual_seed(0)
    critic = SNPatchDiscriminator([4, 32, 32], width=8, layers=4)
    for _ in range(20):
        critic(torch.randn(2, 4, 32, 32))
    convolutions = [layer for layer in critic.modules() if isinstance(layer, nn.Conv2d)]
    assert len(convolutions) == 4
    for layer in convolutions:
        largest = torch.linalg.svdvals(layer.weight.flatten(1))[0]
        assert 0.98 <= largest <= 1.02


def test_evaluation_takes_no_power_iterations() -> None:
    critic = SNPatchDiscriminator([2, 16, 16], width=4, layers=3).eval()
    before = {name: tensor.clone() for name, tensor in critic.state_dict().items()}
    assert critic(torch.randn(2, 2, 16, 16)).shape == (2, 16, 2, 2)
    assert all(torch.equal(before[name], tensor) for name, tensor in critic.state_dict().items())
    assert any(name.endswith("_u") for name in before), "a checkpoint holds the vectors"


def test_the_generators_turn_leaves_the_critics_weights() -> None:
    game = game_of("loss=hinge")
    optimisers = {
        name: build(composed(*TINY).optim)(player.net.parameters(), name)
        for name, player in game.players.items()
    }
    batch = Batch(torch.rand(4, 1, 8, 8), torch.zeros(4, dtype=torch.int64))
    before = [weight.clone() for weight in game.discriminator.parameters()]
    player_step(game, "g", optimisers, batch, Precision("fp32", torch.device("cpu")))
    after = list(game.discriminator.parameters())
    assert all(torch.equal(one, other) for one, other in zip(before, after, strict=True))
    player_step(game, "d", optimisers, batch, Precision("fp32", torch.device("cpu")))
    moved = [not torch.equal(one, other) for one, other in zip(before, after, strict=True) if one.dim() > 1]
    assert len(moved) == 2 and all(moved)  # a bias of the last layer has no gradient within the hinges' margins


PHASES = ["game.pretrain_steps=8", "game.critic_steps=8", "loss=hinge"]


def test_the_three_phases_of_glcic() -> None:
    game = game_of(*PHASES)
    plans = [game.begin_step(StepProgress(step, 0, 0.0)) for step in (0, 7, 8, 15, 16, 40)]
    assert [plan.players for plan in plans] == [("g",), ("g",), ("d",), ("d",), ("d", "g"), ("d", "g")]
    assert len({plan.key for plan in plans}) == 3
    game.begin_step(StepProgress(0, 0, 0.0))
    turn = game.generator_turn(Batch(torch.rand(4, 1, 8, 8), torch.zeros(4, dtype=torch.int64)))
    assert set(turn.losses) == {"hole"}


@pytest.mark.parametrize(("arch", "reuse"), [("gated_small", "true"), ("glcic_small", "false")])
def test_resumed_in_and_across_phases(arch: str, reuse: str, train: Verb) -> None:
    """Stopped while the generator is alone, while the critic is, and when both play."""
    widths = ["arch.generator.width=2", "arch.discriminator.width=2", "data.resolution=8"]
    depth = "arch.discriminator.layers=2" if arch == "gated_small" else "arch.discriminator.units=4"
    overrides = ["game=inpaint", f"arch={arch}", *widths, depth, "recipe=none", "evaluate.every=null", *PHASES]
    overrides += ["degrade.kind=box", f"game.reuse_fake={reuse}", "max_steps=26", "epochs=9"]
    whole = train(*overrides, name="whole")
    for after in (5, 7, 8):
        with asked_to_stop(after=after), pytest.raises(Stopped):
            train(*overrides, name="cut")
    cut = train(*overrides, name="cut")
    assert list(differences(whole, cut)) == []


def weights_of(*overrides: str) -> dict[str, int]:
    cfg = composed("game=inpaint", "data=celeba", "data.resolution=128", *overrides)
    with torch.device("meta"):
        return {str(name): count_weights(build(node)) for name, node in cfg.arch.items()}


def test_the_context_encoder_has_the_weights_of_the_authors_program() -> None:
    """71.1 and 7.2 million with 4000 and 100 channels in the bottleneck, from 128 x 128 pixels to 64 x 64."""
    for bottleneck, millions in ((4000, 71.1), (100, 7.2)):
        with torch.device("meta"):
            net = ContextEncoder([3, 128, 128], [3, 64, 64], 64, bottleneck, "batch")
        assert round(count_weights(net) / 1e6, 1) == millions
    mask, last = 16 * 64, 16 * 64 * 64 + 2 * 64
    assert weights_of("arch=context_encoder", "arch.generator.bottleneck=100")["generator"] == (
        count_weights(net) + mask + last
    )


def test_the_others_have_the_weights_of_their_tables() -> None:
    maps = [4, 64, 128, 128, 256, 256, 256, 256, 256, 256, 256, 256, 256, 128, 128, 64, 32]
    kernels = [25, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 16, 9, 16, 9]
    pairs = list(zip(maps[:-1], maps[1:], kernels, strict=True))
    assert len(pairs) + 1 == 17, "convolutions"
    glcic = sum(before * after * kernel + 2 * after for before, after, kernel in pairs) + 32 * 3 * 9 + 3
    assert weights_of("arch=glcic")["generator"] == glcic
    maps = [4, 24, 48, 48, 96, 96, 96, 96, 96, 96, 96, 96, 96, 48, 48, 24, 12]
    kernels = [25, *[9] * 15]
    pairs = list(zip(maps[:-1], maps[1:], kernels, strict=True))
    gated = sum(2 * after * (before * kernel + 1) for before, after, kernel in pairs) + 12 * 3 * 9 + 3
    assert weights_of("arch=gated")["generator"] == gated
    maps = [4, 64, 128, 256, 256, 256, 256]
    critic = sum(after * (25 * before + 1) for before, after in pairwise(maps))
    assert weights_of("arch=gated")["discriminator"] == critic


@pytest.mark.parametrize("arch", ARCHES)
def test_they_fill_and_judge_images(arch: str) -> None:
    cfg = composed("game=inpaint", f"arch={arch}", "data=celeba", "data.resolution=16")
    generator, critic = build(cfg.arch.generator), build(cfg.arch.discriminator)
    image = generator(torch.randn(2, 4, 16, 16))
    assert image.shape == (2, 3, 16, 16) and image.abs().max() <= 1 and generator.scale == 1
    logits = critic(torch.randn(2, 4, 16, 16))
    assert logits.shape[0] == 2 and critic.samplewise
    if arch != "context_encoder_small":
        assert generator(torch.randn(1, 4, 20, 28)).shape == (1, 3, 20, 28) and generator.multiple == 4


@pytest.mark.parametrize(("arch", "side"), [("context_encoder", 24), ("glcic", 30), ("gated", 30)])
def test_sizes_that_they_cannot_make_are_refused(arch: str, side: int) -> None:
    with pytest.raises(UserError, match=rf"arch={arch} makes .* {side} x {side}: set data\.resolution"):
        {"context_encoder": _encoder, "glcic": _glcic, "gated": _gated}[arch]([4, side, side], [3, side, side])


def _encoder(source: list[int], output: list[int]) -> nn.Module:
    return ContextEncoder(source, output, 4, 8, "layer")


def _glcic(source: list[int], output: list[int]) -> nn.Module:
    return CompletionNetwork(source, output, 4, "layer")


def _gated(source: list[int], output: list[int]) -> nn.Module:
    return GatedNetwork(source, output, 4)
