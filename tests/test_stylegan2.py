"""arch=stylegan2: the authors' counts, modulation, mapping, noise, mixing, truncation, and whole runs."""

from typing import Any

import pytest
import torch
from conftest import composed
from torch import Tensor, nn
from torch.nn import functional

from ganexp.ema import EMA
from ganexp.errors import UserError
from ganexp.nets.equalised import EqualisedLinear
from ganexp.nets.layers import count_weights
from ganexp.nets.modulated import GAIN, ModulatedConv2d, StyledConv
from ganexp.nets.stylegan2 import Generator, Mapping
from ganexp.nets.stylegan2_critic import Discriminator
from ganexp.training.build import build

BASE = ["arch.generator.base=16384", "arch.discriminator.base=16384"]
TWO = "arch.generator.mapping_layers=2"
SIZES = {
    "stylegan2": (["data=celeba", "data.resolution=1024"], 30_370_060, 29_012_513),
    "stylegan2, base 16384": (["data=celeba", "data.resolution=256", *BASE], 24_767_458, 24_001_089),
    "stylegan2, auto 64": (["data=celeba", *BASE, TWO], 22_243_608, 23_407_361),
    "stylegan2, auto 128": (["data=celeba", "data.resolution=128", *BASE, TWO], 22_949_277, 23_882_369),
    "stylegan2_cifar": (["data=cifar10"], 19_947_539, 20_720_641),
    "stylegan2_cifar, labels": (["data=cifar10", "game=cgan"], 20_215_315, 23_089_664),
    "stylegan2_small": (["data=cifar10"], 263_987, 278_753),
}
"""Parameters of the generator and of the discriminator in the authors' program."""


def generator(mixing: float = 0.0, classes: int = 0) -> Generator:
    torch.manual_seed(0)
    return Generator([3, 16, 16], 8, classes, 8, 2, 64, 8, mixing)


def noisy(net: nn.Module) -> None:
    for layer in net.modules():
        if isinstance(layer, StyledConv):
            layer.strength.data.fill_(0.5)


@pytest.mark.parametrize("case", SIZES)
def test_the_authors_sizes(case: str) -> None:
    overrides, made, judged = SIZES[case]
    with torch.device("meta"):
        nets = {
            name: build(node) for name, node in composed(f"arch={case.split(',')[0]}", *overrides).arch.items()
        }
    assert (count_weights(nets["generator"]), count_weights(nets["discriminator"])) == (made, judged)
    if case == "stylegan2_cifar":
        assert count_weights(nets["generator"].mapping) == 525_312


def kernels(conv: ModulatedConv2d, style: Tensor) -> Tensor:
    """Equations 1 and 3 of the paper, one kernel for each sample: [N, outputs, inputs, 3, 3]."""
    modulated = style[:, None, :, None, None] * conv.weight
    return modulated / (modulated.square().sum((2, 3, 4), keepdim=True) + 1e-8).sqrt()


@pytest.mark.parametrize("doubled", [False, True])
def test_modulation_is_the_papers_grouped_convolution(doubled: bool) -> None:
    torch.manual_seed(0)
    conv, x, w = ModulatedConv2d(5, 7, 4, doubled=doubled), torch.randn(3, 5, 6, 6), torch.randn(3, 4)
    each = kernels(conv, conv.affine(w))
    norms = each.square().sum((2, 3, 4)).sqrt()
    assert torch.allclose(norms, torch.ones(3, 7), atol=1e-6)
    grouped = x.reshape(1, 15, 6, 6)
    if conv.smooth is None:
        maps = functional.conv2d(grouped, each.flatten(0, 1), padding=1, groups=3)
    else:
        one_each = each.transpose(1, 2).flatten(0, 1)
        maps = conv.smooth(functional.conv_transpose2d(grouped, one_each, stride=2, groups=3))
    side = 12 if doubled else 6
    assert torch.allclose(conv(x, w), maps.view(3, 7, side, side), atol=1e-5)


