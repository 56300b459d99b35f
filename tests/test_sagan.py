"""arch=sagan: attention by its definition, counts of weights, spectral norms of both players, labels, games."""

import math
from itertools import pairwise
from typing import Any, cast

import pytest
import torch
from residual_games import on_meta, tiny_game, two_steps
from torch import Tensor, nn

from ganexp.ema import EMA
from ganexp.errors import UserError
from ganexp.nets.attention import SelfAttention
from ganexp.nets.conditional_norm import ConditionalNorm, label_layers
from ganexp.nets.heads import ProjectionHead
from ganexp.nets.layers import count_weights
from ganexp.nets.sagan import Discriminator, Generator

GAMES = ("gan", "cgan", "acgan", "infogan", "pacgan")


def generator(**changed: Any) -> Generator:
    torch.manual_seed(0)
    settings: dict[str, Any] = {"shape": [3, 16, 16], "latent": 6, "classes": 3, "condition": "norm"}
    settings |= {"width": 8, "max_width": 16, "norm": "batch", "upsample": "nearest"}
    return Generator(**settings | {"attention": 8, "initialisation": "glorot", "spectral": True} | changed)


def discriminator(**changed: Any) -> Discriminator:
    torch.manual_seed(0)
    settings: dict[str, Any] = {"shape": [3, 16, 16], "classes": 3, "condition": "projection", "outputs": 0}
    settings |= {"width": 8, "max_width": 16, "halvings": 2, "plain": 1, "hidden": "output", "pooling": "sum"}
    return Discriminator(**settings | {"attention": 4, "initialisation": "glorot", "spectral": True} | changed)


def attention(channels: int = 8, side: int = 4, gamma: float = 0.7) -> SelfAttention:
    torch.manual_seed(0)
    layer = SelfAttention("generator", channels, side)
    layer.gamma.data.fill_(gamma)
    return layer


def attended_by_hand(layer: SelfAttention, x: Tensor) -> Tensor:
    """One position after the other; x is [C, H, W]."""
    theta, phi, g, out = (conv.weight[:, :, 0, 0] for conv in (layer.theta, layer.phi, layer.g, layer.out))
    _, height, width = x.shape
    corners = [(i, j) for i in range(0, height, 2) for j in range(0, width, 2)]

    def pooled(weight: Tensor, i: int, j: int) -> Tensor:
        return torch.stack([weight @ x[:, i + a, j + b] for a in (0, 1) for b in (0, 1)]).amax(0)

    keys, values = ([pooled(weight, i, j) for i, j in corners] for weight in (phi, g))
    made = x.clone()
    for i in range(height):
        for j in range(width):
            scores = [math.exp(torch.dot(theta @ x[:, i, j], key).item()) for key in keys]
            mean = sum(score / sum(scores) * value for score, value in zip(scores, values, strict=True))
            made[:, i, j] += layer.gamma * (out @ mean)
    return made


def test_attention_by_its_definition() -> None:
    """Two channels of the products, so that a division by their root would show."""
    layer, x = attention(16), 3 * torch.randn(2, 16, 4, 6)
    with torch.no_grad():
        torch.testing.assert_close(layer(x)[1], attended_by_hand(layer, x[1]))
        weights = layer.weights(x)
    assert weights.shape == (2, 24, 6)
    torch.testing.assert_close(weights.sum(2), torch.ones(2, 24))


def test_attention_starts_as_the_identity_and_learns() -> None:
    layer, x = SelfAttention("generator", 8, 4), torch.randn(2, 8, 4, 4)
    assert torch.equal(layer(x), x)
    layer(x).square().sum().backward()
    assert layer.gamma.grad is not None and layer.gamma.grad.abs() > 1e-3


def test_attention_of_a_constant_map_is_uniform() -> None:
    layer, point = attention(), torch.randn(1, 8, 1, 1)
    x = point.expand(1, 8, 4, 4)
    torch.testing.assert_close(layer.weights(x), torch.full((1, 16, 4), 0.25))
    torch.testing.assert_close(layer(x), (point + layer.gamma * layer.out(layer.g(point))).expand_as(x))


