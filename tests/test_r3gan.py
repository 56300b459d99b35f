"""arch=r3gan: the authors' counts of weights, initial values, derivatives, labels, the recipe's schedules."""

import math
from itertools import islice
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from conftest import Verb, asked_to_stop, composed
from torch import Tensor, nn
from torch.nn import functional

from ganexp.errors import UserError
from ganexp.losses import RelativisticPairing
from ganexp.nets.grouped import GroupedConv, PointwiseConv
from ganexp.nets.layers import count_weights
from ganexp.nets.r3gan import Block, Discriminator, EmbeddingHead, Generator, LogitHead
from ganexp.nets.resample import FilteredDouble, FilteredHalve
from ganexp.runs.bitwise import differences
from ganexp.system.signals import Stopped
from ganexp.train import train_step
from ganexp.training.build import build
from ganexp.training.setup import build_experiment

SIZES = ("widths=[128,128,64,32]", "groups=[16,16,8,4]", "blocks=2")
WIDE = [f"arch.{player}.{size}" for player in ("generator", "discriminator") for size in SIZES]
LITTLE = ("widths=[8,8,4]", "groups=[2,2,1]", "blocks=1", "embedding=4")
TINY = [
    "recipe=none",
    "arch=r3gan_small",
    "data.resolution=16",
    "loss=rpgan",
    "penalties=[r1,r2]",
    "batch_size=8",
    *(f"arch.{player}.{size}" for player in ("generator", "discriminator") for size in LITTLE),
]


def generator(**changed: Any) -> Generator:
    torch.manual_seed(0)
    sizes: dict[str, Any] = {"classes": 0, "widths": [16, 16, 8], "groups": [4, 4, 2], "shape": [3, 16, 16]}
    return Generator(latent=64, embedding=8, blocks=2, **sizes | changed)


def discriminator(**changed: Any) -> Discriminator:
    torch.manual_seed(0)
    sizes: dict[str, Any] = {"classes": 0, "widths": [16, 16, 8], "groups": [4, 4, 2], "shape": [3, 16, 16]}
    sizes |= {"condition": "projection", "outputs": 0}
    return Discriminator(embedding=8, blocks=2, **sizes | changed)


@pytest.mark.parametrize(
    ("overrides", "g", "d"),
    [
        (["arch=r3gan", "data=cifar10"], 20_732_160, 20_683_776),
        (["arch=r3gan", "data=cifar10", "game=cgan"], 20_781_952, 21_280_512),
        (["arch=r3gan_64", "data=celeba"], 22_429_824, 22_381_440),
        (["arch=r3gan_256", "data=celeba", "data.resolution=256"], 23_057_952, 23_009_568),
        (["arch=r3gan_small", "data=cifar10", *WIDE], 529_248, 521_184),
    ],
)
def test_the_counts_of_weights_are_the_authors(overrides: list[str], g: int, d: int) -> None:
    with torch.device("meta"):
        nets = {name: build(node) for name, node in composed(*overrides).arch.items()}
    assert (count_weights(nets["generator"]), count_weights(nets["discriminator"])) == (g, d)


def test_the_preset_for_64_pixels_fits() -> None:
    with torch.device("meta"):
        nets = {name: build(node) for name, node in composed("arch=r3gan_small_64", "data=celeba").arch.items()}
        images = nets["generator"](torch.empty(2, 64))
        assert images.shape == (2, 3, 64, 64) and nets["discriminator"](images).shape == (2,)


def test_a_block_starts_as_the_identity() -> None:
    block, x = Block(8, 4, 6), torch.randn(2, 8, 4, 4)
    assert torch.equal(block(x), x)
    assert count_weights(Block(32, 4, 6)) == 4 * 32**2 + 36 * 32**2 // 4 + 4 * 32


@pytest.mark.parametrize(("depth", "gain"), [(8, 0.8246), (10, 0.7798), (14, 0.7169)])
def test_the_initial_weights_of_a_block(depth: int, gain: float) -> None:
    torch.manual_seed(0)
    first, grouped, last = (layer for layer in Block(256, 32, depth).branch if isinstance(layer, nn.Conv2d))
    assert first.weight.std().item() == pytest.approx(gain / 256**0.5, rel=0.02)
    assert grouped.weight.std().item() == pytest.approx(gain / (16 * 9) ** 0.5, rel=0.02)
    assert not last.weight.any() and last.bias is None


def test_the_first_step_moves_only_the_last_convolution_of_a_block() -> None:
    block = Block(8, 4, 6)
    block(torch.randn(2, 8, 4, 4)).square().sum().backward()
    *before, last = (parameter.grad for parameter in block.parameters())
    assert all(grad is not None and not grad.any() for grad in before)
    assert last is not None and last.abs().min() > 0


