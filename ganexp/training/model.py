"""An experiment's networks, their optimisers and schedules, and how a step of them is run."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from omegaconf import DictConfig, OmegaConf
from torch import nn

from ganexp.config.optimisers import split_by_player
from ganexp.distributed import collectives
from ganexp.ema import EMA, NullEMA
from ganexp.errors import UserError, suggest
from ganexp.games.game import Game
from ganexp.nets.layers import count_weights
from ganexp.nets.sync_batch_norm import convert_sync_batch_norm
from ganexp.training.build import build, build_game
from ganexp.training.cuda_graphs import CudaRecorder
from ganexp.training.deferred_log import DeferredLog
from ganexp.training.device import Hardware, limit_threads
from ganexp.training.graphed_turns import GraphedTurns, StepRunner, eager
from ganexp.training.memory import within_memory
from ganexp.training.schedules import Schedules


class Model(NamedTuple):
    """The networks of a run, on its device, and everything that updates their weights."""

    game: Game
    ema: EMA
    optimisers: dict[str, torch.optim.Optimizer]
    schedules: Schedules
    notes: DeferredLog
    """Log lines about compilation."""


def build_model(cfg: DictConfig, hardware: Hardware) -> Model:
    """Builds the networks and their optimisers; initial weights are drawn from the global RNG.

    Raises UserError where the parts do not fit.
    """
    game = _game(cfg, hardware)
    optimisers = make_optimisers(cfg.optim, game)
    average = EMA if collectives.rank() == 0 else NullEMA
    ema = average(game.generator, cfg.ema.halflife, cfg.ema.rampup)
    driven = {name: _build_nested(node) for name, node in cfg.schedules.items()}
    schedules, notes = Schedules(game, ema, optimisers, build(cfg.schedule), driven), DeferredLog()
    _compile(game, hardware, notes)
    return Model(game, ema, optimisers, schedules, notes)


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


def step_runner(
    hardware: Hardware,
    optimisers: Mapping[str, torch.optim.Optimizer],
    schedules: Schedules,
    notes: DeferredLog,
) -> StepRunner:
    """Runs steps as CUDA graphs where ``device.graphs`` is set and nothing prevents it, else eagerly."""
    if not hardware.graphs:
        return eager
    if hardware.precision.synchronises:
        notes(f"no CUDA graphs: device.precision={hardware.precision.name} waits for the device in each step")
        return eager
    if not schedules.graphable:
        notes("no CUDA graphs: schedules.optim changes momenta, which are fixed in a graph")
        return eager
    return GraphedTurns(CudaRecorder(hardware.device), optimisers, notes)


def _compile(game: Game, hardware: Hardware, notes: DeferredLog) -> None:
    """Compiles the players' networks where ``device.compile`` is set, but not the averaged copy.

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


def _game(cfg: DictConfig, hardware: Hardware) -> Game:
    """The game on the device, in channels_last format, in which convolutions are fastest."""
    game = within_memory(lambda: build_game(cfg), cfg, hardware.device, training=True)
    game.prepare_training()
    if hardware.sync_batch_norm and collectives.world_size() > 1:
        convert_sync_batch_norm(game)
    limit_threads(hardware, count_weights(game))
    return game.to(hardware.device).to(memory_format=torch.channels_last)


def _build_nested(node: DictConfig) -> Any:
    """Builds the schedules that are the leaves of nested names."""
    if "_target_" in node:
        return build(node)
    return {str(name): _build_nested(inner) for name, inner in node.items()}
