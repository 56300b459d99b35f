"""From a checked configuration to everything that a step needs."""

import math
import random
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from omegaconf import DictConfig, OmegaConf

from ganexp import dist, talk
from ganexp.build import build, build_game
from ganexp.config.optimisers import split_by_player
from ganexp.cuda import CudaRecorder
from ganexp.data.arrays import Arrays
from ganexp.data.batches import BatchLoader, Domain, seed_for
from ganexp.data.download import FETCHING
from ganexp.data.source import Source
from ganexp.data.store import Store, store
from ganexp.device import Hardware, random_numbers_left_alone
from ganexp.ema import EMA, Unaveraged
from ganexp.errors import UserError, suggest
from ganexp.evaluation import Judge
from ganexp.games.game import Game, Inputs, Request
from ganexp.graphs import Captured, StepRunner, eager
from ganexp.memory import within_memory
from ganexp.meter import Meter
from ganexp.nets.synchronised import synchronise
from ganexp.notes import Notes
from ganexp.reference import real_rows, reference
from ganexp.schedules import Schedules
from ganexp.sentinel import Sentinel, some_of_each, spread
from ganexp.state import Progress, State, seed_everything


class Lab(NamedTuple):
    """What a configuration names, put together."""

    source: Source
    data: Arrays
    samples: Store
    loader: BatchLoader
    state: State
    schedules: Schedules
    steps: int
    """How many of them the run has."""
    preview: Inputs
    columns: int
    judge: Judge
    hardware: Hardware
    run_step: StepRunner
    """How a step's turns are run: as they are, or as a CUDA graph."""
    notes: Notes
    """What there is to tell about the hardware."""


def assemble(cfg: DictConfig) -> Lab:
    """Networks, data and optimisers of a checked configuration. Raises UserError where they do not fit."""
    hardware: Hardware = build(cfg.device)
    device = hardware.device
    source: Source = build(cfg.data)
    seed_everything(cfg.seed)
    game = _game(cfg, hardware)
    optimisers = make_optimisers(cfg.optim, game)
    average = EMA if dist.rank() == 0 else Unaveraged
    ema = average(game.generator, cfg.ema.halflife, cfg.ema.rampup)
    driven = {name: _built(node) for name, node in cfg.schedules.items()}
    schedules, notes = Schedules(game, ema, optimisers, build(cfg.schedule), driven), Notes()
    _compile(game, hardware, notes)
    data = talk.first(lambda: load(source, own=cfg.resume is None or cfg.trust))
    preview, columns = _preview(cfg, game, source, data)
    samples = store(data.samples, device)
    loader = make_loader(cfg, source, data, samples, device)
    steps = math.ceil(cfg.epochs * len(loader) / cfg.batch_size)
    sentinel = _sentinel(cfg, source, data, preview)
    state = State(game, ema, optimisers, hardware.precision, Progress(), Meter(), sentinel, loader, device)
    return Lab(
        source=source,
        data=data,
        samples=samples,
        loader=loader,
        state=state,
        schedules=schedules,
        steps=steps if cfg.max_steps is None else min(steps, cfg.max_steps),
        preview=preview,
        columns=columns,
        judge=Judge(source, data, game, cfg, device),
        hardware=hardware,
        run_step=_step_runner(hardware, optimisers, schedules, notes),
        notes=notes,
    )


def make_optimisers(optim: DictConfig, game: Game) -> dict[str, torch.optim.Optimizer]:
    """An optimiser for each player, with what ``optim.<player>`` says of its own. Raises UserError."""
    plain = OmegaConf.to_container(optim)
    assert isinstance(plain, dict)
    shared, own = split_by_player({str(key): value for key, value in plain.items()})
    for name in own:
        if name not in game.players:
            raise UserError(f"optim.{name}: this game has no player {name}; {suggest(name, game.players)}")
    return {
        name: build(OmegaConf.create(own.get(name, shared)))(player.net.parameters(), name)
        for name, player in game.players.items()
    }


def _built(node: DictConfig) -> Any:
    """The schedules at the ends of nested names."""
    if "_target_" in node:
        return build(node)
    return {str(name): _built(inner) for name, inner in node.items()}


def _preview(cfg: DictConfig, game: Game, source: Source, data: Arrays) -> tuple[Inputs, int]:
    """What the grid of each epoch is made from, always the same, and how many samples make a row."""
    grid = game.grid(Request(game.preview_count(source.overview)))
    real = None
    if game.needs_reference:
        rows = real_rows(len(data.samples), grid.request.count, seed_for(cfg.seed, "sources to preview"))
        real = reference(source, data, rows)
    rng = torch.Generator().manual_seed(seed_for(cfg.seed, "preview"))
    return game.inputs(grid.request, rng, real), grid.columns


def make_loader(
    cfg: DictConfig, source: Source, data: Arrays, samples: Store, device: torch.device
) -> BatchLoader:
    """Batches of a data set whose samples are stored already; each process takes its part of them."""
    sources = None
    if data.sources is not None:
        sources = Domain(store(data.sources, device), len(data.sources), source.decode_sources)
    return BatchLoader(
        Domain(samples, len(data.samples), source.decode),
        data.labels,
        cfg.batch_size,
        cfg.seed,
        sources=sources,
        paired=source.paired,
        mirror=source.mirror,
        rank=dist.rank(),
        world=dist.world(),
    )


def _game(cfg: DictConfig, hardware: Hardware) -> Game:
    """On the device, in the order of channels that convolutions are fastest with."""
    game = within_memory(lambda: build_game(cfg), cfg, hardware.device, training=True)
    if hardware.sync_batch_norm and dist.world() > 1:
        synchronise(game)
    return game.to(hardware.device).to(memory_format=torch.channels_last)


def load(source: Source, *, own: bool) -> Arrays:
    """The data; fetched if need be, but only where an ``own`` configuration says where to. Raises UserError.

    The training's random numbers are left alone: to prepare a set, or only to import what that takes, may draw
    some, and a run that finds it in the cache would be another.
    """
    token, python, numbers = FETCHING.set(own), random.getstate(), np.random.get_state()
    try:
        with random_numbers_left_alone(torch.device("cpu")):
            return source.load()
    finally:
        random.setstate(python)
        np.random.set_state(numbers)
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


def _step_runner(
    hardware: Hardware, optimisers: Mapping[str, torch.optim.Optimizer], schedules: Schedules, notes: Notes
) -> StepRunner:
    if not hardware.graphs:
        return eager
    if hardware.precision.waits:
        notes(f"no CUDA graphs: device.precision={hardware.precision.name} waits for the device in each step")
        return eager
    if not schedules.graphable:
        notes("no CUDA graphs: schedules.optim changes momenta, which are fixed in a graph")
        return eager
    return Captured(CudaRecorder(hardware.device), optimisers, notes)


def _sentinel(cfg: DictConfig, source: Source, data: Arrays, preview: Inputs) -> Sentinel:
    """It compares within a class where the generator is given one: classes differ by themselves."""
    count = len(preview.args[0])
    by_class = preview.labels is not None and source.label_kind == "classes"
    labels = preview.labels.numpy() if by_class and preview.labels is not None else np.zeros(count, np.int64)
    known = data.labels if by_class else np.zeros(len(data.samples), np.int64)
    rows = some_of_each(known, np.unique(labels).tolist(), seed_for(cfg.seed, "real samples to compare with"))
    real = source.decode(torch.from_numpy(np.ascontiguousarray(data.samples[rows]))).numpy()
    return Sentinel(build(cfg.sentinel), spread(real, known[rows]), labels)
