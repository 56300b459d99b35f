"""Builds everything that a step needs from a validated configuration."""

import math
import time
from typing import NamedTuple

import numpy as np
import torch
from omegaconf import DictConfig

from ganexp.data.arrays import Arrays
from ganexp.data.held_out import AUTO, TRAINING, evaluated
from ganexp.data.source import Source
from ganexp.games.game import Game
from ganexp.games.request import Inputs, Request
from ganexp.games.seeded_inputs import grid_inputs, pair_inputs, view_inputs
from ganexp.sentinel import Sentinel, rms_distance, rows_of_each_label
from ganexp.system.rng import seed_everything, seed_for
from ganexp.training.build import build, build_as, build_source
from ganexp.training.deferred_log import DeferredLog
from ganexp.training.device import Hardware
from ganexp.training.experiment_data import ExperimentData, build_data
from ganexp.training.graphed_turns import StepRunner
from ganexp.training.meter import Meter
from ganexp.training.model import build_model, step_runner
from ganexp.training.periodic_evaluation import PeriodicEvaluation
from ganexp.training.schedules import Schedules
from ganexp.training.state import Progress, State

_PAIRS = 64
"""Pairs of samples that show how much a condition changes the output."""


class Evaluation(NamedTuple):
    """How a run's generator is looked at while it trains: a grid in each epoch, scores in some."""

    preview: Inputs
    """The generator's inputs for the grid, which never change."""
    columns: int
    """Columns of the grid."""
    pairs: dict[str, Inputs]
    """Inputs of pairs of samples that differ in one condition, by the condition's name."""
    viewed: tuple[Inputs, int] | None
    """Images for ``Game.views`` and the columns of their pictures; None for games without views."""
    periodic: PeriodicEvaluation


class Experiment(NamedTuple):
    """Everything that a run consists of, built from its configuration."""

    hardware: Hardware
    data: ExperimentData
    state: State
    evaluation: Evaluation
    schedules: Schedules
    steps: int
    """Number of steps of the whole run."""
    run_step: StepRunner
    """Runs a step's turns: eagerly, or as a CUDA graph."""
    notes: DeferredLog
    """Log lines about compilation and CUDA graphs."""
    began: float
    """``time.monotonic()`` when building it began."""


def build_experiment(cfg: DictConfig) -> Experiment:
    """Builds networks, data and optimisers. Raises UserError where they do not fit.

    The networks come first, so that one that is too large for memory is refused before data are downloaded.
    """
    began = time.monotonic()
    hardware = build_as(Hardware, cfg.device, "device")
    device = hardware.device
    source = build_source(cfg)
    seed_everything(cfg.seed)
    model = build_model(cfg, hardware)
    data = build_data(cfg, source, device, unpaired=model.game.UNPAIRED)
    evaluation = _evaluation(cfg, model.game, data, device)
    state = State(
        game=model.game,
        ema=model.ema,
        optimisers=model.optimisers,
        precision=hardware.precision,
        progress=Progress(),
        meter=Meter(),
        sentinel=_sentinel(cfg, source, data.arrays, evaluation.preview),
        loader=data.loader,
        device=device,
    )
    steps = math.ceil(cfg.epochs * len(data.loader) / cfg.batch_size)
    return Experiment(
        hardware,
        data,
        state,
        evaluation,
        model.schedules,
        steps if cfg.max_steps is None else min(steps, cfg.max_steps),
        step_runner(hardware, model.optimisers, model.schedules, model.notes),
        model.notes,
        began,
    )


def _evaluation(cfg: DictConfig, game: Game, data: ExperimentData, device: torch.device) -> Evaluation:
    source, arrays = data.source, data.arrays
    request = Request(game.preview_count(source.preview_count))
    split = cfg.evaluate.split
    preview, columns = grid_inputs(
        game, request, source, lambda: evaluated(source, arrays, split), cfg.seed, "preview"
    )
    unseen = AUTO if split == TRAINING else split  # an autoencoder is looked at on images that it has not seen
    viewed = view_inputs(game, source, lambda: evaluated(source, arrays, unseen), cfg.seed)
    pairs = pair_inputs(game, _PAIRS, source, lambda: evaluated(source, arrays, split), cfg.seed)
    periodic = PeriodicEvaluation(source, arrays, game, cfg, device)
    return Evaluation(preview, columns, pairs, viewed, periodic)


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
