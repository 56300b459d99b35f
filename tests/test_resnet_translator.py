"""The residual translators: sizes of the references, features, shapes, and what is refused."""

import pytest
import torch
from torch import nn

from ganexp.errors import UserError
from ganexp.nets.layers import count_weights
from ganexp.nets.patch import PatchDiscriminator
from ganexp.nets.resnet_translator import ResnetTranslator


def translator(
    width: int = 4,
    blocks: int = 2,
    source: tuple[int, int, int] = (3, 16, 16),
    output: tuple[int, int, int] = (3, 16, 16),
    kernel: int = 7,
    affine: bool = False,
    resample: str = "transposed",
) -> ResnetTranslator:
    return ResnetTranslator(
        list(source),
        list(output),
        width,
        blocks,
        kernel,
        "instance",
        affine,
        "reflect",
        resample,  # type: ignore[arg-type]
    )


@pytest.mark.parametrize(
    ("width", "blocks", "kernel", "affine", "count"),
    [
        (64, 9, 7, False, 11_378_179),  # CycleGAN for 256 pixels
        (64, 6, 7, False, 7_837_699),  # and for 128
        (32, 6, 7, False, 1_965_059),
        (32, 3, 7, False, 1_079_555),
        (32, 5, 9, True, 1_679_235),  # the fast style transfer of Johnson et al.
    ],
)
def test_the_references_parameter_counts(
    width: int, blocks: int, kernel: int, affine: bool, count: int
) -> None:
    with torch.device("meta"):
        resample = "nearest" if affine else "transposed"
        assert (
            count_weights(translator(width, blocks, kernel=kernel, affine=affine, resample=resample)) == count
        )
        assert count_weights(PatchDiscriminator([3, 256, 256], 64, 3, "instance", affine=False)) == 2_764_737


@pytest.mark.parametrize("resample", ["transposed", "nearest", "blurred"])
def test_outputs_have_the_size_of_their_sources(resample: str) -> None:
    net = translator(source=(1, 16, 16), output=(3, 16, 16), resample=resample)
    for side in (16, 24):
        made = net(torch.randn(2, 1, side, side))
        assert made.shape == (2, 3, side, side) and made.abs().max() <= 1
    with torch.no_grad():
        for layer in net.modules():
            if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
                layer.weight.normal_(0, 0.3)
    x = torch.randn(1, 1, 16, 16, requires_grad=True)
    (gradient,) = torch.autograd.grad(net(x)[0, 0, 8, 8], x)
    assert (gradient != 0).all(), "instance norms see the whole image"


def test_features_are_those_that_the_forward_pass_computes() -> None:
    net = translator(blocks=6, resample="blurred").double()
    x = torch.randn(2, 3, 16, 16, dtype=torch.float64)
    seen: list[torch.Tensor] = []
    for layer in (*net.down_convolutions, net.blocks[0], net.blocks[4]):
        layer.register_forward_hook(lambda _, __, output: seen.append(output))
    net(x)
    expected, seen = [x, *seen], []
    found = net.encode(x)
    assert len(found) == len(expected) == 5 and len(seen) == 4, "nothing behind the fifth block is computed"
    assert all(torch.equal(one, other) for one, other in zip(found, expected, strict=True))
    assert tuple(features.shape[1] for features in found) == net.feature_channels == (3, 8, 16, 16, 16)
    assert translator(blocks=1).feature_channels == tuple(
        f.shape[1] for f in translator(blocks=1).encode(x.float())
    )


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(UserError, match=r"kernel=4: it has to be odd"):
        translator(kernel=4)
    with pytest.raises(UserError, match=r"data.resolution=14: .* multiples of 4"):
        translator(source=(3, 14, 14), output=(3, 14, 14))
    with pytest.raises(UserError, match="keeps the size of its source, which is 8 x 8, and"):
        translator(source=(3, 8, 8))
