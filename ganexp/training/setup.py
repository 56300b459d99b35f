"""Builds everything that a step needs from a validated configuration."""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from omegaconf import DictConfig, OmegaConf
from torch import nn

from ganexp.config.optimisers import split_by_player
from ganexp.data.arrays import Arrays
from ganexp.data.batches import BatchLoader, Domain
from ganexp.data.download import load
from ganexp.data.reference import real_rows, reference
from ganexp.data.source import Source
from ganexp.data.store import Store, store
from ganexp.distributed import collectives, objects
from ganexp.ema import EMA, NullEMA
from ganexp.errors import UserError, suggest
from ganexp.games.game import Game
from ganexp.games.request import Inputs, Request
from ganexp.nets.sync_batch_norm import convert_sync_batch_norm
from ganexp.sentinel import Sentinel, rms_distance, rows_of_each_label
from ganexp.system.rng import fork_rng, seed_everything, seed_for
from ganexp.training.build import build, build_as, build_game
from ganexp.training.cuda_graphs import CudaRecorder
from ganexp.training.deferred_log import DeferredLog
from ganexp.training.device import Hardware
from ganexp.training.graphed_turns import GraphedTurns, StepRunner, eager
from ganexp.training.memory import within_memory
from ganexp.training.meter import Meter
from ganexp.training.periodic_evaluation import PeriodicEvaluation
from ganexp.training.schedules import Schedules
from ganexp.training.state import Progress, State


class Experiment(NamedTuple):
    """Everything that a run consists of, built from its configuration."""

    source: Source
    data: Arrays
    samples: Store
    loader: BatchLoader
    state: State
    schedules: Schedules
    steps: int
    """Number of steps of the whole run."""
    preview: Inputs
    columns: int
    evaluation: PeriodicEvaluation
    hardware: Hardware
    run_step: StepRunner
    """Runs a step's turns: eagerly, or as a CUDA graph."""
    notes: DeferredLog
    """Log lines about compilation and CUDA graphs."""


def build_experiment(cfg: DictConfig) -> Experiment:
    """Builds networks, data and optimisers. Raises UserError where they do not fit."""
    hardware = build_as(Hardware, cfg.device, "device")
    device = hardware.device
    source = build_as(Source, cfg.data, "data")
    seed_everything(cfg.seed)
    game = _game(cfg, hardware)
    optimisers = make_optimisers(cfg.optim, game)
    average = EMA if collectives.rank() == 0 else NullEMA
    ema = average(game.generator, cfg.ema.halflife, cfg.ema.rampup)
    driven = {name: _built(node) for name, node in cfg.schedules.items()}
    schedules, notes = Schedules(game, ema, optimisers, build(cfg.schedule), driven), DeferredLog()
    _compile(game, hardware, notes)
    with fork_rng(device):  # preparing a data set imports libraries that draw random numbers
        data = objects.rank0_first(lambda: load(source, own=cfg.resume is None or cfg.trust))
    preview, columns = _preview(cfg, game, source, data)
    samples = store(data.samples, device)
    loader = make_loader(cfg, source, data, samples, device)
    steps = math.ceil(cfg.epochs * len(loader) / cfg.batch_size)
    sentinel = _sentinel(cfg, source, data, preview)
    state = State(game, ema, optimisers, hardware.precision, Progress(), Meter(), sentinel, loader, device)
    return Experiment(
        source=source,
        data=data,
        samples=samples,
        loader=loader,
        state=state,
        schedules=schedules,
        steps=steps if cfg.max_steps is None else min(steps, cfg.max_steps),
        preview=preview,
        columns=columns,
        evaluation=PeriodicEvaluation(source, data, game, cfg, device),
        hardware=hardware,
        run_step=_step_runner(hardware, optimisers, schedules, notes),
        notes=notes,
    )


def make_optimisers(optim: DictConfig, game: Game) -> dict[str, torch.optim.Optimizer]:
    """An optimiser for each player; ``optim.<player>`` overrides ``optim``. Raises UserError."""
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
    """Builds the schedules that are the leaves of nested names."""
    if "_target_" in node:
        return build(node)
    return {str(name): _built(inner) for name, inner in node.items()}


def _preview(cfg: DictConfig, game: Game, source: Source, data: Arrays) -> tuple[Inputs, int]:
    """The generator's inputs for the grid of each epoch, which never change, and the grid's columns."""
    grid = game.grid(Request(game.preview_count(source.preview_count)))
    real = None
    if game.needs_reference:
        rows = real_rows(len(data.samples), grid.request.count, seed_for(cfg.seed, "sources to preview"))
        real = reference(source, data, rows)
    rng = torch.Generator().manual_seed(seed_for(cfg.seed, "preview"))
    return game.inputs(grid.request, rng, real), grid.columns


def make_loader(
    cfg: DictConfig, source: Source, data: Arrays, samples: Store, device: torch.device
) -> BatchLoader:
    """The loader of a data set whose samples are stored already; each rank takes its slice of a batch."""
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
        rank=collectives.rank(),
        world=collectives.world_size(),
    )


def _game(cfg: DictConfig, hardware: Hardware) -> Game:
    """The game on the device, in channels_last format, in which convolutions are fastest."""
    game = within_memory(lambda: build_game(cfg), cfg, hardware.device, training=True)
    if hardware.sync_batch_norm and collectives.world_size() > 1:
        convert_sync_batch_norm(game)
    return game.to(hardware.device).to(memory_format=torch.channels_last)


def _compile(game: Game, hardware: Hardware, notes: DeferredLog) -> None:
    """Compiles the players' networks, but not the averaged copy.

    A network whose gradient a penalty differentiates is left out: torch.compile has no double backward.
    """
    if not hardware.compile:
        return
    able = {name: player.net for name, player in game.players.items() if not game.needs_double_backward(name)}
    for net in able.values():
        for part in net.values() if isinstance(net, nn.ModuleDict) else [net]:  # a ModuleDict is never called
            part.compile(dynamic=False)  # the default mode: other modes make CUDA graphs, which cannot nest
    left = [name for name in game.players if name not in able]
    why = f"; not {', '.join(left)}, whose penalty needs a second derivative" if left else ""
    notes(f"torch.compile translates {', '.join(able)}{why}: the first steps take long")


def _step_runner(
    hardware: Hardware,
    optimisers: Mapping[str, torch.optim.Optimizer],
    schedules: Schedules,
    notes: DeferredLog,
) -> StepRunner:
    if not hardware.graphs:
        return eager
    if hardware.precision.waits:
        notes(f"no CUDA graphs: device.precision={hardware.precision.name} waits for the device in each step")
        return eager
    if not schedules.graphable:
        notes("no CUDA graphs: schedules.optim changes momenta, which are fixed in a graph")
        return eager
    return GraphedTurns(CudaRecorder(hardware.device), optimisers, notes)


def _sentinel(cfg: DictConfig, source: Source, data: Arrays, preview: Inputs) -> Sentinel:
    """The sentinel. For a class-conditional generator it compares samples within a class."""
    count = len(preview.args[0])
    by_class = preview.labels is not None and source.label_kind == "classes"
    labels = preview.labels.numpy() if by_class and preview.labels is not None else np.zeros(count, np.int64)
    known = data.labels if by_class else np.zeros(len(data.samples), np.int64)
    rows = rows_of_each_label(
        known, np.unique(labels).tolist(), seed_for(cfg.seed, "real samples to compare with")
    )
    real = source.decode(torch.from_numpy(np.ascontiguousarray(data.samples[rows]))).numpy()
    return Sentinel(build(cfg.sentinel), rms_distance(real, known[rows]), labels)
