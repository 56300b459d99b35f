"""What is drawn, scored and recorded of a run: at the end of each epoch, and early in its first ones.

Nothing here changes the run: latents and samples to compare with have seeds of their own.
"""

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from omegaconf import DictConfig
from PIL import Image

from ganexp.games.influence import influences
from ganexp.games.sampling import draw_grid, generate, sample_critic
from ganexp.metrics.metric import Scores
from ganexp.sentinel import Kind
from ganexp.training.setup import Experiment
from ganexp.training.summary import epoch_lines

if TYPE_CHECKING:
    from ganexp.runs.run import Run
    from ganexp.worker import WorkerRun


class Epoch(NamedTuple):
    """An epoch's number, from 1, and whether it has ended: only then is it in the records by its number."""

    number: int
    ended: bool


def end_of_epoch(
    experiment: Experiment, cfg: DictConfig, run: "Run | WorkerRun", number: int, scalars: dict[str, float]
) -> tuple[list[tuple[Kind, str]], bool]:
    """Makes an epoch's grid, scores and records. Returns alarms, and whether the score is the best so far."""
    state, evaluation = experiment.state, experiment.evaluation.periodic
    images, last = state.progress.images, state.progress.step == experiment.steps
    scored = evaluation.is_due(number, images, last=last)
    scalars, scores = _record(experiment, cfg, run, Epoch(number, ended=True), scalars, scored=scored)
    alarms = [(alarm.kind, alarm.line) for alarm in state.sentinel.check_epoch(scalars, images)]
    return alarms, run.best.improves(scores)


def within_epoch(experiment: Experiment, cfg: DictConfig, run: "Run | WorkerRun", number: int) -> None:
    """Makes a grid, scores and records in the middle of an epoch, from the means of its steps so far."""
    _record(experiment, cfg, run, Epoch(number, ended=False), experiment.state.scalars(), scored=True)


def _record(
    experiment: Experiment,
    cfg: DictConfig,
    run: "Run | WorkerRun",
    epoch: Epoch,
    scalars: dict[str, float],
    *,
    scored: bool,
) -> tuple[dict[str, float], Scores]:
    """Makes and records scalars, a grid and, where ``scored``, scores. Returns all scalars, and the scores."""
    state, (preview, columns, pairs, _, evaluation) = experiment.state, experiment.evaluation
    samples = generate(state.ema.module, preview, cfg.batch_size, state.device)
    scores = evaluation(state.ema.module) if scored else {}
    meter, seconds = state.meter, state.progress.seconds
    speed = {"speed/images_per_second": meter.images / meter.seconds, "speed/seconds": seconds}
    scalars = scalars | experiment.schedules.now() | state.sentinel.scalars(samples) | speed
    scalars |= influences(state.ema.module, pairs, cfg.batch_size, state.device)
    scalars |= {f"score/{name}": value for name, value in scores.items()}
    critic = sample_critic(state.game, state.device)
    pictures = {"samples": draw_grid(experiment.data.source, preview, samples, columns, critic)}
    errors, views = _views(experiment, cfg.batch_size)
    scalars |= errors
    run.record(epoch.number if epoch.ended else None, scalars, pictures | views, state.progress)
    run.log.info(epoch_lines(f"{epoch.number}/{cfg.epochs}", experiment, scalars, scores))
    return scalars, scores


def _views(experiment: Experiment, batch_size: int) -> tuple[dict[str, float], dict[str, Image.Image]]:
    """The pictures of ``Game.views`` by name, and the PSNR of those that reconstruct the images."""
    state, viewed = experiment.state, experiment.evaluation.viewed
    if viewed is None:
        return {}, {}
    (inputs, columns), errors, pictures = viewed, {}, {}
    for name, view in state.game.views(state.ema.module).items():
        made = generate(view.net, inputs, batch_size, state.device)
        pictures[name] = draw_grid(experiment.data.source, inputs, made, columns)
        if view.reconstructs:
            error = float(np.square((made - inputs.args[0].numpy()) / 2).mean())  # of values in [0, 1]
            errors[f"{name}/psnr"] = -10 * math.log10(max(error, 1e-10))
    return errors, pictures
