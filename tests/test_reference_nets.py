"""Networks of papers: as many weights as the programs that they are held against."""

from itertools import pairwise
from typing import Any

import pytest
import torch
from conftest import composed
from hydra.errors import InstantiationException

from ganexp.nets.layers import count_weights
from ganexp.training.build import build


def nets_of(*overrides: str) -> dict[str, Any]:
    cfg = composed(*overrides)
    with torch.device("meta"):
        return {str(name): build(node) for name, node in cfg.arch.items()}


def test_infogan_has_the_weights_of_natsu6767s_program() -> None:
    """Counted from the layers of models/mnist_model.py of Natsu6767/InfoGAN-PyTorch.

    Its posterior has two more outputs, for variances, which are fixed here: 258 weights.
    """
    nets = nets_of("arch=infogan", "game=infogan", "data=mnist")
    assert count_weights(nets["generator"]) == 6_632_832
    assert count_weights(nets["discriminator"].layers) == 6_556_992
    assert count_weights(nets["discriminator"].head.logit) == 1_025
    assert count_weights(nets["discriminator"].head.outputs) == 133_134 - 258


def test_acgans_discriminator_has_the_weights_of_clvrais_program() -> None:
    """Counted from the layers of network.py of clvrai/ACGAN-PyTorch, for CIFAR-10."""
    widths = [3, 16, 32, 64, 128, 256, 512]
    convolutions = sum(9 * before * after for before, after in pairwise(widths))
    norms = sum(2 * width for width in widths[2:])
    heads = 11 * (4 * 4 * 512 + 1)
    nets = nets_of("arch=acgan", "game=acgan", "data=cifar10")
    assert count_weights(nets["discriminator"]) == convolutions + norms + heads
    start = 110 * 384 * 16 + 384
    doubled = 25 * (384 * 192 + 192 * 96 + 96 * 3)
    assert count_weights(nets["generator"]) == start + doubled + 2 * (192 + 96)


@pytest.mark.parametrize(("arch", "game", "side"), [("infogan", "infogan", 28), ("acgan", "acgan", 32)])
def test_they_make_and_judge_images(arch: str, game: str, side: int) -> None:
    cfg = composed(f"arch={arch}_small", f"game={game}", "data=mnist", f"data.resolution={side}")
    generator, discriminator = build(cfg.arch.generator), build(cfg.arch.discriminator)
    y = torch.tensor([1, 2])
    images = generator(torch.randn(2, generator.latent), y)
    assert images.shape == (2, 1, side, side) and images.abs().max() <= 1
    assert discriminator(images).shape == (2, 1 + discriminator.outputs)
    cfg = composed(f"arch={arch}_small", f"game={game}", "data=mnist", "data.resolution=30")
    with pytest.raises(
        InstantiationException, match=f"arch={arch} makes square images whose side is a multiple"
    ):
        build(cfg.arch.generator)
