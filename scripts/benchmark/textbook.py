"""GANs as tutorials train them. This is the baseline, so it must stay untuned.

The images are decoded in memory, as in torchvision's MNIST; a tutorial that reads files is slower.
"""

import os
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from benchmark.workloads import BATCH
from ganexp.nets.convolutions import ConvDown2x, ConvTransposeUp2x, MapToVector, ProjectToMap
from ganexp.nets.layers import DiscriminatorBase, GeneratorBase, LeakyReLU

Step = Callable[[Tensor], None]
"""One step on a batch of real images."""


class Pair(NamedTuple):
    """A generator and its critic."""

    g: GeneratorBase
    d: DiscriminatorBase

    def with_torch_layers(self) -> "Pair":
        """Replaces ganexp's layers by torch's, with the same weights."""
        for net in self:
            for module in list(net.modules()):
                for name, child in module.named_children():
                    if isinstance(child, LeakyReLU):
                        setattr(module, name, nn.LeakyReLU(child.slope))
                    elif isinstance(child, ProjectToMap | ConvTransposeUp2x):
                        child.__class__ = nn.ConvTranspose2d  # type: ignore[assignment]  # with its weights
                    elif isinstance(child, MapToVector | ConvDown2x):
                        child.__class__ = nn.Conv2d  # type: ignore[assignment]
        return self


class Decoded(torch.utils.data.Dataset[tuple[Tensor, int]]):
    """Yields single images, like torchvision's data sets."""

    def __init__(self, samples: np.ndarray, labels: np.ndarray) -> None:
        from torchvision import transforms  # here, so that other contenders do not load it

        self._samples = samples.transpose(0, 2, 3, 1)
        self._labels = labels
        middle = [0.5] * samples.shape[1]
        self._transform = transforms.Compose([transforms.ToTensor(), transforms.Normalize(middle, middle)])

    def __len__(self) -> int:
        return len(self._samples)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        pixels = self._samples[index]
        image = Image.fromarray(np.ascontiguousarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels))
        return self._transform(image), int(self._labels[index])


def batches(samples: np.ndarray, labels: np.ndarray, workers: int, device: torch.device) -> Iterator[Tensor]:
    """Shuffled batches without end."""
    loader = torch.utils.data.DataLoader(
        Decoded(samples, labels), BATCH, shuffle=True, num_workers=workers, drop_last=True
    )
    while True:
        for images, _ in loader:
            yield images.to(device)


def gan(pair: Pair, device: torch.device) -> Step:
    """A discriminator step on real and fake, then a generator step on the same fakes."""
    g, d = pair
    criterion = nn.BCEWithLogitsLoss()
    g_optimiser = torch.optim.Adam(g.parameters(), lr=2e-4, betas=(0.5, 0.999))
    d_optimiser = torch.optim.Adam(d.parameters(), lr=2e-4, betas=(0.5, 0.999))
    out = open(os.devnull, "w")  # noqa: PTH123, SIM115 - open as long as the loop

    def step(real: Tensor) -> None:
        valid, invalid = torch.ones(len(real), device=device), torch.zeros(len(real), device=device)
        fake = g(torch.randn(len(real), g.latent, device=device))
        d_optimiser.zero_grad()
        d_loss = criterion(d(real), valid) + criterion(d(fake.detach()), invalid)
        d_loss.backward()
        d_optimiser.step()
        g_optimiser.zero_grad()
        g_loss = criterion(d(fake), valid)
        g_loss.backward()
        g_optimiser.step()
        print(f"[D loss: {d_loss.item():f}] [G loss: {g_loss.item():f}]", file=out)

    return step


def wgan_gp(pair: Pair, device: torch.device) -> Step:
    """Five critic steps, with the penalty that is copied everywhere, per generator step."""
    g, d = pair
    g_optimiser = torch.optim.Adam(g.parameters(), lr=1e-4, betas=(0.0, 0.9))
    d_optimiser = torch.optim.Adam(d.parameters(), lr=1e-4, betas=(0.0, 0.9))
    out = open(os.devnull, "w")  # noqa: PTH123, SIM115 - open as long as the loop
    count = 0

    def penalty(real: Tensor, fake: Tensor) -> Tensor:
        alpha = torch.rand(len(real), 1, 1, 1, device=device)
        between = (alpha * real + (1 - alpha) * fake).requires_grad_(True)
        logits = d(between)
        (gradient,) = torch.autograd.grad(
            logits, between, torch.ones_like(logits), create_graph=True, retain_graph=True
        )
        norms: Tensor = gradient.view(len(gradient), -1).norm(2, dim=1)
        return ((norms - 1) ** 2).mean()

    def step(real: Tensor) -> None:
        nonlocal count
        d_optimiser.zero_grad()
        fake = g(torch.randn(len(real), g.latent, device=device)).detach()
        d_loss = -d(real).mean() + d(fake).mean() + 10 * penalty(real, fake)
        d_loss.backward()
        d_optimiser.step()
        print(f"[D loss: {d_loss.item():f}]", file=out)
        count += 1
        if count % 5 == 0:
            g_optimiser.zero_grad()
            g_loss = -d(g(torch.randn(len(real), g.latent, device=device))).mean()
            g_loss.backward()
            g_optimiser.step()
            print(f"[G loss: {g_loss.item():f}]", file=out)

    return step
