"""pix2pix: its networks are the paper's, its critic sees pairs, its phases follow from the step's number."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from conftest import OF_GAME, Verb, asked_to_stop, composed, verb
from PIL import Image
from torch import Tensor, nn

from ganexp.cli.ranked import ranked
from ganexp.data.batches import Batch
from ganexp.data.degradations.cielab import rgb_to_lab
from ganexp.data.degradations.gray import Gray
from ganexp.errors import UserError
from ganexp.games.game import StepProgress
from ganexp.games.pix2pix import Pix2Pix
from ganexp.games.request import Inputs, Request
from ganexp.games.translation import Restored
from ganexp.nets.layers import count_weights
from ganexp.nets.patch import PatchDiscriminator
from ganexp.nets.unet import UNet
from ganexp.runs.bitwise import differences
from ganexp.system.signals import Stopped
from ganexp.training.build import build, build_game

META = torch.device("meta")


def game_of(*overrides: str) -> Pix2Pix:
    torch.manual_seed(0)
    return cast(Pix2Pix, build_game(composed(*OF_GAME["pix2pix"], *overrides)))


def batch() -> Batch:
    x = torch.rand(4, 1, 8, 8, generator=torch.Generator().manual_seed(1)) * 2 - 1
    return Batch(x, torch.zeros(4, dtype=torch.int64))


@pytest.mark.parametrize(
    ("side", "weights"), [(256, 54_413_955), (128, 41_828_995), (64, 29_244_035), (32, 16_659_075)]
)
def test_the_u_net_has_the_references_weights(side: int, weights: int) -> None:
    """junyanz/pytorch-CycleGAN-and-pix2pix prints 54.414 M for unet_256 with batch norm."""
    with META:
        net = UNet([3, side, side], [3, side, side], 64, 512, "batch", "transposed", 0.5)
    assert count_weights(net) == weights
    assert sum(isinstance(layer, nn.Dropout) for layer in net.modules()) == {256: 3, 128: 2, 64: 1, 32: 0}[side]


@pytest.mark.parametrize(
    ("layers", "weights", "out", "field"), [(3, 2_768_705, 6, 70), (2, 666_433, 14, 34), (1, 139_585, 30, 16)]
)
def test_the_critic_of_patches_is_the_references(layers: int, weights: int, out: int, field: int) -> None:
    with META:
        assert count_weights(PatchDiscriminator([6, 64, 64], 64, layers, "batch")) == weights
    critic = PatchDiscriminator([1, 64, 64], 2, layers, "none")
    assert critic(torch.zeros(2, 1, 64, 64)).shape == (2, out, out)
    x = torch.randn(1, 1, 128, 128, requires_grad=True)
    logits = critic(x)
    logits[0, logits.shape[1] // 2, logits.shape[2] // 2].backward()
    assert x.grad is not None
    rows = x.grad[0, 0].abs().sum(1).nonzero().flatten()
    assert int(rows.max() - rows.min()) + 1 == field


def test_the_shorter_side_limits_the_critics_layers() -> None:
    assert PatchDiscriminator([1, 64, 24], 2, 3, "none")(torch.zeros(1, 1, 64, 24)).shape == (1, 6, 1)
    with pytest.raises(UserError, match="layers=3: too many for 64 x 16 pixels"):
        PatchDiscriminator([1, 64, 16], 2, 3, "none")


def test_a_critic_of_single_pixels_sees_one_pixel() -> None:
    critic = PatchDiscriminator([1, 8, 8], 2, 0, "none")
    x = torch.randn(1, 1, 8, 8, requires_grad=True)
    critic(x)[0, 3, 5].backward()
    assert x.grad is not None and x.grad.nonzero().tolist() == [[0, 0, 3, 5]]


def test_skips_carry_the_source_past_the_innermost_map() -> None:
    net = UNet([1, 16, 16], [1, 16, 16], 4, 32, "instance", "nearest", 0.0).eval()
    for parameter in net.down[-1].parameters():
        parameter.data.zero_()
    one, two = torch.randn(2, 1, 1, 16, 16)
    assert not torch.allclose(net(one), net(two))
    assert net(torch.randn(1, 1, 32, 48)).shape == (1, 1, 32, 48), "a multiple of 16 in both directions"
    assert net.multiple == 16


def test_a_smaller_source_is_enlarged_first() -> None:
    net = UNet([3, 4, 4], [1, 16, 16], 2, 8, "none", "nearest", 0.0)
    assert net(torch.randn(2, 3, 4, 4)).shape == (2, 1, 16, 16)
    assert (net.scale, net.multiple) == (4, 4)
    with pytest.raises(UserError, match="one multiple of their source's"):
        UNet([3, 5, 5], [1, 16, 16], 2, 8, "none", "nearest", 0.0)


@pytest.mark.parametrize(("factor", "source"), [(2, 16), (3, 16), (6, 16), (3, 4)])
def test_sources_that_are_enlarged_may_have_any_multiple(factor: int, source: int) -> None:
    net = UNet([1, source, source], [1, source * factor, source * factor], 2, 4, "none", "nearest", 0.0)
    made = net(torch.randn(1, 1, net.multiple, 3 * net.multiple))
    assert made.shape == (1, 1, factor * net.multiple, 3 * factor * net.multiple)
    assert net.multiple == source, "of the sources that it was made for, no smaller ones will do"


def test_the_l1_term_is_the_mean_absolute_difference() -> None:
    game = game_of("game.l1_weight=7")
    fake = batch().x.clone().requires_grad_()
    made = game.content(fake + 0.5, batch())
    assert made["l1"].item() == pytest.approx(3.5)
    (gradient,) = torch.autograd.grad(made["l1"], fake)
    assert torch.allclose(gradient, torch.full_like(gradient, 7 / gradient.numel()))


def test_the_critic_sees_the_source_beside_the_image() -> None:
    game = game_of()
    paired = game.with_source(batch())
    assert paired.source is not None
    other = paired._replace(source=paired.source.flip(0))
    same, different = game.critic(paired)(paired.x), game.critic(other)(paired.x)
    assert not torch.allclose(same, different)
    twice = game.critic(paired)(torch.cat([paired.x, paired.x]))
    assert torch.allclose(twice, torch.cat([same, same]), atol=1e-6), "each half beside its own source"


def test_both_turns_use_the_same_pair_where_the_fake_is_reused() -> None:
    game = game_of("game.reuse_fake=true", "game.pretrain_steps=0")
    made: list[Tensor] = []
    judged: list[Tensor] = []
    game.generator.register_forward_pre_hook(lambda _, given: made.append(given[0]))
    game.discriminator.register_forward_pre_hook(lambda _, given: judged.append(given[0]))
    game.discriminator_turn(batch())
    turn = game.generator_turn(batch())
    assert len(made) == 1
    difference = (game.generator(made[0]) - batch().x).abs().mean().item()
    assert turn.losses["l1"].item() == pytest.approx(100 * difference, rel=1e-5)
    assert all(torch.equal(pairs[:4, :2], made[0]) for pairs in judged), "the critic sees that source too"
    game.discriminator_turn(batch())
    assert not torch.equal(made[0], made[-1]), "another hole in the next step"


def test_phases_follow_from_the_steps_number() -> None:
    game = game_of("game.pretrain_steps=2", "game.critic_steps=3")
    moving = [game.begin_step(StepProgress(step, 0, 0.0)).players for step in range(7)]
    assert moving == [("g",)] * 2 + [("d",)] * 3 + [("d", "g")] * 2
    game.begin_step(StepProgress(1, 0, 0.0))
    assert set(game.generator_turn(batch()).losses) == {"l1"}, "no critic while the generator is alone"
    game.begin_step(StepProgress(5, 0, 0.0))
    assert set(game.generator_turn(batch()).losses) == {"l1", "adversarial"}


def test_a_critic_that_is_alone_keeps_no_pair_for_the_generator() -> None:
    """Such as after a roll-back to the generator's phase, whose steps have pairs of their own."""
    game = game_of("game.reuse_fake=true", "game.pretrain_steps=1", "game.critic_steps=1")
    made: list[Tensor] = []
    traced: list[bool] = []
    game.generator.register_forward_pre_hook(lambda _, given: made.append(given[0]))
    game.generator.register_forward_hook(lambda _, __, fake: traced.append(fake.requires_grad))
    game.begin_step(StepProgress(1, 0, 0.0))
    game.discriminator_turn(batch())
    assert traced == [False], "nothing frees an autograd graph that no turn of the generator uses"
    game.begin_step(StepProgress(0, 0, 0.0))
    game.generator_turn(batch())
    assert len(made) == 2 and not torch.equal(made[0], made[1])


