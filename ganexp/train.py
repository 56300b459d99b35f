"""The training loop, as in a paper's algorithm box. GANs differ in their games, losses and penalties."""

import time
from collections.abc import Mapping
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from omegaconf import DictConfig
from torch import Tensor

from ganexp.data.batches import Batch
from ganexp.distributed import collectives, objects
from ganexp.distributed.launch import launch_workers
from ganexp.errors import Diverged
from ganexp.games.game import Game, StepProgress
from ganexp.optim import player_weights, reset_state
from ganexp.runs.run import Run
from ganexp.runs.run_folder import HASH_STEPS
from ganexp.runs.saved_run import SavedRun
from ganexp.sentinel import Alarm
from ganexp.training.graphed_turns import StepKey, TurnLogs
from ganexp.training.meter import COUNTED
from ganexp.training.precision import Precision
from ganexp.training.reports import end_of_epoch, within_epoch
from ganexp.training.setup import Experiment, build_experiment
from ganexp.training.start import load_start
from ganexp.training.summary import facts, finished_already, first_lines, last_lines

if TYPE_CHECKING:
    from ganexp.worker import WorkerRun

GRAD_NORM_EVERY = 8
"""A player's gradient norm is measured in one step out of so many: reading all gradients takes time."""

NORMS_PER_EPOCH = 4
"""Short epochs measure about so many gradient norms of each player, so that every epoch has one."""

_GOLDEN = 2654435769
"""The golden ratio's fraction of 2^32, rounded to an odd number (Knuth, TAOCP 3, section 6.4)."""


def train(cfg: DictConfig, folder: Path, choices: Mapping[str, str]) -> None:
    """Trains a validated configuration in a run folder, from the start or from its last checkpoint.

    ``choices``: the configuration groups' choices, for display. Raises UserError for mistakes that the user
    can fix, Diverged where the sentinel ends the run, Stopped where a signal does.
    """
    with launch_workers(cfg):
        experiment = build_experiment(cfg)
        with Run(folder, cfg, choices) as run:
            run_training(experiment, cfg, run)


def run_training(experiment: Experiment, cfg: DictConfig, run: "Run | WorkerRun") -> None:
    """Trains to the end of the run; called on every rank. Raises Diverged, Stopped."""
    state, progress = experiment.state, experiment.state.progress
    run.restore(state, lambda: load_start(state, cfg))
    trained_before = progress.seconds
    if progress.step >= experiment.steps:
        run.log.info(finished_already(run.folder, cfg, progress, len(experiment.data.loader)))
        run.mark_finished(progress)
        return
    run.begin(state, facts(cfg, experiment, run.choices))
    run.log.info(first_lines(run.choices, experiment, cfg))
    experiment.notes.to(run.log.info)
    evaluation = experiment.evaluation.periodic
    if evaluation.enabled:
        run.log.info(evaluation.prepare(run.best, SavedRun(run.folder).scores))
    while progress.step < experiment.steps:
        try:
            _train_epoch(experiment, cfg, run)
        except Diverged as alarm:
            run.rollback(state, alarm)  # raises alarm unless sentinel.action=rollback
    run.finish(state)
    if evaluation.enabled:
        run.log.info(evaluation.closing(progress.images))
    run.log.info(last_lines(run.folder, cfg, experiment, trained_before))


def _train_epoch(experiment: Experiment, cfg: DictConfig, run: "Run | WorkerRun") -> None:
    """Trains from the current position to the end of the epoch, or of the run. Raises Diverged, Stopped."""
    state, loader = experiment.state, experiment.data.loader
    progress, meter, sentinel = state.progress, state.meter, state.sentinel
    evaluation = experiment.evaluation.periodic
    number = loader.epoch_number
    run.log.bar(number, experiment.steps * cfg.batch_size, progress.images)
    every, rate_factor = cfg.sentinel.every, cfg.sentinel.rate**progress.rollbacks
    started_at = time.monotonic()
    for batch in loader.epoch():
        train_step(experiment, batch, rate_factor)
        run.log.advance(loader.batch_size)
        if progress.step in HASH_STEPS:
            run.record_weight_hash(state)
        if progress.step == experiment.steps or loader.epoch_number > number:
            break  # the end of an epoch is saved below, after its records are written
        if evaluation.is_due(number, progress.images, ended=False):
            state.add_time(time.monotonic() - started_at)
            objects.run_on_rank0(lambda: within_epoch(experiment, cfg, run, number))
            started_at = time.monotonic()
        save_due = run.should_save()
        if save_due or progress.step % every == 0:
            run.alarm(sentinel.check_finite(state.scalars(), progress.images), progress)
        if save_due:
            state.add_time(time.monotonic() - started_at)
            run.save(state)
            started_at = time.monotonic()
    scalars = state.scalars()
    state.add_time(time.monotonic() - started_at)
    run.alarm(sentinel.check_finite(scalars, progress.images), progress)
    last = progress.step == experiment.steps
    alarms, best = objects.run_on_rank0(lambda: end_of_epoch(experiment, cfg, run, number, scalars))
    for kind, line in alarms:
        run.alarm(Alarm(kind, line), progress)
    meter.clear()
    run.save(state, number, last=last, best=best)


