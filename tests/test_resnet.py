"""arch=resnet: counts worked out by hand, blocks, pooling, spectral norms, labels."""

from typing import Any, cast

import pytest
import torch
from conftest import composed
from torch import nn
from torch.nn import functional

from ganexp.errors import UserError
from ganexp.nets.heads import HeadWithOutputs, ProjectionHead
from ganexp.nets.layers import count_weights
from ganexp.nets.residual_blocks import DiscriminatorBlock, GeneratorBlock
from ganexp.nets.resnet import Discriminator, Generator
from ganexp.training.build import build


def discriminator(pooling: str = "sum", spectral: bool = False, **changed: int) -> Discriminator:
    torch.manual_seed(0)
    sizes: dict[str, Any] = {"classes": 0, "outputs": 0, "width": 4, "max_width": 8, "halvings": 2, "plain": 1}
    sizes |= changed
    condition = "projection" if sizes["classes"] else "none"
    settings: dict[str, Any] = {"condition": condition, "hidden": "output", "pooling": pooling}
    return Discriminator([3, 16, 16], spectral=spectral, **settings, **sizes)


def test_the_weights_of_sngan_for_32_pixels() -> None:
    """By hand, with c channels: the sums of the kernels, biases and norms of each layer."""
    with torch.device("meta"):
        nets = {name: build(node) for name, node in composed("arch=resnet_32", "data=cifar10").arch.items()}
    c = 256
    blocks = 3 * (2 * (9 * c**2 + c) + c**2 + c + 4 * c)
    assert count_weights(nets["generator"]) == 128 * 16 * c + 16 * c + blocks + 2 * c + 27 * c + 3
    c = 128
    first, halved = (27 * c + c) + (9 * c**2 + c) + (3 * c + c), 2 * (9 * c**2 + c) + (c**2 + c)
    assert count_weights(nets["discriminator"]) == first + halved + 4 * (9 * c**2 + c) + c + 1


@pytest.mark.parametrize(
    ("side", "channels"), [(64, [1024, 512, 256, 128, 64]), (128, [1024, 1024, 512, 256, 128, 64])]
)
def test_larger_images_have_the_papers_widths(side: int, channels: list[int]) -> None:
    with torch.device("meta"):
        nets = {
            name: build(node)
            for name, node in composed("arch=resnet", "data=celeba", f"data.resolution={side}").arch.items()
        }
        made = nets["generator"](torch.empty(2, 128))
        assert made.shape == (2, 3, side, side) and nets["discriminator"](made).shape == (2,)
    widths = [block.shortcut[0].in_channels for block in nets["generator"].blocks]
    assert [*widths, nets["generator"].to_image.in_channels] == channels


def test_the_weights_of_sngan_for_128_pixels() -> None:
    """As many as mimicry's have."""
    plain = "arch.discriminator.spectral=false"  # spectral norms add no weights, and take long on this device
    cfg = composed("arch=resnet_128", "data=celeba", "data.resolution=128", plain)
    with torch.device("meta"):
        nets = {name: build(node) for name, node in cfg.arch.items()}
    assert count_weights(nets["generator"]) == 32_150_787
    assert count_weights(nets["discriminator"]) == 29_017_857


def test_a_block_without_its_second_convolution_is_its_shortcut() -> None:
    block = DiscriminatorBlock(4, 4, 4, halved=False)
    for parameter in block.branch[3].parameters():
        parameter.data.zero_()
    x = torch.randn(2, 4, 8, 8)
    assert torch.equal(block(x.clone()), x), "the identity: the first ReLU must not be in place"


@pytest.mark.parametrize("upsample", ["nearest", "bilinear"])
def test_a_generators_block_by_its_definition(upsample: str) -> None:
    """Doubling comes before the convolutions of the branch and of the shortcut, as in the papers."""
    torch.manual_seed(0)
    block = GeneratorBlock(3, 5, "none", upsample, 0)  # type: ignore[arg-type]
    x = torch.randn(2, 3, 4, 4)
    up = nn.Upsample(scale_factor=2, mode=upsample)
    first, second, shortcut = (layer for layer in block.modules() if isinstance(layer, nn.Conv2d))
    inner = functional.conv2d(up(x.relu()), first.weight, first.bias, padding=1)
    around = functional.conv2d(up(x), shortcut.weight, shortcut.bias)
    assert torch.allclose(block(x), second(inner.relu()) + around, atol=1e-5)


def test_the_sum_is_the_mean_times_the_number_of_positions() -> None:
    images = torch.randn(3, 3, 16, 16)
    logits = {pooling: discriminator(pooling)(images) for pooling in ("sum", "mean")}
    bias = discriminator().head.bias  # the weights are equal, as the seed is
    assert torch.allclose(logits["sum"] - bias, (logits["mean"] - bias) * 16, atol=1e-4)


def test_every_weight_is_normalised_spectrally() -> None:
    net = discriminator(spectral=True)
    for _ in range(60):
        net(torch.randn(2, 3, 16, 16))
    layers = [layer for layer in net.modules() if isinstance(layer, nn.Conv2d | nn.Linear)]
    assert len(layers) == 9
    for layer in layers:
        assert torch.linalg.svdvals(layer.weight.detach().flatten(1))[0] == pytest.approx(1, abs=0.03)


def test_labels_and_outputs() -> None:
    images, labels = torch.randn(4, 3, 16, 16), torch.arange(4)
    net = discriminator(classes=4, outputs=6)
    assert net(images, labels).shape == (4, 7)
    projection = cast(ProjectionHead, cast(HeadWithOutputs, net.head).logit)
    projection.embedding.weight.data.normal_()
    assert not torch.allclose(net(images, labels)[:, 0], net(images, labels.flip(0))[:, 0])
    generator = Generator([3, 16, 16], 8, 4, "norm", 4, 8, "batch", "nearest")
    z = torch.randn(1, 8).expand(4, -1)
    assert torch.equal(*generator(z, labels)[:2]), "gains start at 1 and biases at 0, whatever the label"
    for layer in generator.modules():
        if hasattr(layer, "gain") and isinstance(layer.gain, nn.Linear):
            layer.gain.weight.data.normal_()
    assert not torch.allclose(*generator(z, labels)[:2])


@pytest.mark.parametrize(("side", "told"), [(28, "multiple of 32"), (96, "makes powers of two from 8 on")])
def test_sizes_that_do_not_fit(side: int, told: str) -> None:
    with pytest.raises(UserError, match=told):
        if side == 28:
            Discriminator([3, 28, 28], 0, "none", 0, 4, 8, 5, 0, "input", "sum", False)
        Generator([3, side, side], 8, 0, "joined", 4, 8, "batch", "nearest")