@pytest.mark.parametrize(("channels", "weights"), [(64, 5_121), (128, 20_481), (256, 81_921)])
def test_the_weights_of_attention(channels: int, weights: int) -> None:
    assert count_weights(SelfAttention("generator", channels, 8)) == weights == 5 * channels**2 // 4 + 1


def test_attention_has_second_derivatives() -> None:
    layer = attention().double()
    assert torch.autograd.gradgradcheck(layer, torch.randn(1, 8, 2, 2, dtype=torch.float64, requires_grad=True))


@pytest.mark.parametrize(
    ("shape", "changed", "told"),
    [
        ([3, 24, 24], {"halvings": 3, "attention": 3}, "pools 2 x 2 points; choose maps of an even side"),
        ([3, 16, 16], {"attention": 16}, r"discriminator.attention=16: its maps have the sides 8, 4; choose"),
        ([3, 16, 16], {"width": 4, "attention": 8}, "have 4 channels, and attention takes multiples of 8"),
    ],
)
def test_maps_that_have_no_attention(shape: list[int], changed: dict[str, int], told: str) -> None:
    with pytest.raises(UserError, match=told):
        discriminator(shape=shape, **changed)


def test_images_that_it_does_not_make() -> None:
    with pytest.raises(UserError, match=r"data.resolution=24: arch=sagan makes powers of two"):
        generator(shape=[3, 24, 24])


@pytest.mark.parametrize(
    ("arch", "side", "hidden", "weights"),
    [
        ("sagan_32", 32, "output", (4_386_308, 1_075_586)),
        ("sagan", 128, "input", (32_321_412, 29_048_578)),
        ("sagan", 128, "output", (32_321_412, 38_449_858)),
    ],
)
def test_the_weights_of_sagan(arch: str, side: int, hidden: str, weights: tuple[int, int]) -> None:
    """As many as mimicry's, whose discriminator for 128 pixels is not wide; for the wide one see below."""
    nets = on_meta(arch, side, 10, hidden=hidden)
    assert (count_weights(nets["generator"]), count_weights(nets["discriminator"])) == weights


def test_the_weights_of_a_wide_discriminator() -> None:
    """The first convolution from C to D channels has D instead of C outputs, the second as many inputs."""
    pairs = pairwise([64, 128, 256, 512, 1024])
    more = sum(9 * c * (d - c) + (d - c) + 9 * (d - c) * d for c, d in pairs)
    assert more == 38_449_858 - 29_048_578


def test_the_place_of_attention_in_sagan() -> None:
    seen = []
    inputs = {"generator": torch.empty(2, 128), "discriminator": torch.empty(2, 3, 128, 128)}
    for name, net in on_meta("sagan", 128, 10).items():
        for layer in net.modules():
            if isinstance(layer, SelfAttention):
                layer.register_forward_hook(lambda _, __, made: seen.append(tuple(made.shape)))
        net(inputs[name].to("meta"), torch.zeros(2, dtype=torch.int64, device="meta"))
    assert seen == [(2, 256, 32, 32), (2, 128, 32, 32)]


def stored(layer: nn.Module) -> nn.Parameter:
    """The weight before its normalisation."""
    return cast(nn.Parameter, cast(Any, layer).parametrizations.weight.original)


def normalised_layers(net: nn.Module) -> list[nn.Conv2d | nn.Linear]:
    left = label_layers(net)
    found = [layer for layer in net.modules() if isinstance(layer, nn.Conv2d | nn.Linear)]
    return [layer for layer in found if layer not in left]


