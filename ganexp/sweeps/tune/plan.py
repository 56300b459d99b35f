"""The plan that all processes of a search share: fixed overrides, search space and goal."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hydra import compose
from omegaconf import DictConfig, OmegaConf

from ganexp.config.messages import explain
from ganexp.config.resolvers import overrides_name
from ganexp.config.validate import validate_train
from ganexp.config.verb_schema import NOT_OF_TRIALS
from ganexp.errors import UserError
from ganexp.sweeps.process_pool import Job, config_flags
from ganexp.sweeps.tune.goal import Goal, read_goal
from ganexp.sweeps.tune.space import Space, example_trials, read_space


@dataclass(frozen=True)
class Plan:
    """A search as the user configured it."""

    name: str
    fixed: tuple[str, ...]
    space: Space
    goal: Goal

    @property
    def folder(self) -> Path:
        """The study's folder, which contains the run folders."""
        return Path("outputs", self.name)

    def overrides(self, settings: Sequence[str]) -> list[str]:
        """The overrides of ``ganexp train`` for a trial with these settings."""
        return [*self.fixed, *settings, f"name={self.name}"]

    def job(self, settings: Sequence[str]) -> Job:
        """The trial as a job, in the run folder that the same ``ganexp train`` command would use."""
        overrides = self.overrides(settings)
        return Job([*config_flags(), *overrides], self.folder / overrides_name(overrides))

    def trial_config(self, settings: Sequence[str]) -> DictConfig:
        """The trial's configuration, validated like any run's. Raises UserError."""
        overrides = self.overrides(settings)
        try:
            return validate_train(compose("train", overrides=overrides), overrides)
        except Exception as error:
            line, _ = explain(error)
            if line is None:
                raise
            raise UserError(line) from error

    def identity(self) -> dict[str, object]:
        """The data that identify the study: a search with other data is another study."""
        space = {key: repr(values) for key, values in self.space.items()}
        return {
            "train": list(self.fixed),
            "space": space,
            "goal": self.goal.name,
            "direction": "lower" if self.goal.lower else "higher",
        }


def read_plan(cfg: DictConfig) -> Plan:
    """The plan of a validated configuration. Composes example trials to check the space. Raises UserError."""
    node = OmegaConf.to_container(cfg.space)
    assert isinstance(node, dict)
    space = read_space({str(key): value for key, value in node.items()})
    given = {word.lstrip("+~").partition("=")[0] for word in cfg.train}
    for word in cfg.train:
        key = word.lstrip("+~").partition("=")[0]
        if word.startswith("-") or key.split(".")[0] in NOT_OF_TRIALS:
            raise UserError(f"{word}: not allowed after --, where only settings of the runs may stand")
        if key in space:
            raise UserError(f"{key} is in the space: remove it there, or {word} after --")
    fixed = [*cfg.train]
    if "evaluate.every" not in given:
        fixed.append("evaluate.every=1")
    if cfg.goal is not None and "evaluate.best.score" not in given:  # best.pt then has the trial's value
        fixed.append(f"evaluate.best.score={cfg.goal}")
        fixed += [f"evaluate.best.direction={cfg.direction}"] if cfg.direction is not None else []
    plan = Plan(cfg.name, tuple(fixed), space, Goal(cfg.goal, lower=True))
    trial_config, *_ = [plan.trial_config(settings) for settings in example_trials(space)]
    if trial_config.evaluate.every is None:
        raise UserError("evaluate.every=null: a search needs scores, so set a number of epochs")
    if not trial_config.metrics:
        raise UserError("metrics={}: a search needs scores, so choose a metric, such as metrics=fid")
    goal = read_goal(cfg.goal, cfg.direction, trial_config.metrics)
    return Plan(plan.name, plan.fixed, space, goal)