def test_a_block_by_its_definition() -> None:
    block, x = Block(4, 2, 6).double(), torch.randn(2, 4, 4, 4, dtype=torch.float64)
    for parameter in block.parameters():
        nn.init.normal_(parameter)
    first, grouped, last = (layer for layer in block.branch if isinstance(layer, nn.Conv2d))
    inner = functional.leaky_relu(functional.conv2d(x, first.weight, first.bias), 0.2)
    inner = functional.conv2d(inner, grouped.weight, grouped.bias, padding=1, groups=2)
    assert torch.allclose(block(x), x + functional.conv2d(functional.leaky_relu(inner, 0.2), last.weight))


def test_images_and_logits_at_first() -> None:
    """The first doubling leaves 0.625 of the deviation of independent values, and less at borders."""
    net = generator(widths=[128, 128, 64, 32], groups=[16, 16, 8, 4], shape=[3, 32, 32])
    images = net(torch.randn(64, 64))
    assert 0.3 < images.std().item() < 0.8
    critic = discriminator(widths=[128, 128, 64, 32], groups=[16, 16, 8, 4], shape=[3, 32, 32])
    assert 0.01 < critic(torch.randn(64, 3, 32, 32)).std().item() < 0.3


def test_the_filter_is_1_2_1_convolved_with_the_box() -> None:
    taps = functional.conv1d(torch.tensor([[[1.0, 2, 1]]]), torch.ones(1, 1, 2), padding=1)[0, 0]
    assert taps.tolist() == [1, 3, 3, 1]
    assert torch.allclose(FilteredHalve().kernel[0, 0], torch.outer(taps, taps) / 64)


def test_the_start_and_the_end_by_their_definitions() -> None:
    """While every block is the identity, a generator of one stage is to_image(basis * linear(z))."""
    net, z = generator(widths=[16], groups=[4], shape=[3, 4, 4]), torch.randn(5, 64)
    maps = torch.einsum("chw,cl,nl->nchw", net.basis, net.first.weight, z)
    assert torch.allclose(net(z), functional.conv2d(maps, net.to_image.weight), atol=1e-5)
    critic, x = discriminator(widths=[16], groups=[4], shape=[3, 4, 4]), torch.randn(5, 3, 4, 4)
    depthwise = functional.conv2d(critic.layers(x), critic.basis[:, None], groups=16).flatten(1)
    assert torch.allclose(critic(x), (depthwise @ cast(LogitHead, critic.head).weight.T)[:, 0], atol=1e-5)


def test_the_loss_knows_only_differences() -> None:
    loss, logits = RelativisticPairing(), torch.randn(6)
    assert loss.d(real=logits, fake=logits).item() == pytest.approx(math.log(2))
    assert loss.g(real=logits, fake=logits).item() == pytest.approx(math.log(2))
    real, fake = torch.randn(6), torch.randn(6)
    assert torch.allclose(loss.d(real=real + 7, fake=fake + 7), loss.d(real=real, fake=fake), atol=1e-6)


def test_a_logit_depends_on_its_own_sample() -> None:
    critic, x = discriminator(classes=4), torch.randn(4, 3, 16, 16)
    for parameter in critic.parameters():
        nn.init.normal_(parameter, std=0.2)
    labels = torch.arange(4)
    single = torch.cat([critic(x[i : i + 1], labels[i : i + 1]) for i in range(4)])
    assert critic.samplewise and torch.allclose(critic(x, labels), single, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("made", [(PointwiseConv, 1, 1), (GroupedConv, 3, 2)])
def test_fast_convolutions_are_torchs(made: tuple[type[nn.Conv2d], int, int]) -> None:
    """Values, gradients, and gradients of a gradient's norm, with respect to input, weight and bias."""
    kind, kernel, groups = made
    torch.manual_seed(0)
    fast = (PointwiseConv(4, 4, bias=True) if kind is PointwiseConv else GroupedConv(4, groups)).double()
    torchs = nn.Conv2d(4, 4, kernel, padding=kernel // 2, groups=groups).double()
    torchs.load_state_dict(fast.state_dict())
    results = []
    for layer in (fast, torchs):
        torch.manual_seed(1)
        x = torch.randn(3, 4, 6, 6, dtype=torch.float64, requires_grad=True)
        y = layer(x)
        (gradient,) = torch.autograd.grad(y.pow(3).sum(), x, create_graph=True)
        (y.square().sum() + gradient.square().sum()).backward()
        results.append([y, gradient, x.grad, *(parameter.grad for parameter in layer.parameters())])
    for one, other in zip(*results, strict=True):
        assert torch.allclose(cast(Tensor, one), cast(Tensor, other))
    fast(x).square().sum().backward()
    assert torch.autograd.gradgradcheck(lambda v: fast(v).square(), [x.detach()[:1].requires_grad_(True)])


def test_labels() -> None:
    net, z = generator(classes=4), torch.randn(1, 64).expand(4, -1)
    assert net.embedding is not None and net.embedding.weight.shape == (8, 4)
    first, second = net(z, torch.arange(4))[:2]
    assert not torch.allclose(first, second)
    head, features = EmbeddingHead(6, 5, 3), torch.randn(3, 6)
    expected = ((features @ head.linear.weight.T) * head.embedding.weight.T).sum(1)
    assert torch.allclose(head(features, torch.arange(3)), expected, atol=1e-6)
    wide = EmbeddingHead(4, 4000, 10)
    assert wide.embedding.weight.std().item() == pytest.approx((4000 * 10) ** -0.5, rel=0.03)


@pytest.mark.parametrize("condition", ["projection", "joined", "none"])
def test_conditions_and_outputs(condition: str) -> None:
    critic, x = discriminator(classes=4, outputs=5, condition=condition), torch.randn(4, 3, 16, 16)
    logits = critic(x, torch.arange(4))
    assert logits.shape == (4, 5 + 1) and critic.classes == (0 if condition == "none" else 4)
    depends = not torch.allclose(logits[:, 0], critic(x, torch.arange(4).flip(0))[:, 0])
    assert depends == (condition != "none")


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"shape": [3, 32, 32]}, r"widths=\[16, 16, 8\]: these stages are for 16 x 16 images.* has 32 x 32"),
        ({"shape": [3, 28, 28]}, r"these stages are for 16 x 16 images, and this data has 28 x 28"),
        ({"shape": [2]}, "square images"),
        ({"groups": [4, 4]}, r"groups=\[4, 4\]: widths has 3 stages"),
        ({"groups": [4, 5, 2]}, r"groups=\[4, 5, 2\]: 5 does not divide the 32 channels"),
    ],
)
def test_what_does_not_fit(changed: dict[str, Any], told: str) -> None:
    for make in (generator, discriminator):
        with pytest.raises(UserError, match=told):
            make(**changed)