def test_many_images_are_degraded_a_hundred_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Random strokes of thousands of images at once would take many times the memory of the images."""
    game = game_of("degrade.kind=strokes")
    counts: list[int] = []

    def counted(method: Callable[..., Any]) -> Callable[..., Any]:
        def count(x: Tensor, *rest: Any) -> Any:
            counts.append(len(x))
            return method(x, *rest)

        return count

    baseline = game.degrade.baseline
    monkeypatch.setattr(game.degrade, "pair", counted(game.degrade.pair))
    monkeypatch.setattr(game.degrade, "baseline", counted(baseline))
    x = torch.rand(230, 1, 8, 8) * 2 - 1
    given = Batch(x, torch.zeros(230, dtype=torch.int64))
    inputs = game.inputs(Request(230), torch.Generator().manual_seed(0), given)
    made = game.baseline(inputs)
    assert counts == [100, 100, 30] * 2
    assert made is not None and inputs.target is not None and inputs.source is not None
    assert torch.equal(inputs.target, x) and torch.equal(inputs.source, inputs.args[0][:, :1])
    assert torch.equal(made.samples, baseline(inputs.args[0]))
    assert not torch.equal(inputs.args[0][:30, 1], inputs.args[0][100:130, 1]), "each part has its own holes"


def test_without_a_loss_the_generator_is_alone() -> None:
    game = game_of("loss=none")
    assert list(game.players) == ["g"]
    assert game.begin_step(StepProgress(5, 0, 0.0)).players == ("g",)
    assert set(game.generator_turn(batch()).losses) == {"l1"}


def test_the_adversarial_weight_scales_its_gradient() -> None:
    found = []
    for weight in (1.0, 0.25):
        game = game_of(f"game.adversarial_weight={weight}", "degrade.kind=centre")
        found.append(game.generator_turn(batch()).losses["adversarial"].item())
    assert found[1] == pytest.approx(found[0] / 4, rel=1e-6)


def test_what_the_source_says_is_exact() -> None:
    gray = Gray(source_shape=[1, 16, 16], output_shape=[2, 16, 16])
    torch.manual_seed(0)
    net = Restored(UNet([1, 16, 16], [2, 16, 16], 4, 32, "instance", "nearest", 0.0), gray)
    photo = torch.rand(2, 3, 16, 16) * 2 - 1
    source = gray(photo)
    lightness = rgb_to_lab(net(source))[:, :1] / 50 - 1
    assert torch.allclose(lightness, source, atol=1e-4)


def test_equal_requests_give_equal_sources() -> None:
    game = game_of()
    made = [game.inputs(Request(4), torch.Generator().manual_seed(seed), batch()) for seed in (0, 0, 1)]
    assert torch.equal(made[0].args[0], made[1].args[0])
    assert not torch.equal(made[0].args[0], made[2].args[0])
    with pytest.raises(UserError, match="label: this run makes images from images"):
        game.inputs(Request(4, torch.zeros(4, dtype=torch.int64)), torch.Generator(), batch())


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        (["game=pix2pix"], "Pix2Pix makes images from images: choose what they are made from"),
        (["degrade=holes"], "GAN makes no images from images"),
        (
            ["game=pix2pix", "degrade=noise", "data=ring"],
            "degrade needs a data set of images, and this one has points",
        ),
        (["arch=unet"], "arch.generator makes images from images: choose a game that does"),
        (
            ["game=pix2pix", "degrade=pairs"],
            "degrade=pairs: this data set has no sources of its own: set data=pairs",
        ),
        (["game=pix2pix", "degrade=lowres", "degrade.factor=3"], "16 pixels cannot be divided by 3"),
    ],
)
def test_what_does_not_fit_is_refused(overrides: list[str], told: str) -> None:
    with pytest.raises(UserError, match=told):
        composed(*overrides)


def test_a_run_stopped_in_each_phase_goes_on_bit_for_bit(train: Verb) -> None:
    overrides = [
        *OF_GAME["pix2pix"],
        "game.pretrain_steps=8",
        "game.critic_steps=8",
        "epochs=1",
        "max_steps=26",
    ]
    whole: Path = train(*overrides, name="whole")
    with asked_to_stop(after=5), pytest.raises(Stopped):
        train(*overrides, name="cut")
    (cut,) = (whole.parents[1] / "cut").iterdir()
    for _ in range(2):
        with asked_to_stop(after=7), pytest.raises(Stopped):
            train(f"resume={cut}", name="cut")
    train(f"resume={cut}", name="cut")
    assert list(differences(whole, cut)) == []


def test_ranked_outputs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Output k of 11, in a mixed order, is 10 k grey levels from its target."""
    source = build(composed("data.resolution=8").data)
    levels = np.array([7, 2, 10, 0, 4, 9, 1, 6, 3, 8, 5])
    target = torch.full((11, 1, 8, 8), -1.0)
    samples = (target + torch.from_numpy(levels * 10 / 127.5)[:, None, None, None]).float().numpy()
    drawn: list[np.ndarray] = []
    monkeypatch.setattr(type(source), "draw_beside", lambda _, before, made, after, columns: drawn.append(made))
    _, told = ranked(samples, Inputs((target,), source=target, target=target), source)
    assert np.rint((drawn[0][:, 0, 0, 0] + 1) * 12.75).tolist() == [0, 1, 2, 4, 5, 6, 8, 9, 10]
    assert "best 100.00, median 14.15, worst 8.13 dB" in told
    with pytest.raises(UserError, match="have no targets"):
        ranked(samples, Inputs((target,)), source)
    with pytest.raises(UserError, match="n=8: format=ranked shows 9"):
        ranked(samples[:8], Inputs((target,), source=target[:8], target=target[:8]), source)


def test_a_picture_of_ranked_outputs(train: Verb, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = train(*OF_GAME["pix2pix"], "max_steps=2", "epochs=1")
    verb(monkeypatch, tmp_path, "sample", f'run="{run}"', "format=ranked", "n=20")
    made_from = json.loads((run / "run.json").read_text())["made_from"]
    assert made_from.startswith("images with a hole (box, 0.5 of the side)"), (
        "what made the sources is recorded"
    )
    (picture,) = (run / "samples").glob("sample_20_seed_0_ranked.png")
    assert Image.open(picture).width > Image.open(picture).height, "nine images in a row, and three rows"
