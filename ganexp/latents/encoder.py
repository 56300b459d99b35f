r"""An encoder for a trained generator, learned from the generator's own samples: where an inversion starts.

.. math:: \min_E\; E_{p}\, |E(G(p)) - u(p)|^2

p are points of the latent space, u(p) the same in units of their deviation (``point_prior.py``). No real image
is needed (Zhu et al. 2016 train it on real images instead). It is trained once for each content of a
checkpoint and kept in the run folder:

    encoders/<space>_<digest of the generator's weights and of the settings>.pt
"""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional
from tqdm import tqdm

from ganexp.config.ranges import Count, Positive
from ganexp.errors import print_to_stderr
from ganexp.games.posterior import Autoencoder
from ganexp.latents.latent_space import LatentSpace
from ganexp.latents.point_prior import PointPrior
from ganexp.system.float32 import at_least_float32, full_float32
from ganexp.system.rng import fork_rng, seed_for
from ganexp.system.tensor_file import Damaged, digest, read, write

_RECIPE = 1
"""Increased with every change below that would train another network."""

_MAX_SIDE, _LAST_SIDE = 64, 4
"""Larger images are averaged down to the first; the last map has the second."""

_TESTED = 256
"""Samples, not used to train it, that the encoder is tested on."""


@dataclass(frozen=True, kw_only=True)
class EncoderTraining:
    """The settings of an encoder: Adam's steps with a one-cycle rate, its batch size, the network's width."""

    steps: Count
    batch_size: Count
    rate: Positive
    width: Count


class LatentEncoder(nn.Module):
    """Images [N, C, H, W] in [-1, 1] to units [N, size]: convolutions of kernel 4 and stride 2, then linear."""

    def __init__(self, channels: int, side: int, size: int, width: int) -> None:
        super().__init__()
        self.side = min(side, _MAX_SIDE)
        layers: list[nn.Module] = []
        before, after, left = channels, width, self.side
        while left >= 2 * _LAST_SIDE:
            layers += [nn.Conv2d(before, after, 4, 2, 1, bias=False), nn.BatchNorm2d(after), nn.LeakyReLU(0.2)]
            before, after, left = after, min(2 * after, 8 * width), left // 2
        layers += [nn.Conv2d(before, after, 3, 1, 1, bias=False), nn.BatchNorm2d(after), nn.LeakyReLU(0.2)]
        self.layers = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(_LAST_SIDE), nn.Flatten())
        self.out = nn.Linear(after * _LAST_SIDE**2, size)

    def forward(self, images: Tensor) -> Tensor:
        if images.shape[-1] > self.side:
            images = functional.adaptive_avg_pool2d(images, self.side)
        units: Tensor = self.out(self.layers(images.float()))
        return units


class _OwnEncoder(nn.Module):
    """The encoder that an autoencoder was trained with: images to the means of their codes, in units."""

    def __init__(self, autoencoder: Autoencoder, prior: PointPrior) -> None:
        super().__init__()
        self.autoencoder, self._prior = autoencoder, prior

    def forward(self, images: Tensor) -> Tensor:
        return self._prior.units(at_least_float32(self.autoencoder.codes(images)))


class TrainedEncoder(NamedTuple):
    """``explained``: the share of the points' variance that it predicts of new samples, at most 1."""

    net: nn.Module
    explained: float


def trained_encoder(space: LatentSpace, settings: EncoderTraining, folder: Path) -> TrainedEncoder:
    """The encoder of a space's generator, on its device: from ``folder``, or trained first and kept there.

    An autoencoder has one of its own. A folder that cannot be written only costs the training of the next call.
    """
    if isinstance(space.generator, Autoencoder):
        own = _OwnEncoder(space.generator, PointPrior(space, None))
        return TrainedEncoder(own, _explained(own, space, torch.Generator().manual_seed(0)))
    key = digest(
        {"recipe": _RECIPE, "space": space.name, "settings": asdict(settings)}
        | {"weights": dict(space.generator.state_dict())}
    )
    file = folder / f"{space.name}_{key[:16]}.pt"
    (image,), _ = _drawn(space, PointPrior(space, None), 1, torch.Generator().manual_seed(0))
    with fork_rng(space.device):
        torch.manual_seed(0)
        net = LatentEncoder(image.shape[0], image.shape[-1], space.size, settings.width)
    explained = _load(net, file, key)
    if explained is None:
        explained = _train(net, space, settings)
        content = {"key": key, "explained": explained, "weights": _on_cpu(net)}
        try:
            write(content, file)
        except OSError as error:
            print_to_stderr(f"{file} cannot be written ({error.strerror or error}): the encoder is not kept")
    return TrainedEncoder(net.to(space.device).eval().requires_grad_(False), explained)


def _load(net: LatentEncoder, file: Path, key: str) -> float | None:
    """Loads the weights of a file, and returns what is ``explained``; None where they have to be trained."""
    try:
        content = read(file)
        if content["key"] != key:
            return None
        net.load_state_dict(content["weights"])
        return float(content["explained"])
    except (Damaged, KeyError, RuntimeError, TypeError, ValueError, AttributeError):
        return None


def _on_cpu(net: nn.Module) -> dict[str, Any]:
    return {name: value.cpu() for name, value in net.state_dict().items()}


@full_float32()
def _train(net: LatentEncoder, space: LatentSpace, settings: EncoderTraining) -> float:
    """Trains it from the same random numbers always; returns what it explains. The RNG state is kept."""
    rng = torch.Generator().manual_seed(seed_for(0, "encoder"))
    prior = PointPrior(space, None)
    with fork_rng(space.device), torch.enable_grad():
        torch.manual_seed(0)
        net.to(space.device).train()
        optimiser = torch.optim.Adam(net.parameters(), lr=settings.rate)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, settings.rate, total_steps=settings.steps)
        for _ in tqdm(
            range(settings.steps),
            desc="training an encoder of this checkpoint, once",
            unit=" steps",
            delay=1,
            disable=None,
            leave=False,
        ):
            images, units = _drawn(space, prior, settings.batch_size, rng)
            optimiser.zero_grad()
            functional.mse_loss(net(images), units).backward()
            optimiser.step()
            schedule.step()
    return _explained(net.eval(), space, rng)


@torch.no_grad()
def _explained(net: nn.Module, space: LatentSpace, rng: torch.Generator) -> float:
    images, units = _drawn(space, PointPrior(space, None), _TESTED, rng)
    errors = functional.mse_loss(net(images), units)
    return float(1 - errors / units.var(0, unbiased=False).mean().clamp_min(1e-12))


@torch.no_grad()
def _drawn(space: LatentSpace, prior: PointPrior, count: int, rng: torch.Generator) -> tuple[Tensor, Tensor]:
    labels = space.random_labels(count, rng)
    points = space.draw(count, rng, labels)
    return space.images(points, labels if space.takes_labels else None), prior.units(points.to(space.device))