def test_every_weight_is_normalised_but_those_of_the_generators_labels() -> None:
    made, judged, y = generator(), discriminator(), torch.tensor([0, 2])
    for _ in range(80):
        made(torch.randn(2, 6), y)
        judged(torch.randn(2, 3, 16, 16), y)
    assert len(normalised_layers(made)) == 1 + 2 * 3 + 4 + 1
    assert len(normalised_layers(judged)) == 3 + 3 + 2 + 4 + 2
    for layer in [*normalised_layers(made), *normalised_layers(judged)]:
        assert torch.linalg.svdvals(layer.weight.detach().flatten(1))[0] == pytest.approx(1, abs=0.03)
    assert all(not hasattr(layer, "parametrizations") for layer in label_layers(made))


def test_looking_takes_no_power_iteration() -> None:
    """An output in evaluation depends on its own input only, and changes nothing."""
    for net, given in ((generator(), torch.randn(4, 6)), (discriminator(), torch.randn(4, 3, 16, 16))):
        y = torch.tensor([0, 1, 2, 0])
        net(given, y)
        net.eval()
        before = {key: value.clone() for key, value in net.state_dict().items()}
        made = net(given, y)
        torch.testing.assert_close(net(given[:1], y[:1]), made[:1])
        assert all(torch.equal(value, before[key]) for key, value in net.state_dict().items())
        net.train()(given, y)
        assert any(not torch.equal(value, before[key]) for key, value in net.state_dict().items())


def test_the_averaged_weights_are_normalised_by_their_own_singular_value() -> None:
    live, y = generator(), torch.tensor([0, 1])
    average = EMA(live, halflife=8, rampup=1.0)
    for step in range(1, 60):
        for layer in normalised_layers(live):
            stored(layer).data.mul_(1.02).add_(0.002 * torch.randn(1))
        live(torch.randn(2, 6), y)
        average.update(live, step, step - 1)
    averaged = average.module
    for ours, its in zip(normalised_layers(averaged), normalised_layers(live), strict=True):
        original = stored(ours)
        assert not torch.allclose(original, stored(its))
        largest = torch.linalg.svdvals(original.flatten(1))[0]
        torch.testing.assert_close(ours.weight, original / largest, rtol=0.02, atol=1e-4)


def test_labels_reach_the_blocks_norms_but_not_the_last() -> None:
    net, z, y = generator(), torch.randn(1, 6).expand(3, -1), torch.arange(3)
    net(torch.randn(8, 6), torch.zeros(8, dtype=torch.int64))
    net.eval()
    torch.testing.assert_close(net(z, y)[0], net(z, y)[1])  # gains start at 1, biases at 0
    assert sum(isinstance(layer, ConditionalNorm) for layer in net.modules()) == 4
    assert isinstance(net.last[0], nn.BatchNorm2d) and net.last[0].affine
    for layer in label_layers(net):
        cast(nn.Linear, layer).weight.data.normal_()
    assert not torch.allclose(net(z, y)[0], net(z, y)[1])


def test_the_projection_is_of_the_normalised_labels() -> None:
    net, x = discriminator().eval(), torch.randn(2, 3, 16, 16)
    y, other = torch.tensor([0, 2]), torch.tensor([1, 1])
    rows = cast(ProjectionHead, net.head).embedding.weight.T
    torch.testing.assert_close(torch.linalg.svdvals(rows.detach())[0], torch.tensor(1.0), atol=0.01, rtol=0)
    expected = ((rows[y] - rows[other]) * net.features(x)).sum(1)
    torch.testing.assert_close(net(x, y) - net(x, other), expected)


@pytest.mark.parametrize(
    "overrides",
    [*[[f"game={name}"] for name in GAMES], ["game=cgan", "penalties=r1"]],
    ids=" ".join,
)
def test_two_steps(overrides: list[str]) -> None:
    latent = ["arch.generator.latent=15"] if "game=infogan" in overrides else []
    game = tiny_game("sagan_small", *overrides, *latent)
    two_steps(game)
    gammas = [value for key, value in game.named_parameters() if key.endswith("gamma")]
    assert len(gammas) == 2 and all(gamma.detach() != 0 for gamma in gammas)
