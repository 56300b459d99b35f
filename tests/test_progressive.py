"""arch=progressive: the authors' counts, levels and their fades, and runs that grow in several games."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from conftest import Verb, asked_to_stop, composed, differences_between_processes
from emulated import EmulatedRecorder
from torch import Tensor, nn
from torch.nn import functional

import ganexp.train as training
from ganexp.data.batches import Batch
from ganexp.errors import UserError
from ganexp.games.game import Game, StepProgress
from ganexp.nets.equalised import PixelNorm
from ganexp.nets.growth import Growth, Stage, growths
from ganexp.nets.heads import HeadWithOutputs, ProjectionHead
from ganexp.nets.layers import count_weights
from ganexp.nets.progressive import Discriminator, Generator
from ganexp.runs.bitwise import differences
from ganexp.system.signals import Stopped
from ganexp.system.tensor_file import digest, read
from ganexp.train import train_step
from ganexp.training.build import build
from ganexp.training.graphed_turns import GraphedTurns
from ganexp.training.setup import Experiment, build_experiment

SIZES = {"width_base": 32, "max_width": 8, "first": 4, "fade_images": 24, "stable_images": 16}
SMALL = [
    *["recipe=none", "arch=progressive", "data.resolution=16", "arch.generator.latent=4", "batch_size=8"],
    *[
        f"arch.{net}.{name}={SIZES[name]}"
        for net in ("generator", "discriminator")
        for name in SIZES
        if "width" in name
    ],
    *["arch.generator.fade_images=24", "arch.generator.stable_images=16", "evaluate.every=null"],
    *["loss=wgan_gp", "game.n_critic=1", "penalties=drift"],
]
"""Three levels, of 4, 8 and 16 pixels: they begin at 0, 16 and 56 images, which are steps 0, 2 and 7."""


def generator(**changed: Any) -> Generator:
    torch.manual_seed(0)
    settings: dict[str, Any] = {"shape": [3, 16, 16], "latent": 4, "classes": 0, "condition": "joined"}
    return Generator(**settings | SIZES | changed)


def discriminator(**changed: Any) -> Discriminator:
    torch.manual_seed(1)
    settings: dict[str, Any] = {
        "shape": [3, 16, 16],
        "classes": 0,
        "condition": "none",
        "outputs": 0,
        "group": 4,
    }
    return Discriminator(**settings | SIZES | changed)


def at(net: nn.Module, level: int, share: float) -> nn.Module:
    """The network in evaluation mode, which reads the buffers."""
    (growth,) = growths(net)
    growth.level.fill_(level)
    growth.share.fill_(share)
    return net.eval()


# The networks


@pytest.mark.parametrize(
    ("side", "weights"),
    [
        (32, (20_719_628, 20_726_785)),
        (64, (22_490_383, 22_498_049)),
        (128, (22_933_394, 22_941_313)),
        (1024, (23_079_115, 23_087_249)),
    ],
)
def test_the_weights_of_the_authors_program(side: int, weights: tuple[int, int]) -> None:
    arch = composed("arch=progressive", "data=celeba", f"data.resolution={side}").arch
    with torch.device("meta"):
        nets = [build(arch[name]) for name in ("generator", "discriminator")]
    assert tuple(map(count_weights, nets)) == weights


@pytest.mark.parametrize("level", [1, 2])
def test_a_new_level_begins_as_the_one_below(level: int) -> None:
    z, x = torch.randn(8, 4), torch.randint(-8, 8, (8, 3, 16, 16)) / 8  # means of such numbers are exact
    with torch.no_grad():
        images = {share: at(generator(), level, share)(z) for share in (0.0, 0.5, 1.0)}
        assert images[0.0].equal(at(generator(), level - 1, 1.0)(z)), "the one below, its pixels repeated"
        assert torch.allclose(images[0.5], (images[0.0] + images[1.0]) / 2, atol=1e-6)
        side = 4 << level
        logits = {share: at(discriminator(), level, share)(x) for share in (0.0, 1.0)}
        pooled = functional.interpolate(functional.avg_pool2d(x, 32 // side), 16)
        below = at(discriminator(), level - 1, 1.0)
        assert logits[0.0].equal(below(pooled)) and logits[0.0].equal(below(x))
    assert images[1.0].equal(functional.interpolate(images[1.0][..., :: 16 // side, :: 16 // side], 16))


@pytest.mark.parametrize("level", [1, 2])
def test_a_full_level_is_alone(level: int) -> None:
    """A share of 1 in a fade, too: nothing of the layers of the level below is left."""
    z, x = torch.randn(8, 4), torch.randn(8, 3, 16, 16)
    for net, inputs, layers in ((generator(), z, "to_image"), (discriminator(), x, "from_image")):
        with torch.no_grad():
            whole = at(net, level, 1.0)(inputs)
            (growth,) = growths(net)
            growth._stored = lambda: Stage(level, True)  # type: ignore[method-assign]
            assert net(inputs).equal(whole)
            growth.share.fill_(0.999)
            cast(nn.ModuleList, net.get_submodule(layers))[level - 1].get_parameter("bias").add_(1.0)
            assert not net(inputs).equal(whole)
            growth.share.fill_(1.0)
            assert net(inputs).equal(whole)


def test_the_generator_by_its_definition() -> None:
    """All layers one after another, from stored weights: constants, norms, doubling."""
    net = at(generator(), 1, 1.0)
    z = torch.randn(2, 4)

    def activated(x: Tensor) -> Tensor:
        x = functional.leaky_relu(x, 0.2)
        return x / (x.square().mean(1, keepdim=True) + 1e-8).sqrt()

    def conv(x: Tensor, name: str, gain: float = 2**0.5) -> Tensor:
        weight, bias = net.get_parameter(f"{name}.weight"), net.get_parameter(f"{name}.bias")
        fan_in = weight[0].numel()
        return functional.conv2d(x, weight * gain / fan_in**0.5, bias, padding=weight.shape[-1] // 2)

    for name, parameter in net.named_parameters():
        if name.endswith("bias"):
            parameter.data.normal_()
    dense = net.get_parameter("dense.weight").flatten(1) * 2**0.5 / 4 / 4**0.5
    x = (z / (z.square().mean(1, keepdim=True) + 1e-8).sqrt()) @ dense.T
    x = activated(x.view(2, 8, 4, 4) + net.get_parameter("bias"))
    x = activated(conv(x, "first"))
    x = functional.interpolate(x, scale_factor=2)
    x = activated(conv(activated(conv(x, "blocks.0.0")), "blocks.0.2"))
    assert torch.allclose(x.square().mean(1), torch.ones(2, 8, 8), atol=1e-4)
    images = functional.interpolate(conv(x, "to_image.1", 1.0), 16)
    assert torch.allclose(net(z), images, atol=1e-5)


def test_the_root_mean_square_after_pixel_norm() -> None:
    maps = PixelNorm()(10 * torch.randn(2, 8, 4, 4) + 3)
    assert torch.allclose(maps.square().mean(1).sqrt(), torch.ones(2, 4, 4), atol=1e-6)


def test_the_widths_of_the_paper() -> None:
    with torch.device("meta"):
        arch = composed("arch=progressive", "data=celeba", "data.resolution=1024").arch
        layers = build(arch.generator).to_image
    assert [layer.weight.shape[1] for layer in layers] == [512, 512, 512, 512, 256, 128, 64, 32, 16]


def test_labels_and_outputs() -> None:
    z, x, y = torch.randn(1, 4).expand(4, -1), torch.randn(1, 3, 16, 16).expand(4, -1, -1, -1), torch.arange(4)
    images = at(generator(classes=4), 2, 0.5)(z, y)
    assert not torch.allclose(images[0], images[1])
    for condition in ("joined", "projection"):
        net = at(discriminator(classes=4, condition=condition, outputs=6, group=None), 2, 0.5)
        if condition == "projection":
            cast(ProjectionHead, cast(HeadWithOutputs, net.head).logit).embedding.weight.data.normal_()
        answers = net(x, y)
        assert answers.shape == (4, 7) and not torch.allclose(answers[0, 0], answers[1, 0])
    assert net.samplewise and not discriminator().samplewise


@pytest.mark.parametrize(("side", "instead"), [(28, 32), (96, 128), (4, 8)])
def test_sizes_that_do_not_fit(side: int, instead: int) -> None:
    for make in (generator, discriminator):
        with pytest.raises(UserError, match=f"data.resolution={side}: .*data.resolution={instead}$"):
            make(shape=[1, side, side])


def test_points_are_refused() -> None:
    with pytest.raises(UserError, match="this data has points"):
        generator(shape=[2])


# The schedule


def test_the_papers_schedule() -> None:
    growth = Growth(levels=4, fade=600_000, stable=600_000)
    expected = {
        **{0: (0, 1.0), 599_999: (0, 1.0), 600_000: (1, 0.0), 900_000: (1, 0.5), 1_200_000: (1, 1.0)},
        **{1_800_000: (2, 0.0), 2_400_000: (2, 1.0), 3_600_000: (3, 1.0), 99_000_000: (3, 1.0)},
    }
    assert {images: growth.schedule(images) for images in expected} == expected
    assert [images for images in range(0, 5_000_000, 100_000) if growth.grow(images)] == [
        600_000,
        1_800_000,
        3_000_000,
    ]


def test_without_fades_and_without_growth() -> None:
    abrupt, whole = Growth(levels=3, fade=0, stable=100), Growth(levels=3, fade=0, stable=0)
    assert [abrupt.schedule(images) for images in (0, 99, 100, 200, 300)] == [
        *[(0, 1.0), (0, 1.0), (1, 1.0), (2, 1.0), (2, 1.0)]
    ]
    assert whole.schedule(0) == (2, 1.0)


def test_real_samples_lose_the_details_that_are_faded_in() -> None:
    growth = Growth(levels=3, fade=24, stable=16)
    x = torch.randn(2, 3, 16, 16)
    assert growth.fade_details(x) is x
    growth.grow(28)  # halfway into 8 x 8
    faded, four = growth.fade_details(x), functional.interpolate(functional.avg_pool2d(x, 4), 16)
    assert torch.allclose(faded, (x + four) / 2, atol=1e-6)
    assert torch.allclose(functional.avg_pool2d(faded, 4), functional.avg_pool2d(x, 4), atol=1e-6)


# Games


def made(*overrides: str) -> Experiment:
    torch.manual_seed(0)
    return build_experiment(composed(*SMALL, *overrides))


def batches(experiment: Experiment, steps: int) -> Iterator[Batch]:
    for batch in experiment.data.loader.epoch():
        yield batch
        if experiment.state.progress.step == steps:
            return


def test_the_critic_is_shown_faded_samples() -> None:
    game = made().state.game
    shown: list[Tensor] = []
    game.parts.nets["discriminator"].register_forward_pre_hook(lambda _, given: shown.append(given[0]))
    batch = Batch(torch.randn(8, 1, 16, 16), torch.zeros(8, dtype=torch.int64))
    plan = game.begin_step(StepProgress(5, 28, 0.0))
    assert plan.players == ("d", "g") and plan.reset == ("d", "g")
    assert plan.key != game.begin_step(StepProgress(5, 40, 0.0)).key, "no longer fading: other kernels"
    assert game.begin_step(StepProgress(5, 28, 0.0)) == plan._replace(reset=())
    game.players["d"].turn(batch)
    assert shown[0].equal(growths(game.generator)[0].fade_details(batch.x)) and not shown[0].equal(batch.x)


def test_networks_that_no_player_trains_do_not_grow() -> None:
    game = made().state.game
    at(game.parts.nets["generator"], 2, 1.0)
    game.players.pop("g")
    game.begin_step(StepProgress(0, 0, 0.0))
    assert growths(game.generator)[0].stage == Stage(2, False)


def test_the_optimisers_are_cleared_at_a_new_level_only(monkeypatch: pytest.MonkeyPatch) -> None:
    experiment = made()
    counters: list[tuple[int, int, set[int]]] = []
    turn = training.player_step

    def watched(game: Game, name: str, optimisers: Any, *rest: Any, **more: Any) -> dict[str, Tensor]:
        logs = turn(game, name, optimisers, *rest, **more)
        steps = {int(entry["step"]) for entry in optimisers[name].state.values()}
        counters.append((experiment.state.progress.step, growths(game.generator)[0].stage.level, steps))
        return logs

    monkeypatch.setattr(training, "player_step", watched)
    for batch in batches(experiment, 12):
        train_step(experiment, batch, 1.0)
        own, averaged = (
            {name: float(buffer) for name, buffer in net.named_buffers() if "growth" in name}
            for net in (experiment.state.game.generator, experiment.state.ema.module)
        )
        assert own == averaged
    assert [level for _, level, _ in counters[::2]] == [0] * 2 + [1] * 5 + [2] * 5
    assert {max(counts) for step, _, counts in counters if step in (0, 2, 7)} == {1}
    assert [max(counts) for _, _, counts in counters[::2]] == [1, 2, 1, 2, 3, 4, 5, 1, 2, 3, 4, 5]


@pytest.mark.parametrize(
    "overrides",
    [
        *[["game=cgan"], ["game=acgan"], ["game=infogan", "arch.generator.latent=14"]],
        *[["game=cgan", "arch.discriminator.condition=projection", "loss=hinge", "penalties=r1"]],
        *[["game=pacgan", "game.packing=2"], ["game.reuse_fake=true", "loss=rpgan", "penalties=[r1,r2]"]],
    ],
)
def test_steps_of_other_games(overrides: list[str]) -> None:
    """In a fade, and at the last level."""
    experiment = made(*overrides)
    for images in (24, 1000):
        experiment.state.progress.images = images
        for batch in batches(experiment, experiment.state.progress.step + 1):
            train_step(experiment, batch, 1.0)
        assert all(value == value for value in experiment.state.scalars().values())
    assert growths(experiment.state.game.generator)[0].stage == Stage(2, False)


def test_a_batch_of_no_whole_groups_is_refused() -> None:
    with pytest.raises(UserError, match="multiple of"):
        composed(*SMALL, "batch_size=6")


STOPS = {"before": (1, 0, False), "change": (2, 0, False), "fade": (4, 1, True)}


def test_a_killed_run_goes_on_bit_for_bit(train: Verb) -> None:
    """After so many steps, in mid-epoch, before a change of level, right at it and in a fade."""
    arguments = [*SMALL, "max_steps=9"]
    whole = train(*arguments, name="whole")
    for name, (after, level, fading) in STOPS.items():
        with asked_to_stop(after=after), pytest.raises(Stopped):
            train(*arguments, name=name)
        (cut,) = Path("outputs", name).iterdir()
        found = read(cut / "checkpoints/last.pt")["game"]
        assert int(found["generator.growth.level"]) == level
        assert (float(found["generator.growth.share"]) < 1) == fading
        train(f"resume={cut.absolute()}", name=name)
        assert list(differences(whole, cut)) == [], name


def test_captured_steps_come_to_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "GRAD_NORM_EVERY", 1)
    same = ["optim.lr=0.0009765625", "arch.generator.fade_images=40", "arch.generator.stable_images=40"]
    plain, graphed = made(*same), made(*same)
    recorder = EmulatedRecorder(graphed.state)
    graphed = graphed._replace(run_step=GraphedTurns(recorder, graphed.state.optimisers, graphed.notes))
    found = []
    for experiment in (plain, graphed):
        torch.manual_seed(0)
        for batch in batches(experiment, 17):
            train_step(experiment, batch, 1.0)
        found.append({name: digest(part) for name, part in experiment.state.snapshot().items()})
    assert found[0] == found[1]
    assert (recorder.recorded, recorder.played) == (3, 6), (
        "5 steps each of level 0, of the fade and after it; 3 are warm-up"
    )


def test_two_processes_compute_what_one_does(tmp_path: Path) -> None:
    """The deviation of groups, real samples that are faded, both changes of level; batches of 8 samples."""
    share = ["arch.generator.fade_images=16", "arch.generator.stable_images=8"]
    for process in differences_between_processes(tmp_path, {"acgan": composed(*SMALL, *share, "game=acgan")}):
        assert process["acgan"]["gradient"] < 1e-12
        assert process["acgan"]["weight"] < 1e-12