def test_the_scale_of_a_style_is_of_no_effect() -> None:
    torch.manual_seed(0)
    conv, x, style = ModulatedConv2d(5, 7, 4, doubled=False), torch.randn(3, 5, 6, 6), torch.randn(3, 5)
    once, thrice = (conv.convolve(x, s) * conv.demodulation(s)[..., None, None] for s in (style, 3 * style))
    assert torch.allclose(once, thrice, atol=1e-5)


@pytest.mark.parametrize("doubled", [False, True])
def test_demodulation_keeps_the_variance(doubled: bool) -> None:
    """Of independent values of variance 1, away from the edges, and before the filter, which averages."""
    torch.manual_seed(0)
    conv = ModulatedConv2d(32, 64, 8, doubled=doubled)
    if doubled:
        conv.smooth = nn.Identity()  # type: ignore[assignment]
    maps = conv(torch.randn(16, 32, 12, 12), torch.randn(16, 8))[..., 2:-2, 2:-2]
    # doubled: of nine products, points have 1, 2, 2 or 4: a quarter of nine on average
    assert maps.detach().std() == pytest.approx(0.5 if doubled else 1.0, rel=0.03)


def test_a_styled_convolution_by_its_definition() -> None:
    layer, x, w = StyledConv(5, 7, 4, 6, doubled=False).eval(), torch.randn(2, 5, 6, 6), torch.randn(2, 4)
    layer.strength.data.fill_(0.3)
    layer.bias.data.normal_()
    maps = layer.conv(x, w) + 0.3 * layer.noise + layer.bias[:, None, None]
    assert torch.allclose(layer(x, w), 2**0.5 * functional.leaky_relu(maps, 0.2), atol=1e-5)


def test_the_mapping_normalises_z_and_labels() -> None:
    torch.manual_seed(0)
    mapping, z, y = Mapping(8, 4, 6, 2), torch.randn(5, 8), torch.arange(5) % 4
    assert mapping.embedding is not None
    w = mapping(z, y)
    mapping.embedding.weight.data *= 3
    assert torch.allclose(mapping(7 * z, y), w, atol=1e-5)
    assert not torch.allclose(mapping(z, (y + 1) % 4), w)


def test_an_equalised_layers_second_moment_is_1_04() -> None:
    """E (sqrt(2) lrelu(x))^2 = 2 (1 + 0.04) / 2 for x ~ N(0, 1)."""
    torch.manual_seed(0)
    x, moments = torch.randn(64, 512), []
    for _ in range(20):
        layer = EqualisedLinear(512, 512, rate=0.01)
        moments.append((GAIN * functional.leaky_relu(layer(x), 0.2)).square().mean())
    assert torch.stack(moments).mean().item() == pytest.approx(1.04, abs=0.01)


def test_noise_is_new_in_training_and_stored_for_looking() -> None:
    net, z = generator(), torch.randn(4, 8)
    assert torch.equal(net(z), net(z)), "its strength starts at 0"
    noisy(net)
    assert not torch.allclose(net(z), net(z))
    net.eval()
    together = net(z)
    assert torch.equal(together, net(z))
    assert torch.allclose(together, torch.cat([net(one[None]) for one in z]), atol=1e-5), "not on its batch"
    copy = generator()
    copy.load_state_dict(net.state_dict())
    assert torch.equal(copy.eval()(z), together)


def test_mixing(monkeypatch: pytest.MonkeyPatch) -> None:
    net, z = generator(mixing=1.0), torch.randn(4, 8)
    layers = net.synthesis.layers
    assert layers == 2 * 4 - 2
    plain = net.mapping(z)[:, None].expand(-1, layers, -1)
    monkeypatch.setattr(net, "_first_mixed", lambda device: torch.tensor(layers))
    assert torch.equal(net.styles(z), plain)
    monkeypatch.setattr(net, "_first_mixed", lambda device: torch.tensor(2))
    mixed = net.styles(z)
    assert torch.equal(mixed[:, :2], plain[:, :2]) and not torch.isclose(mixed[:, 2:], plain[:, 2:]).any()
    assert torch.equal(net.eval().styles(z), plain), "in training only"


