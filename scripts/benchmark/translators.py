"""Image-to-image games of ganexp, each beside the program that it is measured with."""

from collections.abc import Callable
from typing import Any, NamedTuple

from common import composed

from benchmark import copied_programs
from benchmark.copied_programs import ENLARGED, TRANSLATOR_BLOCKS, Contender, Size
from ganexp.train import train_step
from ganexp.training.setup import build_experiment

_AROUND_BOTTLENECK = 4000 * 512 * 17
"""Weights of the convolutions before and after the bottleneck in PyTorch-GAN's context encoder."""


class Workload(NamedTuple):
    """A game of ganexp, and the program that it is measured beside."""

    program: str
    """The name of the clone's option, with underscores."""
    file: str
    """The module of the networks in the clone."""
    overrides: Callable[[Size], list[str]]
    peer: Callable[[Any, Size], Contender]
    differences: str


def ganexp(workload: Workload, size: Size) -> Contender:
    """``train_step`` on batches of the loader."""
    settings = ["recipe=none", "evaluate.every=null", "epochs=1000000", f"batch_size={size.batch}"]
    device = ["device=cpu", "device.precision=fp32", f"device.threads={size.threads}"]
    experiment = build_experiment(composed([*workload.overrides(size), *settings, *device]))
    batches = (batch for _ in iter(int, 1) for batch in experiment.data.loader.epoch())
    nets = experiment.state.game.parts.nets
    return Contender(
        lambda: train_step(experiment, next(batches), 1.0), nets["generator"], nets["discriminator"]
    )


def _images(size: Size, kind: str) -> list[str]:
    """Random images of a class of ``synthetic.py``."""
    side = size.resolution
    return [
        "data=digits",
        f"data._target_=benchmark.synthetic.{kind}",
        "~data.split",
        f"+data.count={8 * size.batch}",
        f"data.resolution={side}",
        f"data.shape=[3,{side},{side}]",
        "data.classes=1",
    ]


def _pairs(size: Size, source_side: int) -> list[str]:
    shape = f"+data.source_shape=[3,{source_side},{source_side}]"
    return ["degrade=pairs", shape, *_images(size, "PairedNoise")]


def _pix2pix_overrides(size: Size) -> list[str]:
    widths = [f"arch.{net}.width={size.width}" for net in ("generator", "discriminator")]
    limit = [f"arch.generator.max_width={8 * size.width}", "arch.discriminator.layers=2"]
    game = ["game=pix2pix", "game.reuse_fake=true", "arch=unet", "loss=gan"]
    return [*game, *widths, *limit, *_pairs(size, size.resolution)]


def _cyclegan_overrides(size: Size) -> list[str]:
    widths = [f"arch.{net}.width={size.width}" for net in ("generator", "discriminator")]
    depths = [f"arch.generator.blocks={TRANSLATOR_BLOCKS}", "arch.discriminator.layers=2"]
    return ["game=cyclegan", "arch=cyclegan", "loss=lsgan", *widths, *depths, *_pairs(size, size.resolution)]


def _srgan_overrides(size: Size) -> list[str]:
    hidden = "arch.discriminator.hidden=1"  # PyTorch-GAN's critic has no wide dense layer
    game = ["game=srgan", "game.reuse_fake=true", "arch=srresnet", "loss=lsgan"]
    blocks = f"arch.generator.blocks={size.blocks}"
    return [*game, blocks, hidden, *_pairs(size, size.resolution // ENLARGED)]


def _inpaint_overrides(size: Size) -> list[str]:
    game = ["game=inpaint", "game.reuse_fake=true", "arch=context_encoder", "loss=lsgan"]
    critic = [  # of patches, as PyTorch-GAN's
        "arch.discriminator._target_=ganexp.nets.patch.PatchDiscriminator",
        "arch.discriminator.norm=instance",
        "+arch.discriminator.layers=3",
        *(f"~arch.discriminator.{key}" for key in ("classes", "condition", "outputs", "max_width", "dropout")),
    ]
    widest = 4 * size.resolution  # channels of the 4 x 4 maps before and after the bottleneck, up to 128 pixels
    bottleneck = f"arch.generator.bottleneck={_AROUND_BOTTLENECK // (2 * 16 * widest)}"
    return [*game, "degrade=holes", "degrade.size=0.5", bottleneck, *critic, *_images(size, "Noise")]


WORKLOADS = {
    "pix2pix": Workload(
        "pix2pix",
        "models/networks.py",
        _pix2pix_overrides,
        copied_programs.pix2pix,
        "the same networks, but ganexp's instance norms have a scale and a shift",
    ),
    "cyclegan": Workload(
        "pix2pix",
        "models/networks.py",
        _cyclegan_overrides,
        copied_programs.cyclegan,
        "the same networks",
    ),
    "srgan": Workload(
        "pytorch_gan",
        "implementations/srgan/models.py",
        _srgan_overrides,
        copied_programs.srgan,
        "PyTorch-GAN's generator has a batch norm after each enlarging convolution; its discriminator ends in "
        "a 3 x 3 convolution to one channel, ganexp's in a dense unit",
    ),
    "inpaint": Workload(
        "pytorch_gan",
        "implementations/context_encoder/models.py",
        _inpaint_overrides,
        copied_programs.context_encoder,
        "PyTorch-GAN generates and judges the hole alone, half as high and wide as the image, its bottleneck "
        "is a map, and its discriminator has 3 x 3 kernels; ganexp generates and judges the whole image and "
        "its mask, its bottleneck is one point, and its discriminator has 4 x 4 kernels",
    ),
}
