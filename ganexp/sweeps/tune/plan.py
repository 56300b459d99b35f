"""What every process of a search agrees on: what is fixed, what is searched, what for."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hydra import compose
from omegaconf import DictConfig, OmegaConf

from ganexp.config.messages import explain
from ganexp.config.resolvers import overrides_name
from ganexp.config.validate import validate_train
from ganexp.errors import UserError
from ganexp.sweeps.process_pool import Job, config_flags
from ganexp.sweeps.tune.goal import Goal, read_goal
from ganexp.sweeps.tune.space import Space, read_space, rehearsals

_OURS = ("name", "resume", "trust", "hydra")


@dataclass(frozen=True)
class Plan:
    """A search, as it was asked for."""

    name: str
    fixed: tuple[str, ...]
    space: Space
    goal: Goal

    @property
    def folder(self) -> Path:
        """Of the study; a folder for each run is in it."""
        return Path("outputs", self.name)

    def overrides(self, settings: Sequence[str]) -> list[str]:
        """What ``ganexp train`` is given for a trial with such settings."""
        return [*self.fixed, *settings, f"name={self.name}"]

    def job(self, settings: Sequence[str]) -> Job:
        """The trial as a run, in the folder where the same line typed by hand would have it."""
        overrides = self.overrides(settings)
        return Job([*config_flags(), *overrides], self.folder / overrides_name(overrides))

    def composed(self, settings: Sequence[str]) -> DictConfig:
        """The trial's configuration, checked as every run's. Raises UserError."""
        overrides = self.overrides(settings)
        try:
            return validate_train(compose("train", overrides=overrides), overrides)
        except Exception as error:
            line, _ = explain(error)
            if line is None:
                raise
            raise UserError(line) from error

    def identity(self) -> dict[str, object]:
        """What makes it this study, as plain data: where this differs it is another one."""
        space = {key: repr(values) for key, values in self.space.items()}
        return {
            "train": list(self.fixed),
            "space": space,
            "goal": self.goal.name,
            "direction": "lower" if self.goal.lower else "higher",
        }


def read_plan(cfg: DictConfig) -> Plan:
    """The plan of a checked configuration; all that a trial can be is composed once. Raises UserError."""
    node = OmegaConf.to_container(cfg.space)
    assert isinstance(node, dict)
    space = read_space({str(key): value for key, value in node.items()})
    given = {word.lstrip("+~").partition("=")[0] for word in cfg.train}
    for word in cfg.train:
        key = word.lstrip("+~").partition("=")[0]
        if word.startswith("-") or key.split(".")[0] in _OURS:
            raise UserError(f"{word}: it cannot stand behind --, where settings of the runs do")
        if key in space:
            raise UserError(f"{key} is in the space: it cannot be the same in every run too ({word})")
    fixed = [*cfg.train]
    if "evaluate.every" not in given:
        fixed.append("evaluate.every=1")
    if cfg.goal is not None and "evaluate.best.score" not in given:  # so that best.pt is the trial's value
        fixed.append(f"evaluate.best.score={cfg.goal}")
        fixed += [f"evaluate.best.direction={cfg.direction}"] if cfg.direction is not None else []
    plan = Plan(cfg.name, tuple(fixed), space, Goal(cfg.goal, lower=True))
    composed, *_ = [plan.composed(settings) for settings in rehearsals(space)]
    if composed.evaluate.every is None:
        raise UserError("evaluate.every=null gives a search no scores to go by")
    if not composed.metrics:
        raise UserError("metrics={} gives a search no scores to go by")
    goal = read_goal(cfg.goal, cfg.direction, composed.metrics)
    return Plan(plan.name, plan.fixed, space, goal)
