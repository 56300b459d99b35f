"""Every architecture at every size: shapes, ranges, labels that matter, and what is refused."""

import warnings
from collections.abc import Callable
from io import BytesIO

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap

from ganexp.errors import UserError
from ganexp.nets import dcgan, maxout, mlp
from ganexp.nets.convolutions import (
    ConvDown2x,
    ConvTransposeUp2x,
    MapToVector,
    ProjectToMap,
    ResizeConv,
    _Correlated,
    _from_maps,
    _from_patches,
)
from ganexp.nets.layers import IMAGE_NORMS, LeakyReLU, count_weights

RESOLUTIONS = (16, 28, 32, 64, 128, 256)


def conv_pair(
    shape: list[int], classes: int = 0, norm: str = "batch", upsample: str = "transposed"
) -> tuple[nn.Module, nn.Module]:
    generator = dcgan.Generator(
        shape,
        latent=8,
        classes=classes,
        width=4,
        max_width=16,
        norm=norm,  # type: ignore[arg-type]
        upsample=upsample,  # type: ignore[arg-type]
    )
    critic = dcgan.Discriminator(shape, classes=classes, width=4, max_width=16, norm=norm, dropout=0.1)  # type: ignore[arg-type]
    return generator, critic


@pytest.mark.parametrize("resolution", RESOLUTIONS)
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("upsample", ["transposed", "nearest"])
def test_dcgan_makes_and_judges_every_size(resolution: int, channels: int, upsample: str) -> None:
    generator, critic = conv_pair([channels, resolution, resolution], upsample=upsample)
    images = generator(torch.randn(2, 8))
    assert images.shape == (2, channels, resolution, resolution)
    assert images.abs().max() <= 1
    assert critic(images).shape == (2,)


@pytest.mark.parametrize("norm", ["batch", "layer", "group", "instance", "none"])
def test_dcgan_norms(norm: str) -> None:
    generator, critic = conv_pair([1, 32, 32], norm=norm)
    found = any(isinstance(layer, nn.BatchNorm2d) for layer in critic.modules())
    assert found == (norm == "batch")
    assert critic(generator(torch.randn(2, 8))).shape == (2,)


@pytest.mark.parametrize(
    ("channels", "groups"), [(16, 1), (32, 1), (48, 2), (64, 2), (96, 3), (67, 67), (1, 1)]
)
def test_a_group_norm_has_equal_groups_of_at_most_32_channels(channels: int, groups: int) -> None:
    """Wu & He 2018, equations 1 and 7: within a sample, each group has mean 0 and variance 1."""
    x = torch.randn(2, channels, 3, 3) * 4 + torch.arange(channels)[:, None, None]
    parts = IMAGE_NORMS["group"](channels)(x).detach().view(2, groups, -1)
    torch.testing.assert_close(parts.mean(2), torch.zeros(2, groups), atol=1e-5, rtol=0)
    torch.testing.assert_close(parts.var(2, correction=0), torch.ones(2, groups), atol=1e-4, rtol=0)


def test_dcgan_follows_the_paper() -> None:
    """Section 3 and 4: no norm on the critic's input layer, weights of deviation 0.02."""
    generator, critic = conv_pair([3, 64, 64])
    first = [type(layer) for layer in critic.layers[:2]]  # type: ignore[index]
    assert first == [ConvDown2x, LeakyReLU]
    weights = torch.cat(
        [p.flatten() for m in generator.modules() if isinstance(m, nn.ConvTranspose2d) for p in [m.weight]]
    )
    assert weights.std().item() == pytest.approx(0.02, rel=0.1)


@pytest.mark.parametrize("shape", [[2], [1, 30, 30], [1, 8, 8], [1, 512, 512], [1, 32, 64]])
def test_dcgan_refuses_what_it_cannot_make(shape: list[int]) -> None:
    with pytest.raises(UserError, match="arch=mlp"):
        conv_pair(shape)


@pytest.mark.parametrize("shape", [[2], [1, 28, 28], [3, 9, 9]])
def test_mlp_takes_any_shape(shape: list[int]) -> None:
    bounded = len(shape) == 3
    generator = mlp.Generator(shape, bounded, latent=5, classes=0, widths=[8, 9], norm="batch", dropout=0.0)
    critic = mlp.Discriminator(shape, classes=0, widths=[9, 8], norm="layer", dropout=0.3)
    samples = generator(torch.randn(4, 5) * 100)
    assert list(samples.shape) == [4, *shape]
    assert critic(samples).shape == (4,)


