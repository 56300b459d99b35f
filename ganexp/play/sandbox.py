"""A GAN that learns points in the plane while a person watches and changes its settings.

It takes the steps of ``ganexp train`` (``player_step``) and writes nothing. Its random numbers are its own:
between two calls the global generators are as its callers left them.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from omegaconf import DictConfig
from PIL import Image

from ganexp.data.batches import Batch
from ganexp.data.plane import Plane
from ganexp.games.game import Game, StepProgress
from ganexp.games.request import Inputs
from ganexp.games.sampling import generate, sample_critic
from ganexp.metrics.modes import Modes, coverage_of_gaussians
from ganexp.nets.layers import count_weights
from ganexp.system.rng import fork_rng, random_state, seed_everything, seed_for, set_random_state
from ganexp.train import player_step
from ganexp.training.build import build_as, build_game
from ganexp.training.device import Hardware, limit_threads
from ganexp.training.meter import Meter
from ganexp.training.model import make_optimisers

SHOWN = 1000
"""Samples in a picture, of which modes are counted."""

Compose = Callable[[Sequence[str]], DictConfig]
"""From overrides of ``ganexp train`` to a validated configuration. Raises UserError."""


@dataclass(frozen=True)
class Settings:
    """What can be changed while it trains. ``loss``, ``penalty``: choices of these groups.

    ``packing``: samples that the critic sees at once; its networks start anew where that changes.
    """

    loss: str = "gan"
    penalty: str = "none"
    generator_rate: float = 1e-3
    critic_rate: float = 1e-3
    n_critic: int = 1
    packing: int = 1

    def overrides(self) -> list[str]:
        """Of ``ganexp train``, with networks that take a step in about a millisecond."""
        return [
            *["data=ring", "game=pacgan", f"game.packing={self.packing}", f"game.n_critic={self.n_critic}"],
            *[f"loss={self.loss}", f"penalties={self.penalty}", f"optim.lr={self.generator_rate}"],
            *[f"optim.ttur={self.critic_rate / self.generator_rate}", "batch_size=128", "metrics=[]"],
            *["arch=mlp", "arch.generator.latent=8", "arch.generator.widths=[64,64]"],
            *["arch.generator.norm=none", "arch.discriminator.widths=[64,64]"],
        ]


COLLAPSE = Settings(loss="gan", generator_rate=2e-3, critic_rate=2e-4)
"""The generator learns ten times as fast as the critic: all samples run to where the critic is highest."""

CURE = Settings(loss="gan", penalty="r1")
"""A critic that is as fast, and smooth around the data (R1): some samples are drawn to each mode."""


class _Nets(NamedTuple):
    """What the settings decide, and what training changes."""

    cfg: DictConfig
    hardware: Hardware
    game: Game
    optimisers: dict[str, torch.optim.Optimizer]


class Sandbox:
    """A GAN in the plane. Raises UserError, and keeps its settings, for settings that cannot be combined."""

    def __init__(
        self, source: Plane, device: DictConfig, compose: Compose, seed: int, settings: Settings
    ) -> None:
        self.source, self._device_node, self._compose, self._seed = source, device, compose, seed
        self._points = torch.from_numpy(source.load().samples)
        self.settings = settings
        self.reset(settings)

    def reset(self, settings: Settings | None = None) -> None:
        """Begins anew, by default with the present settings. The same settings give the same samples."""
        settings = self.settings if settings is None else settings
        cfg = self._composed(settings)
        hardware = build_as(Hardware, cfg.device, "device")
        with fork_rng(hardware.device):
            seed_everything(self._seed)
            self._nets = _built(cfg, hardware)
            self._random = random_state(hardware.device)
        self.settings, self.step, self.failed = settings, 0, False
        self.losses: list[tuple[int, float | None, float | None]] = []
        """Step, and the mean losses of critic and generator up to it since the last entry."""
        rng = torch.Generator().manual_seed(seed_for(self._seed, "preview"))
        prior = self.game.prior
        assert prior is not None
        self._latents = prior(SHOWN, generator=rng)
        self._points = self._points.to(hardware.device)

    @property
    def game(self) -> Game:
        """The game that is played now."""
        return self._nets.game

    def apply(self, settings: Settings) -> None:
        """Goes on with other settings; networks and moments of the optimisers stay where they fit."""
        if settings == self.settings:
            return
        old = self._nets
        with fork_rng(old.hardware.device):
            seed_everything(self._seed)  # of networks that do not fit
            new = _built(self._composed(settings), old.hardware)
        for name, player in new.game.players.items():
            _take_over(old, new, name) if name in old.game.players else player.net.train()
        self._nets, self.settings = new, settings

    def train(self, steps: int) -> None:
        """Takes steps. A loss that is not finite ends it: ``failed``."""
        if self.failed:
            return
        _, hardware, game, optimisers = self._nets
        meter = Meter()
        with self._own_random_numbers():
            for _ in range(steps):
                batch = self._batch()
                plan = game.begin_step(StepProgress(self.step, self.step * len(batch.x), 0.0))
                for name in plan.players:
                    meter.add(
                        name, player_step(game, name, optimisers, batch, hardware.precision, measured=False)
                    )
                self.step += 1
        means = meter.means()
        self.failed = not np.isfinite(list(means.values())).all()
        if not self.failed:
            self.losses.append((self.step, means.get("d/adversarial"), means.get("g/adversarial")))

    def samples(self) -> np.ndarray:
        """Points [SHOWN, 2] of latents that never change."""
        return generate(self.game.generator, Inputs((self._latents,)), SHOWN, self._nets.hardware.device)

    def picture(self) -> Image.Image:
        """Samples over the true density, the critic's logits in colours and their gradient in arrows."""
        critic = sample_critic(self.game, self._nets.hardware.device)
        return self.source.draw_judged(self.samples(), 1, critic)

    def modes(self) -> Modes:
        """How many modes are covered by the samples, and how well."""
        return coverage_of_gaussians(self.samples(), self.source.centres, self.source.sigma)

    def _batch(self) -> Batch:
        size = int(self._nets.cfg.batch_size)
        rows = torch.randint(len(self._points), (size,)).to(self._points.device)
        return Batch(self._points[rows], torch.zeros(size, dtype=torch.int64, device=rows.device))

    def _composed(self, settings: Settings) -> DictConfig:
        cfg = self._compose(settings.overrides())
        cfg.device = self._device_node
        return cfg

    @contextmanager
    def _own_random_numbers(self) -> Iterator[None]:
        device = self._nets.hardware.device
        with fork_rng(device):
            set_random_state(self._random, device)
            yield
            self._random = random_state(device)


def _built(cfg: DictConfig, hardware: Hardware) -> _Nets:
    game = build_game(cfg)
    limit_threads(hardware, count_weights(game))
    game.prepare_training()
    game.to(hardware.device)
    return _Nets(cfg, hardware, game, make_optimisers(cfg.optim, game))


def _take_over(old: _Nets, new: _Nets, player: str) -> None:
    """Gives a new network the weights of the old one, and its optimiser the moments, where they fit."""
    net, before = new.game.players[player].net, old.game.players[player].net
    shapes = [[part.shape for part in one.state_dict().values()] for one in (net, before)]
    if shapes[0] != shapes[1]:
        return
    net.load_state_dict(before.state_dict())
    optimiser, known = new.optimisers[player], old.optimisers[player]
    if type(optimiser) is type(known):
        optimiser.load_state_dict(optimiser.state_dict() | {"state": known.state_dict()["state"]})
