"""Training: the algorithm box, top to bottom. What differs between GANs lies in games, losses and penalties."""

import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import torch
from omegaconf import DictConfig
from torch import Tensor

from ganexp.build import build, build_game
from ganexp.checkpoint import Progress, State
from ganexp.data.arrays import Arrays
from ganexp.data.batches import Batch, Deck, seed_for
from ganexp.data.source import Source
from ganexp.data.store import Store, store
from ganexp.ema import EMA
from ganexp.errors import Diverged
from ganexp.games.game import Game, Inputs
from ganexp.meter import Meter
from ganexp.optim import Rates
from ganexp.report import closing, epoch_line, facts, finished_already, introduction
from ganexp.run import Run
from ganexp.sampling import generate


class Lab(NamedTuple):
    """What a configuration names, put together."""

    source: Source
    data: Arrays
    samples: Store
    deck: Deck
    state: State
    rates: Rates
    steps: int
    preview: Inputs
    columns: int


def assemble(cfg: DictConfig) -> Lab:
    """Networks, data and optimisers of a checked configuration. Raises UserError where they do not fit."""
    device: torch.device = build(cfg.device)
    source: Source = build(cfg.data)
    torch.manual_seed(cfg.seed)
    game = build_game(cfg).to(device).to(memory_format=torch.channels_last)
    optim = build(cfg.optim)
    optimisers = {name: optim(player.net.parameters(), name) for name, player in game.players.items()}
    ema = EMA(game.generator, cfg.ema.halflife, cfg.ema.rampup)
    labels, columns = game.grid_labels(game.preview(source.overview))
    preview = game.inputs(labels, torch.Generator().manual_seed(seed_for(cfg.seed, "preview")))
    data = source.load()
    samples = store(data.samples, device)
    deck = Deck(data, cfg.batch_size, cfg.seed, samples, mirror=source.mirror)
    steps = math.ceil(cfg.epochs * len(deck) / cfg.batch_size)
    return Lab(
        source=source,
        data=data,
        samples=samples,
        deck=deck,
        state=State(game, ema, optimisers, Progress(), device),
        rates=Rates(optimisers, build(cfg.schedule)),
        steps=steps if cfg.max_steps is None else min(steps, cfg.max_steps),
        preview=preview,
        columns=columns,
    )


def train(cfg: DictConfig, folder: Path, choices: Mapping[str, str]) -> None:
    """Runs a checked configuration in a run folder, from its beginning or from its last checkpoint.

    ``choices``: the configuration groups' choices, for people to read. Raises UserError for what the user
    can mend, Diverged if a loss stops being finite.
    """
    lab = assemble(cfg)
    game, ema, optimisers, progress, device = lab.state
    deck, meter = lab.deck, Meter()
    with Run(folder, cfg, choices) as run:
        run.restore(lab.state)
        if progress.step >= lab.steps:
            run.say(finished_already(folder, cfg, progress, len(deck)))
            return
        run.begin(lab.state, facts(cfg, lab.data, device))
        run.say(introduction(run.choices, lab.data, lab.samples.place, lab.state))
        bar = run.bar(lab.steps * cfg.batch_size, progress.images)
        while progress.step < lab.steps:
            epoch = progress.images // len(deck) + 1
            bar.set_description(f"epoch {epoch}")
            first, began = progress.images, time.monotonic()
            for batch in deck.epoch(progress.images):
                lab.rates.set(progress.step / lab.steps)
                for name, every in game.turns.items():
                    if (progress.step + 1) % every == 0:  # WGAN: d each step, g every fifth
                        meter.add(name, move(game, name, optimisers[name], batch))
                progress.step += 1
                progress.images += len(batch.x)
                ema.update(game.generator, progress.images, len(batch.x))
                bar.update(len(batch.x))
                if progress.step == lab.steps:
                    break
            scalars = _finite(meter.means(), progress) | lab.rates.now()
            seconds = time.monotonic() - began
            progress.seconds += seconds
            scalars["speed/images_per_second"] = (progress.images - first) / seconds
            grid = lab.source.draw(generate(ema.module, lab.preview, cfg.batch_size, device), lab.columns)
            run.epoch(epoch, scalars, grid, lab.state)
            run.note(epoch_line(epoch, cfg.epochs, progress, scalars))
            meter.clear()
        bar.close()
        run.say(closing(folder, progress))


def move(game: Game, name: str, optimiser: torch.optim.Optimizer, batch: Batch) -> dict[str, Tensor]:
    """One player's turn: the others stand still, its terms add up, it takes one step.

    Returns scalars to look at, on the device: the terms, the gradient's norm and what the game saw.
    """
    for other, player in game.players.items():
        player.net.requires_grad_(other == name)
    player = game.players[name]
    terms, seen = player.turn(batch)
    optimiser.zero_grad(set_to_none=True)
    torch.stack(list(terms.values())).sum().backward()
    gradients = [parameter.grad for parameter in player.net.parameters() if parameter.grad is not None]
    norm = torch.nn.utils.get_total_norm(gradients)
    optimiser.step()
    game.constrain(name)
    return {key: term.detach() for key, term in terms.items()} | seen | {"gradient_norm": norm}


def _finite(scalars: dict[str, float], progress: Progress) -> dict[str, float]:
    """The scalars, if each of them is a number. Raises Diverged before anything bad is saved."""
    for name, value in scalars.items():
        if not math.isfinite(value):
            raise Diverged(
                f"{name} is {value} after {progress.images:,} images: the run diverged and this epoch is not "
                "saved. Try a lower optim.lr, or a loss with a penalty such as loss=wgan_gp"
            )
    return scalars