def test_mlp_is_bounded_only_for_images() -> None:
    def largest(bounded: bool) -> float:
        torch.manual_seed(0)
        net = mlp.Generator([2], bounded, latent=5, classes=0, widths=[8], norm="none", dropout=0.0)
        return float(net(torch.randn(64, 5) * 1000).abs().max().item())

    assert largest(True) <= 1 < largest(False)


def test_labels_reach_both_players() -> None:
    generator, critic = conv_pair([1, 32, 32], classes=3)
    generator.eval(), critic.eval()
    z, zero, two = torch.randn(2, 8), torch.zeros(2, dtype=torch.int64), torch.full((2,), 2)
    assert not torch.allclose(generator(z, zero), generator(z, two))
    images = generator(z, zero)
    assert not torch.allclose(critic(images, zero), critic(images, y=two))
    with pytest.raises(UserError, match="labels"):
        generator(z)


def test_maxout_is_the_largest_of_its_pieces() -> None:
    layer = maxout.Maxout(2, 3, pieces=4)
    x = torch.randn(5, 2)
    weight, bias = layer.linear.weight, layer.linear.bias
    for unit in range(3):
        rows = slice(4 * unit, 4 * unit + 4)
        by_hand = (x @ weight[rows].T + bias[rows]).max(1).values
        assert torch.allclose(layer(x)[:, unit], by_hand)


def test_the_players_of_pacgan() -> None:
    """Section 4.1: 4 x 400 rectified with batch norm, 3 x 200 of 5 pieces, weights of deviation 0.02."""
    generator = maxout.Generator([2], False, latent=2, classes=0, widths=[400] * 4, std=0.02)
    critic = maxout.Discriminator([2], classes=0, widths=[200] * 3, pieces=5, std=0.02)
    assert count_weights(generator) == 2 * 400 + 3 * 400**2 + 4 * 2 * 400 + 400 * 2 + 2
    assert count_weights(critic) == 3 * 1000 + 2 * (200 * 1000 + 1000) + 201
    assert critic(generator(torch.randn(5, 2))).shape == (5,)
    weights = generator.layers[3].weight
    assert weights.std().item() == pytest.approx(0.02, rel=0.05)  # type: ignore[operator]


def test_maxout_takes_labels() -> None:
    generator = maxout.Generator([1, 8, 8], True, latent=3, classes=2, widths=[6], std=0.5).eval()
    critic = maxout.Discriminator([1, 8, 8], classes=2, widths=[6], pieces=2, std=0.5)
    z, zero, one = torch.randn(4, 3), torch.zeros(4, dtype=torch.int64), torch.ones(4, dtype=torch.int64)
    images = generator(z, zero)
    assert images.shape == (4, 1, 8, 8) and images.abs().max() <= 1
    assert not torch.allclose(images, generator(z, one))
    assert not torch.allclose(critic(images, zero), critic(images, y=one))


