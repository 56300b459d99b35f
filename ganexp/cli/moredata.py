"""``ganexp moredata``: does a GAN give a classifier more training data?

Classifiers are trained on the real images that a run was trained with, as they are, augmented, mixed (mixup),
and with generated images in several shares: see ``ganexp/metrics/additional_data.py``.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from omegaconf import DictConfig, OmegaConf
from tqdm import tqdm

from ganexp.cli.moredata_images import check_labels, check_run, divide, generated, settings_of_data
from ganexp.compare import moredata_report
from ganexp.compare.moredata import ArmResult, Outcome, sentence, table
from ganexp.errors import UserError
from ganexp.metrics.additional_data import BASELINES, Arm, Recipe, Sets, train_arm
from ganexp.runs.saved_run import find_runs
from ganexp.system.rng import seed_for
from ganexp.system.terminal import align_columns, print_lines
from ganexp.training.load import OpenedRun, open_run


class _Subject(NamedTuple):
    """A run with its images, and those that its generator made."""

    run: OpenedRun
    sets: Sets
    tested: str


def moredata(cfg: DictConfig) -> None:
    """Prints the table and writes the report; see ``conf/moredata.yaml``. Raises UserError."""
    outcome = measure(cfg)
    found = table(outcome)
    print_lines(align_columns([found.headings, *([cell.text for cell in row] for row in found.rows)]))
    print_lines(f"tested on {outcome.tested}; the share is chosen on {outcome.validated:,} others")
    print_lines(f"{sentence(outcome)}")
    out = _folder(cfg, outcome.runs)
    settings = OmegaConf.to_container(cfg)
    assert isinstance(settings, dict)
    try:
        moredata_report.write(outcome, {str(key): value for key, value in settings.items()}, out)
    except OSError as error:
        raise UserError(f"out={out}: cannot be written: {error.strerror or error}") from None
    print_lines(f"report: {out / 'moredata.md'} (also moredata.json, {moredata_report.CHART})")


def measure(cfg: DictConfig) -> Outcome:
    """Trains and tests every classifier. Raises UserError."""
    arms = [*BASELINES, *(Arm("generated", share) for share in sorted({*cfg.shares}))]
    opened = _open(cfg)
    subjects = [_subject(run, cfg) for run in opened]
    few = min(np.bincount(subject.sets.real.labels).min() for subject in subjects)
    results = {arm: ArmResult(arm.name, arm.share, [], [], cfg.steps) for arm in arms}
    total = len(arms) * len(subjects) * cfg.seeds * cfg.steps
    with tqdm(total=total, desc="classifiers", unit=" updates", disable=None, leave=False) as bar:
        for number, subject in enumerate(subjects):
            for arm in arms:
                validation, test = _train(cfg, subject, arm, number, bar.update)
                results[arm].validation.append(validation)
                results[arm].test.append(test)
    return Outcome(
        list(results.values()),
        [str(run.folder) for run in opened],
        cfg.seeds,
        int(few),
        subjects[0].tested,
        len(subjects[0].sets.validation.labels),
    )


def _train(
    cfg: DictConfig, subject: _Subject, arm: Arm, number: int, advance: Callable[[], object]
) -> tuple[list[float], list[float]]:
    """The validation and the test accuracies of one arm and run, of each seed."""
    run = subject.run
    flip = run.source.mirror if cfg.flip is None else cfg.flip
    recipe = Recipe(run.source.classes, cfg.steps, cfg.batch_size, cfg.shift, flip, cfg.mixup)
    found = []
    for index in range(cfg.seeds):
        trained = train_arm(
            arm,
            subject.sets,
            recipe,
            seed_for(cfg.seed, f"classifier {index} of run {number}"),
            run.device,
            advance,
        )
        assert trained.updates == cfg.steps, "arms are comparable only with equal numbers of updates"
        found.append(trained)
    return [trained.validation for trained in found], [trained.test for trained in found]


def _open(cfg: DictConfig) -> list[OpenedRun]:
    """The runs, checked. Raises UserError where one cannot be used, or where they are of different data."""
    opened = []
    for saved in find_runs(cfg.run):
        single = OmegaConf.merge(cfg, {"run": str(saved.folder)})
        assert isinstance(single, DictConfig)
        opened.append(open_run(single))
        check_run(opened[-1], cfg.checkpoint)
    first = opened[0]
    for other in opened[1:]:
        if settings_of_data(other.config) != settings_of_data(first.config):
            raise UserError(f"run: {first.folder} and {other.folder} were trained with different data")
    return opened


def _subject(run: OpenedRun, cfg: DictConfig) -> _Subject:
    loaded = run.generator(cfg.checkpoint)
    check_labels(run, loaded.game)
    sets, tested = divide(run, cfg.validation, cfg.seed)
    made = generated(run, loaded, sets.real, cfg.generated, cfg.seed)
    return _Subject(run, sets._replace(generated=made), tested)


def _folder(cfg: DictConfig, runs: Sequence[str]) -> Path:
    if cfg.out is not None:
        return Path(cfg.out).expanduser()
    return Path(runs[0], "moredata") if len(runs) == 1 else Path("outputs", "moredata")