@pytest.mark.parametrize("game", ["gan", "cgan", "acgan", "infogan", "pacgan"])
def test_two_steps_of_a_game(game: str) -> None:
    made = build_experiment(composed(*TINY, f"game={game}"))
    before = [weight.clone() for weight in made.state.game.parameters()]
    for batch in islice(made.data.loader.epoch(), 2):
        train_step(made, batch, 1.0)
    weights = list(made.state.game.parameters())
    assert all(weight.isfinite().all() for weight in weights)
    assert not any(torch.equal(one, other) for one, other in zip(before, weights, strict=True))


def test_the_recipes_schedules() -> None:
    """Of the run for CIFAR-10: all of them end at the share 0.08, which is 20 of 250 million images."""
    small = [override for override in TINY if not override.startswith(("arch=", "batch"))]
    cfg = composed(
        "experiment=r3gan_cifar10", "data=digits", *small, "arch=r3gan_small", "arch.discriminator.embedding=4"
    )
    made = build_experiment(cfg)
    d, penalties = made.state.optimisers["d"].param_groups[0], made.state.game.parts.penalties
    for done, lr, beta2, gamma, halflife in (
        (0.0, 2e-4, 0.9, 0.05, 0.0),
        (0.04, 1.25e-4, 0.945, 0.0275, 2.5e6),
        (0.08, 5e-5, 0.99, 0.005, 5e6),
        (1.0, 5e-5, 0.99, 0.005, 5e6),
    ):
        made.schedules.set(done)
        assert (d["lr"], *d["betas"]) == pytest.approx((lr, 0, beta2))
        assert [penalties[name].factor.item() for name in ("r1", "r2")] == pytest.approx([gamma, gamma])
        assert made.state.ema.halflife == pytest.approx(halflife)


def test_resume_with_these_schedules(train: Verb) -> None:
    ramp = "_target_: ganexp.optim.Ramp"
    overrides = [
        *TINY,
        "max_steps=12",
        "optim.betas=[0,0.9]",
        "schedule=ramp",
        "ema.halflife=500",
        f"+schedules.optim.beta2={{{ramp}, initial: 1.0, final: 1.1, until: 0.8}}",
        f"+schedules.penalties.r1.weight={{{ramp}, initial: 1.0, final: 0.1, until: 0.8}}",
        f"+schedules.ema.halflife={{{ramp}, initial: 0.0, final: 1.0, until: 0.8}}",
        "evaluate.every=null",
        "evaluate.early=null",
    ]
    whole = train(*overrides, name="whole")
    with asked_to_stop(after=7), pytest.raises(Stopped):
        train(*overrides, name="cut")
    cut: Path = train(*overrides, name="cut")
    assert list(differences(whole, cut)) == []


def test_a_step_in_bf16() -> None:
    """Equal widths: maps are float32 where they are first doubled, and bf16 behind that."""
    with torch.autocast("cpu", dtype=torch.bfloat16):
        images = FilteredDouble()(torch.randn(2, 4, 4, 4, requires_grad=True))
        halved = FilteredHalve()(images.float())
    assert images.dtype == halved.dtype == torch.bfloat16
    halved.float().square().sum().backward()