def usual(ours: nn.Conv2d | nn.ConvTranspose2d) -> nn.Module:
    """Torch's layers, with the same weights."""
    theirs = type(ours).__bases__[0](
        ours.in_channels,
        ours.out_channels,
        ours.kernel_size,
        ours.stride,
        ours.padding,
        bias=ours.bias is not None,
    )
    theirs.to(torch.float64).load_state_dict(ours.state_dict())
    return nn.Sequential(nn.Upsample(scale_factor=2), theirs) if isinstance(ours, ResizeConv) else theirs


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize(
    ("ours", "shape"),
    [
        (ProjectToMap(5, 3, 7, bias=True), (4, 5, 1, 1)),
        (ProjectToMap(5, 3, 4, bias=False), (4, 5, 1, 1)),
        (MapToVector(3, 2, 4), (4, 3, 4, 4)),
        (ConvTransposeUp2x(3, 1, bias=True), (4, 3, 7, 5)),
        (ConvTransposeUp2x(3, 1, bias=False), (4, 3, 4, 4)),
        (ConvTransposeUp2x(3, 2, bias=True), (4, 3, 4, 4)),
        (ConvTransposeUp2x(3, 2, bias=False), (4, 3, 7, 5)),
        (ResizeConv(3, 1, bias=True), (4, 3, 7, 5)),
        (ResizeConv(3, 2, bias=False), (4, 3, 4, 4)),
        (ConvDown2x(1, 3, bias=True), (4, 1, 14, 10)),
        (ConvDown2x(3, 2, bias=True), (4, 3, 8, 6)),
        (ConvDown2x(3, 2, bias=False), (4, 3, 14, 10)),
    ],
)
def test_cheaper_forms_are_the_layers_they_stand_for(
    ours: nn.Conv2d | nn.ConvTranspose2d, shape: tuple[int, ...], layout: torch.memory_format
) -> None:
    """Values, gradients and the gradients of a gradient's norm, in float64."""
    torch.manual_seed(0)
    ours = ours.to(torch.float64).to(memory_format=layout)
    theirs = usual(ours)
    found = []
    for layer in (ours, theirs):
        layer.zero_grad()
        torch.manual_seed(1)
        x = torch.randn(shape, dtype=torch.float64).contiguous(memory_format=layout).requires_grad_()
        value = layer(x)
        (gradient,) = torch.autograd.grad(value.square().sum(), x, create_graph=True)
        (gradient.square().sum() + value.sum()).backward()
        found.append([value, gradient, x.grad, *[weight.grad for weight in layer.parameters()]])
    for mine, other in zip(*found, strict=True):
        assert mine is not None and torch.allclose(mine, other, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    "layer",
    [ConvTransposeUp2x(2, 1, bias=True), ConvTransposeUp2x(2, 3, bias=True), ConvDown2x(2, 3, bias=True)],
)
@pytest.mark.parametrize("side", [2, 10])
def test_halving_and_doubling_have_every_derivative(layer: nn.Module, side: int) -> None:
    """The first and the second ones against differences, with respect to the map, the kernel and the bias."""
    layer.to(torch.float64)
    torch.manual_seed(0)
    x = torch.randn(1, 2, side, side, dtype=torch.float64, requires_grad=True)
    names = [name for name, _ in layer.named_parameters()]

    def layer_of(x: Tensor, *weights: Tensor) -> Tensor:
        made: Tensor = functional_call(layer, dict(zip(names, weights, strict=True)), (x,))
        return made

    inputs = (x, *layer.parameters())
    first = torch.autograd.grad(layer_of(*inputs).square().sum(), inputs, create_graph=True)
    assert all(gradient.requires_grad for gradient in first), "gradgradcheck passes over one that does not"
    assert torch.autograd.gradcheck(layer_of, inputs, fast_mode=True)
    assert torch.autograd.gradgradcheck(layer_of, inputs, fast_mode=True)