def train_step(experiment: Experiment, batch: Batch, rate_factor: float) -> None:
    """One training step: the turns of the game's plan, then the EMA. ``rate_factor`` scales each learning rate.

    Only ``turns`` is captured as a CUDA graph; the rest is Python code that runs in every step.
    """
    game, ema, optimisers, precision, progress, meter, *_ = experiment.state
    done = progress.step / experiment.steps
    experiment.schedules.set(done, rate_factor)
    plan = game.begin_step(StepProgress(progress.step, progress.images, done))  # WGAN: g every fifth step
    for name in plan.reset:
        reset_state(optimisers[name])
    loader = experiment.data.loader
    steps = len(loader) // loader.batch_size  # of an epoch
    measured = tuple(
        measures_grad_norm(progress.step, steps // game.players[name].every) for name in plan.players
    )

    def turns(batch: Batch) -> TurnLogs:
        pairs = zip(plan.players, measured, strict=True)
        return [player_step(game, name, optimisers, batch, precision, measured=norm) for name, norm in pairs]

    key = StepKey(plan.players, plan.key, measured)
    for name, logs in zip(plan.players, experiment.run_step(turns, key, batch), strict=True):
        meter.add(name, logs)
    count = loader.batch_size  # the global batch, over all ranks
    progress.step += 1
    progress.images += count
    meter.images += count
    progress.averaged = ema.update(game.generator, progress.images, progress.averaged)


def measures_grad_norm(step: int, turns_per_epoch: int) -> bool:
    """Whether the gradient norm of a player with ``turns_per_epoch`` turns per epoch is measured in this step.

    Multiples of the golden ratio are equidistributed in every residue class (Weyl 1916): the measured share is
    the same for steps with and without a lazy penalty, whatever its interval. The choice depends on the step
    alone, so a resumed run measures the same steps.
    """
    interval = max(1, min(GRAD_NORM_EVERY, turns_per_epoch // NORMS_PER_EPOCH))
    return step * _GOLDEN % 2**32 * interval < 2**32


def player_step(
    game: Game,
    name: str,
    optimisers: Mapping[str, torch.optim.Optimizer],
    batch: Batch,
    precision: Precision,
    *,
    measured: bool = True,
) -> dict[str, Tensor]:
    """One player's turn: freezes the other players, sums its losses and takes one optimiser step.

    Returns scalars for logging, on the device: the losses, the turn's logs and, where ``measured``, the
    gradient norm. A step that fp16's scaler skips has no norm: its gradient overflowed, which is how the scaler
    finds the largest scale.
    """
    player = game.players[name]
    for other, their_optimiser in optimisers.items():
        for weight in player_weights(their_optimiser):
            weight.requires_grad_(other == name)
    for net in player.graph_through:
        net.requires_grad_(True)
    optimiser = optimisers[name]
    optimiser.zero_grad(set_to_none=True)
    with precision.autocast():
        losses, logs = player.turn(batch)
    precision.backward(reduce(torch.add, losses.values()))
    gradients = [weight.grad for weight in player_weights(optimiser) if weight.grad is not None]
    collectives.all_reduce_mean(gradients)  # over the ranks, each of which has a part of the batch
    precision.unscale(optimiser)
    norm = {"gradient_norm": torch.nn.utils.get_total_norm(gradients)} if measured else {}
    skipped = precision.step(optimiser)
    if measured and skipped is not None:
        norm = {"gradient_norm": norm["gradient_norm"].masked_fill(skipped, 0.0)}
        norm["gradient_norm" + COUNTED] = (~skipped).float()
    game.after_step(name)
    return {key: loss.detach() for key, loss in losses.items()} | logs | norm
