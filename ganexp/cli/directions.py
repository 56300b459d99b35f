"""``ganexp directions``: finds directions in a run's latents, shows them and keeps them in its folder."""

from collections.abc import Sequence
from functools import cache

import numpy as np
import torch
from omegaconf import DictConfig
from torch import Tensor

from ganexp.cli.out_file import picture_file
from ganexp.cli.requested import plain
from ganexp.cli.requested_walks import Walkers, walkers
from ganexp.data.picture import save_png
from ganexp.errors import UserError
from ganexp.latents.boundary import SAMPLES_OF_EFFECTS, Effects, effects
from ganexp.latents.directions import Directions, save_directions
from ganexp.latents.latent_space import LatentSpace
from ganexp.latents.methods import Judge, Method, Task
from ganexp.latents.space import space_of
from ganexp.metrics.classifier import predict_logits, trained_classifier
from ganexp.system.rng import seed_for
from ganexp.system.terminal import align_columns, plural, print_lines
from ganexp.training.build import build
from ganexp.training.load import OpenedRun, open_run


def directions(cfg: DictConfig) -> None:
    """Writes the directions and a picture, prints a table; see ``conf/directions.yaml``. Raises UserError."""
    out = picture_file(cfg.out)
    run = open_run(cfg)
    loaded = run.generator(cfg.checkpoint)
    space = space_of(loaded.game, loaded.net, cfg.latents, cfg.truncation)
    who = walkers(cfg, cfg.n, space, run)
    if who.alike or who.count != cfg.n:
        raise UserError("label: should be one class here")
    method: Method = build(cfg.method)
    rng = torch.Generator().manual_seed(seed_for(cfg.seed, "directions"))
    task = Task(space, rng, cfg.batch_size, cache(lambda: _Classifier(run)), _label(cfg, who))
    found = method(task)
    record = {"checkpoint": loaded.checkpoint.file.name, "seed": cfg.seed, "truncation": cfg.truncation}
    record["label"] = plain(cfg.label)
    out = out or run.folder / "samples" / f"directions_{found.method}.png"
    try:
        file = save_directions(found, run.folder, record)
        save_png(run.source.draw(_table(found, space, who, cfg), cfg.steps), out)
    except OSError as error:
        raise UserError(f"{error.filename or out} cannot be written: {error.strerror or error}") from None
    print_lines(_told(found, task, cfg.reach))
    if bool(found.accuracies.isfinite().any()):
        print_lines(
            f"changed: of {SAMPLES_OF_EFFECTS} samples, each moved by {cfg.reach:g} to the other side of the "
            "boundary; others changed: how many other answers of the classifier change in a sample"
        )
    print_lines(f"{plural(len(found.names), 'direction')} in {space.name}: {file}")
    print_lines(f"each of {plural(cfg.n, 'sample')} from -{cfg.reach:g} to {cfg.reach:g}: {out}")


def _label(cfg: DictConfig, who: Walkers) -> Tensor | None:
    return None if cfg.label is None else who.label(0)


class _Classifier(Judge):
    """The data set's own classifier, trained at its first use. Raises UserError for data without labels."""

    def __init__(self, run: OpenedRun) -> None:
        data = run.data()
        net, _, accuracy = trained_classifier(run.source, data, run.device)
        self.names = tuple(data.classes)
        self._net, self._run = net, run
        print_lines(f"samples are told apart by a classifier that is right on {accuracy:.2%} of real images")

    def __call__(self, samples: np.ndarray) -> Tensor:
        logits = predict_logits(self._net, self._run.source.encode(samples), self._run.device)
        return self._net.log_odds(logits)


def _table(found: Directions, space: LatentSpace, who: Walkers, cfg: DictConfig) -> np.ndarray:
    """Samples [K n steps, ...]: for each direction a row of each sample."""
    strengths = torch.linspace(-cfg.reach, cfg.reach, cfg.steps)
    points = [who.draw(space, number, 1, cfg.seed) for number in range(who.count)]
    rows = [
        space.samples(
            found.moved(point.expand(cfg.steps, -1), direction, strengths), who.label(number), cfg.batch_size
        )
        for direction in range(len(found.names))
        for number, point in enumerate(points)
    ]
    return np.concatenate(rows)


def _told(found: Directions, task: Task, reach: float) -> str:
    """A line for each direction with what is known of it."""
    columns = [("direction", list(found.names))]
    if bool(found.explained.isfinite().any()):
        columns.append(("explains", [f"{share:.1%}" for share in found.explained.tolist()]))
    if bool(found.accuracies.isfinite().any()):
        columns.append(("right on held-out samples", [f"{share:.1%}" for share in found.accuracies.tolist()]))
        columns += _effects(found.names, effects(found, task, reach), task.judge().names, reach)
    rows = list(zip(*([head, *cells] for head, cells in columns), strict=True))
    return align_columns(rows, right=range(1, len(columns)))


def _effects(
    directions: Sequence[str], measured: Effects, names: Sequence[str], reach: float
) -> list[tuple[str, list[str]]]:
    """Columns: how often the attribute is seen, how often moving changes it, and what changes with it."""
    columns = [
        (f"seen at {strength:g}", [f"{share:.1%}" for share in shares])
        for strength, shares in zip((-reach, 0.0, reach), measured.shares.T.tolist(), strict=True)
    ]
    own = measured.changed.gather(1, measured.own[:, None])[:, 0]
    columns.append(("changed", [f"{share:.1%}" for share in own.tolist()]))
    if len(names) == 1:
        return columns
    columns.append(("others changed", [f"{count:.2f}" for count in measured.others.sum(1).tolist()]))
    most, which = (values.tolist() for values in measured.others.max(1))
    told = [f"{names[index]} {share:.1%}" if share else "-" for index, share in zip(which, most, strict=True)]
    return [*columns, ("most often", told)]
