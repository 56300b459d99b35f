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

from ganexp.cli.moredata_images import check_labels, check_run, divide, generated
from ganexp.compare import moredata_report
from ganexp.compare.groups import identifying_settings
from ganexp.compare.moredata import ArmResult, Outcome, sentence, table
from ganexp.errors import UserError
from ganexp.metrics.additional_data import BASELINES, Arm, Recipe, Sets, train_arm
from ganexp.runs.saved_run import SavedRun, find_runs
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
    print_lines(sentence(outcome))
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
    _check_shares(cfg)
    arms = [*BASELINES, *(Arm("generated", share) for share in sorted({*cfg.shares}))]
    opened = _open(cfg)
    subjects = [_subject(run, cfg) for run in opened]
    few = min(np.unique(subject.sets.real.labels, return_counts=True)[1].min() for subject in subjects)
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


def _check_shares(cfg: DictConfig) -> None:
    """Raises UserError for a share that no number of images of a batch has."""
    for share in cfg.shares:
        count = round(share * cfg.batch_size)
        if not 1 <= count <= cfg.batch_size - (share < 1):
            raise UserError(
                f"shares={share:g}: {count} of batch_size={cfg.batch_size} images leave none of one kind"
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
    records = find_runs(cfg.run)
    for saved in records:
        single = OmegaConf.merge(cfg, {"run": str(saved.folder)})
        assert isinstance(single, DictConfig)
        opened.append(open_run(single))
        check_run(opened[-1], cfg.checkpoint)
    _check_alike(records)
    return opened


def _check_alike(records: Sequence[SavedRun]) -> None:
    """Raises UserError for runs that differ in more than their seeds, or in nothing."""
    first, seeds = records[0], set[str]()
    for record in records:
        ours, others = _settings(first), _settings(record)
        for key in sorted({*ours, *others}):
            if ours.get(key) != others.get(key):
                raise UserError(
                    f"run: {first.folder} and {record.folder} differ in {key}, not in their seeds alone"
                )
        chosen = record.config.get("data.per_class_seed", 0)  # runs from before this setting used all samples
        seed = f"seed={record.config['seed']} data.per_class_seed={chosen}"
        if seed in seeds:
            raise UserError(f"run: {record.folder}: another run has {seed} too: it would count twice")
        seeds.add(seed)


def _settings(record: SavedRun) -> dict[str, object]:
    """What runs of one experiment have in common."""
    lengths = {key: record.config.get(key) for key in ("epochs", "max_steps")}
    settings = identifying_settings(record) | lengths
    return {key: value for key, value in settings.items() if key != "data.per_class_seed"}


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