def test_from_which_layer_on() -> None:
    net, device = generator(mixing=1.0), torch.device("cpu")
    assert {int(net._first_mixed(device)) for _ in range(200)} == {1, 2, 3, 4, 5}
    net.mixing = 0.25
    assert sum(int(net._first_mixed(device)) < 6 for _ in range(2000)) / 2000 == pytest.approx(0.25, abs=0.03)


def test_the_mean_of_the_styles_and_truncation() -> None:
    net, z = generator(mixing=0.9), torch.randn(4, 8)
    net(z)
    expected = 0.005 * net.mapping(z).mean(0)
    assert torch.allclose(net.style_mean, expected, atol=1e-7), "of the first z only"
    net.eval()
    net(z)
    assert torch.allclose(net.style_mean, expected, atol=1e-7), "in training only"
    whole = net(z)
    net.truncation = 0.0
    of_mean = net.synthesis(net.style_mean.expand(1, net.synthesis.layers, -1))
    assert torch.allclose(net(z), of_mean.expand(4, -1, -1, -1), atol=1e-5)
    assert not torch.allclose(whole, net(z), atol=1e-2)
    net.truncation = 0.7
    w = 0.3 * net.style_mean + 0.7 * net.mapping(z)
    assert torch.allclose(net.styles(z)[:, 3], w, atol=1e-5)


def test_the_averaged_generator_has_the_mean_and_the_noise() -> None:
    net = generator()
    ema = EMA(net, halflife=1e6, rampup=1.0)
    net.style_mean.fill_(3.0)
    noisy(net)
    ema.update(net, 10, 0)
    assert torch.equal(ema.module.get_buffer("style_mean"), net.style_mean)
    for (name, live), (_, kept) in zip(net.named_buffers(), ema.module.named_buffers(), strict=True):
        assert torch.equal(live, kept), name


def test_every_weight_has_a_finite_gradient() -> None:
    made = generator(mixing=1.0, classes=3)
    critic = Discriminator([3, 16, 16], 3, "projection", 2, 2, 64, 8, True, 4)
    y = torch.arange(8) % 3
    critic(made(torch.randn(8, 8), y), y).square().sum().backward()
    for name, weight in [*made.named_parameters(), *critic.named_parameters()]:
        assert weight.grad is not None and torch.isfinite(weight.grad).all() and weight.grad.any(), name


def test_a_residual_level_by_its_definition() -> None:
    """Filtered with zeros outside, and as the sum of both ways over sqrt(2)."""
    torch.manual_seed(0)
    level: Any = Discriminator([3, 8, 8], 0, "none", 0, 1, 64, 8, True, 1).levels[1]
    taps, x = torch.tensor([1.0, 3, 3, 1]), torch.randn(2, 8, 8, 8)
    kernel = (torch.outer(taps, taps) / 64).expand(8, 1, 4, 4)

    def act(maps: Tensor) -> Tensor:
        return 2**0.5 * functional.leaky_relu(maps, 0.2)

    level.second.bias.data.normal_()
    first = act(functional.conv2d(x, level.first.weight / 72**0.5, padding=1))
    smooth = functional.conv2d(first, kernel, padding=2, groups=8)
    second = act(functional.conv2d(smooth, level.second.weight / 72**0.5, level.second.bias, stride=2))
    skip = functional.conv2d(x, kernel, padding=1, groups=8)[..., ::2, ::2]
    skip = functional.conv2d(skip, level.skip[1].weight / 8**0.5)
    assert torch.allclose(level(x), (second + skip) / 2**0.5, atol=1e-5)


@pytest.mark.parametrize(("side", "told"), [(28, "powers of two from 8"), (4, "powers"), (30, "multiple of 4")])
def test_sizes_that_do_not_fit(side: int, told: str) -> None:
    with pytest.raises(UserError, match=told):
        Generator([3, side, side], 8, 0, 8, 2, 64, 8, 0.0)