@pytest.mark.parametrize("shape", [(4, 3, 8, 6), (2, 1, 14, 10), (1, 5, 2, 2)])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_weights_gradients_from_patches_are_those_from_maps(
    shape: tuple[int, ...], layout: torch.memory_format
) -> None:
    """In 16 bits the product of patches is what small maps get."""
    torch.manual_seed(0)
    count, _, height, width = shape
    x, y = torch.randn(shape, dtype=torch.float64), torch.randn(count, 7, height // 2, width // 2).double()
    x, y = x.contiguous(memory_format=layout), y.contiguous(memory_format=layout)
    exact = _from_maps(x, y)
    torch.testing.assert_close(_from_patches(x, y), exact, rtol=1e-12, atol=1e-12)
    rounded = _Correlated.apply(x.bfloat16(), y.bfloat16())
    torch.testing.assert_close(rounded.double(), exact, rtol=0.02, atol=0.02 * exact.abs().max().item())


def test_our_leaky_relu_has_the_derivatives_of_torchs() -> None:
    """In one network each: values, gradients, and the weights' gradients of a penalty."""
    torch.manual_seed(0)
    x = torch.randn(8, 3, dtype=torch.float64)
    weights = [torch.randn(3, 5, dtype=torch.float64), torch.randn(5, 1, dtype=torch.float64)]
    found = []
    for activation in (LeakyReLU(0.2), nn.LeakyReLU(0.2)):
        first, second = (weight.clone().requires_grad_() for weight in weights)
        points = x.clone().requires_grad_()
        value = activation(points @ first) @ second
        (gradient,) = torch.autograd.grad(value.sum(), points, create_graph=True)
        (gradient.square().sum(1).sqrt() - 1).square().mean().backward()
        found.append([value, gradient, first.grad, second.grad])
    for mine, other in zip(*found, strict=True):
        assert mine is not None and torch.allclose(mine, other, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("size", [(7, 8), (8, 7)])
def test_halving_refuses_odd_sides_at_once(size: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match=f"even sides, and this one is {size[0]} x {size[1]}"):
        ConvDown2x(1, 2, bias=True)(torch.zeros(1, 1, *size))


def a_pair(arch: str, classes: int) -> tuple[nn.Module, nn.Module]:
    """In evaluation, with weights that are no longer those of the start."""
    torch.manual_seed(0)
    shape = [1, 16, 16]
    if arch == "mlp":
        generator: nn.Module = mlp.Generator(shape, True, 8, classes, [9], "batch", 0.0)
        critic: nn.Module = mlp.Discriminator(shape, classes, [9], "layer", 0.3)
    elif arch == "maxout":
        generator = maxout.Generator(shape, True, 8, classes, [9], 0.5)
        critic = maxout.Discriminator(shape, classes, [9], 3, 0.5)
    else:
        generator, critic = conv_pair(shape, classes, upsample=arch)
    generator(torch.randn(6, 8), *labels(6, classes))
    critic(torch.randn(6, *shape), *labels(6, classes))
    return generator.eval(), critic.eval()


def labels(count: int, classes: int) -> list[Tensor]:
    return [torch.arange(count) % classes] if classes else []


@pytest.mark.parametrize("classes", [0, 3])
@pytest.mark.parametrize("arch", ["transposed", "nearest", "mlp", "maxout"])
def test_traced_networks_are_the_networks(arch: str, classes: int) -> None:
    """Saved and loaded, on batches of any size: what torch.jit.trace sees is torch's operations alone."""
    generator, critic = a_pair(arch, classes)
    for net, shape in ((generator, [8]), (critic, [1, 16, 16])):
        with warnings.catch_warnings():
            warnings.simplefilter("error", torch.jit.TracerWarning)  # type: ignore[attr-defined]
            warnings.simplefilter("ignore", FutureWarning)  # torch.export is to take its place
            traced = torch.jit.trace(net, (torch.randn(2, *shape), *labels(2, classes)))
            file = BytesIO()
            torch.jit.save(traced, file)
            file.seek(0)
            loaded = torch.jit.load(file)
        inputs = (torch.randn(5, *shape), *labels(5, classes))
        torch.testing.assert_close(loaded(*inputs), net(*inputs))


@pytest.mark.parametrize("classes", [0, 3])
@pytest.mark.parametrize("arch", ["transposed", "mlp", "maxout"])
def test_gradients_of_single_samples_are_those_of_autograd(arch: str, classes: int) -> None:
    """torch.func's, of the critic's weights by the logit, and by the norm of its gradient in the sample."""
    critic = a_pair(arch, classes)[1].double()
    weights = {name: weight.detach() for name, weight in critic.named_parameters()}
    rest = dict(critic.named_buffers())
    x, y = torch.randn(4, 1, 16, 16, dtype=torch.float64), labels(4, classes)

    def logit(weights: dict[str, Tensor], x: Tensor, *y: Tensor) -> Tensor:
        made: Tensor = functional_call(critic, (weights, rest), (x[None], *[one[None] for one in y]))
        return made.sum()

    def slope(weights: dict[str, Tensor], x: Tensor, *y: Tensor) -> Tensor:
        gradient: Tensor = grad(logit, argnums=1)(weights, x, *y)
        return gradient.square().sum()

    def plainly(x: Tensor, *y: Tensor) -> tuple[Tensor, Tensor]:
        x = x.clone().requires_grad_()
        value = critic(x[None], *[one[None] for one in y]).sum()
        (gradient,) = torch.autograd.grad(value, x, create_graph=True)
        return value, gradient.square().sum()

    each: Callable[..., dict[str, Tensor]]
    for index, value in enumerate((logit, slope)):
        each = vmap(grad(value), (None, 0, *[0] * len(y)))
        found = each(weights, x, *y)
        for row in range(len(x)):
            scalar = plainly(x[row], *[one[row] for one in y])[index]
            expected = torch.autograd.grad(scalar, list(critic.parameters()), materialize_grads=True)
            for name, gradient in zip(weights, expected, strict=True):
                torch.testing.assert_close(found[name][row], gradient, rtol=1e-9, atol=1e-12)
