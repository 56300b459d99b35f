"""Training loops of two programs that people copy, around the networks of their clones."""

import importlib.util
import random
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from ganexp.errors import UserError

ENLARGED = 4
"""The factor of super-resolution, which is fixed in PyTorch-GAN's generator."""


TRANSLATOR_BLOCKS = 6
"""Residual blocks of CycleGAN's generators, as for 128 pixels and less."""

_POOL = 50
"""Fakes that CycleGAN keeps of each direction."""


class Size(NamedTuple):
    """What the command line sets."""

    batch: int
    threads: int
    resolution: int
    width: int
    """Of the networks of pix2pix and CycleGAN."""
    blocks: int
    """Of SRGAN's generator."""


class Contender(NamedTuple):
    """One training step, and the networks that it trains."""

    step: Callable[[], object]
    generator: nn.Module
    discriminator: nn.Module

    def parameters(self) -> tuple[int, int]:
        """How many weights the generator and the discriminator have."""
        generator, discriminator = (
            sum(weight.numel() for weight in net.parameters()) for net in (self.generator, self.discriminator)
        )
        return generator, discriminator


def module_at(clone: Path, file: str) -> ModuleType:
    """The module ``file`` of a clone, under a name that no other module has. Raises UserError."""
    path = clone / file
    if not path.is_file():
        raise UserError(f"{clone} has no {file}: give the folder of a clone")
    spec = importlib.util.spec_from_file_location(f"peer_{Path(file).parent.name}", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _images(size: Size, side: int) -> Tensor:
    """Random images [N, 3, side, side] in [-1, 1]."""
    return torch.rand(size.batch, 3, side, side).mul_(2).sub_(1)


def _adam(net: nn.Module) -> torch.optim.Adam:
    return torch.optim.Adam(net.parameters(), lr=2e-4, betas=(0.5, 0.999))


def pix2pix(networks: Any, size: Size) -> Contender:
    """The step of pytorch-CycleGAN-and-pix2pix: discriminator, then generator, with one forward pass of G.

    ``networks``: its module of that name. The discriminator is frozen in the generator's turn.
    """
    norm, halvings = networks.get_norm_layer("instance"), size.resolution.bit_length() - 1
    g = networks.UnetGenerator(3, 3, halvings, size.width, norm_layer=norm, use_dropout=True)
    d = networks.NLayerDiscriminator(6, size.width, n_layers=2, norm_layer=norm)
    g_optimiser, d_optimiser = _adam(g), _adam(d)
    source, target = _images(size, size.resolution), _images(size, size.resolution)

    def loss(logits: Tensor, wanted: float) -> Tensor:
        return functional.binary_cross_entropy_with_logits(logits, torch.full_like(logits, wanted))

    def step() -> None:
        fake = g(source)
        d.requires_grad_(True)
        d_optimiser.zero_grad()
        fake_loss = loss(d(torch.cat([source, fake], 1).detach()), 0.0)
        real_loss = loss(d(torch.cat([source, target], 1)), 1.0)
        torch.autograd.backward((fake_loss + real_loss) / 2)
        d_optimiser.step()
        d.requires_grad_(False)
        g_optimiser.zero_grad()
        adversarial = loss(d(torch.cat([source, fake], 1)), 1.0)
        torch.autograd.backward(adversarial + 100 * functional.l1_loss(fake, target))
        g_optimiser.step()

    return Contender(step, g, d)


class _Pool:
    """Fakes of earlier steps: half of what is asked for is one of them, in whose place a new one is kept."""

    def __init__(self) -> None:
        self._kept: list[Tensor] = []

    def __call__(self, images: Tensor) -> Tensor:
        found = []
        for image in images:
            if len(self._kept) < _POOL:
                self._kept.append(image)
            elif random.random() > 0.5:
                place = random.randrange(_POOL)
                image, self._kept[place] = self._kept[place].clone(), image
            found.append(image)
        return torch.stack(found)


def cyclegan(networks: Any, size: Size) -> Contender:
    """The step of pytorch-CycleGAN-and-pix2pix for CycleGAN: both generators, then both discriminators."""
    norm = networks.get_norm_layer("instance")
    g_a, g_b = (
        networks.ResnetGenerator(3, 3, size.width, norm_layer=norm, n_blocks=TRANSLATOR_BLOCKS) for _ in "AB"
    )
    d_a, d_b = (networks.NLayerDiscriminator(3, size.width, n_layers=2, norm_layer=norm) for _ in "AB")
    generators, critics = nn.ModuleList([g_a, g_b]), nn.ModuleList([d_a, d_b])
    g_optimiser, d_optimiser, l1 = _adam(generators), _adam(critics), functional.l1_loss
    a, b = _images(size, size.resolution), _images(size, size.resolution)
    pools = _Pool(), _Pool()

    def loss(scores: Tensor, wanted: float) -> Tensor:
        return functional.mse_loss(scores, torch.full_like(scores, wanted))

    def step() -> None:
        fake_b, fake_a = g_a(a), g_b(b)
        back_a, back_b = g_b(fake_b), g_a(fake_a)
        critics.requires_grad_(False)
        g_optimiser.zero_grad()
        identity = l1(g_a(b), b) + l1(g_b(a), a)
        adversarial = loss(d_a(fake_b), 1.0) + loss(d_b(fake_a), 1.0)
        torch.autograd.backward(adversarial + 10 * (l1(back_a, a) + l1(back_b, b)) + 5 * identity)
        g_optimiser.step()
        critics.requires_grad_(True)
        d_optimiser.zero_grad()
        for critic, real, fake in ((d_a, b, pools[0](fake_b.detach())), (d_b, a, pools[1](fake_a.detach()))):
            torch.autograd.backward((loss(critic(real), 1.0) + loss(critic(fake), 0.0)) / 2)
        d_optimiser.step()

    return Contender(step, g_a, d_a)


def srgan(models: Any, size: Size) -> Contender:
    """The step of PyTorch-GAN's srgan, without its VGG term; ``models``: its module of that name."""
    g = models.GeneratorResNet(n_residual_blocks=size.blocks)
    d = models.Discriminator((3, size.resolution, size.resolution))
    source, target = _images(size, size.resolution // ENLARGED), _images(size, size.resolution)
    return _generator_first(g, d, source, target, pixel_weight=1.0)


def context_encoder(models: Any, size: Size) -> Contender:
    """The step of PyTorch-GAN's context_encoder; ``models``: its module of that name."""
    source, hole = _images(size, size.resolution), _images(size, size.resolution // 2)
    return _generator_first(models.Generator(), models.Discriminator(), source, hole, pixel_weight=0.999)


def _generator_first(
    g: nn.Module, d: nn.Module, source: Tensor, target: Tensor, *, pixel_weight: float
) -> Contender:
    """The loop of PyTorch-GAN's programs: least squares, an L1 of pixels, both losses read in each step.

    The generator's turn comes first and computes gradients of the discriminator too, which are not used.
    """
    g_optimiser, d_optimiser = _adam(g), _adam(d)

    def loss(scores: Tensor, wanted: float) -> Tensor:
        return functional.mse_loss(scores, torch.full_like(scores, wanted))

    def step() -> tuple[float, float]:
        g_optimiser.zero_grad()
        fake = g(source)
        g_loss = 1e-3 * loss(d(fake), 1.0) + pixel_weight * functional.l1_loss(fake, target)
        torch.autograd.backward(g_loss)
        g_optimiser.step()
        d_optimiser.zero_grad()
        d_loss = (loss(d(target), 1.0) + loss(d(fake.detach()), 0.0)) / 2
        torch.autograd.backward(d_loss)
        d_optimiser.step()
        return d_loss.item(), g_loss.item()

    return Contender(step, g, d)
