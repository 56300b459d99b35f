"""From a checked configuration to everything that a step needs."""

import math
from typing import NamedTuple

import numpy as np
import torch
from omegaconf import DictConfig

from ganexp import dist, talk
from ganexp.build import build, build_game
from ganexp.cuda import CudaRecorder
from ganexp.data.arrays import Arrays
from ganexp.data.batches import Deck, seed_for
from ganexp.data.download import FETCHING
from ganexp.data.source import Source
from ganexp.data.store import Store, store
from ganexp.device import Hardware
from ganexp.ema import EMA, Unaveraged
from ganexp.evaluation import Judge
from ganexp.games.game import Game, Inputs
from ganexp.graphs import Captured, Perform, directly
from ganexp.memory import within_memory
from ganexp.meter import Meter
from ganexp.nets.synchronised import synchronise
from ganexp.notes import Notes
from ganexp.optim import Rates
from ganexp.sentinel import Sentinel, some_of_each, spread
from ganexp.state import Progress, State, seed_everything


class Lab(NamedTuple):
    """What a configuration names, put together."""

    source: Source
    data: Arrays
    samples: Store
    deck: Deck
    state: State
    rates: Rates
    steps: int
    """How many of them the run has."""
    preview: Inputs
    columns: int
    judge: Judge
    hardware: Hardware
    perform: Perform
    """How a step's moves are run: as they are, or as a CUDA graph."""
    notes: Notes
    """What there is to tell about the hardware."""


def assemble(cfg: DictConfig) -> Lab:
    """Networks, data and optimisers of a checked configuration. Raises UserError where they do not fit."""
    hardware: Hardware = build(cfg.device)
    device = hardware.device
    source: Source = build(cfg.data)
    seed_everything(cfg.seed)
    game = _game(cfg, hardware)
    optim = build(cfg.optim)
    optimisers = {name: optim(player.net.parameters(), name) for name, player in game.players.items()}
    average = EMA if dist.rank() == 0 else Unaveraged
    ema = average(game.generator, cfg.ema.halflife, cfg.ema.rampup)
    rates, notes = Rates(optimisers, build(cfg.schedule)), Notes()
    _compile(game, hardware, notes)
    labels, columns = game.grid_labels(game.preview(source.overview))
    preview = game.inputs(labels, torch.Generator().manual_seed(seed_for(cfg.seed, "preview")))
    data = talk.first(lambda: load(source, own=cfg.resume is None or cfg.trust))
    samples = store(data.samples, device)
    rank, world = dist.rank(), dist.world()
    deck = Deck(data, cfg.batch_size, cfg.seed, samples, mirror=source.mirror, rank=rank, world=world)
    steps = math.ceil(cfg.epochs * len(deck) / cfg.batch_size)
    sentinel = _sentinel(cfg, data, np.array(labels), conditional=len(preview) > 1)
    return Lab(
        source=source,
        data=data,
        samples=samples,
        deck=deck,
        state=State(game, ema, optimisers, hardware.precision, Progress(), Meter(), sentinel, device),
        rates=rates,
        steps=steps if cfg.max_steps is None else min(steps, cfg.max_steps),
        preview=preview,
        columns=columns,
        judge=Judge(source, data, game, cfg, device),
        hardware=hardware,
        perform=_performer(hardware, game, optimisers, notes),
        notes=notes,
    )


def _game(cfg: DictConfig, hardware: Hardware) -> Game:
    """On the device, in the order of channels that convolutions are fastest with."""
    game = within_memory(lambda: build_game(cfg), cfg, hardware.device, training=True)
    if hardware.sync_batch_norm and dist.world() > 1:
        synchronise(game)
    return game.to(hardware.device).to(memory_format=torch.channels_last)


def load(source: Source, *, own: bool) -> Arrays:
    """The data; fetched if need be, but only where an ``own`` configuration says where to. Raises UserError."""
    token = FETCHING.set(own)
    try:
        return source.load()
    finally:
        FETCHING.reset(token)


def _compile(game: Game, hardware: Hardware, notes: Notes) -> None:
    """Has torch.compile translate the networks that are played with, but not the averaged copy.

    Where a penalty differentiates a network's gradient, it would fail: it cannot do a double backward.
    """
    if not hardware.compile:
        return
    able = {name: player.net for name, player in game.players.items() if not game.differentiated_twice(name)}
    for net in able.values():
        net.compile(dynamic=False)  # the default mode: it makes no CUDA graphs, which would not fit into ours
    left = [name for name in game.players if name not in able]
    why = f"; not {', '.join(left)}, whose penalty needs a second derivative" if left else ""
    notes(f"torch.compile translates {', '.join(able)}{why}: the first steps take long")


def _performer(
    hardware: Hardware, game: Game, optimisers: dict[str, torch.optim.Optimizer], notes: Notes
) -> Perform:
    if not hardware.graphs:
        return directly
    if hardware.precision.waits:
        notes(f"no CUDA graphs: device.precision={hardware.precision.name} waits for the device in each step")
        return directly
    return Captured(CudaRecorder(hardware.device), game, optimisers, notes)


def _sentinel(cfg: DictConfig, data: Arrays, labels: np.ndarray, *, conditional: bool) -> Sentinel:
    """It compares within a label where the generator is given one: classes differ by themselves."""
    known = data.labels if conditional else np.zeros_like(data.labels)
    rows = some_of_each(known, np.unique(labels).tolist(), seed_for(cfg.seed, "real samples to compare with"))
    real = data.samples[rows]
    scaled = real / np.float32(127.5) if real.dtype == np.uint8 else real
    return Sentinel(build(cfg.sentinel), spread(scaled, known[rows]), labels)
