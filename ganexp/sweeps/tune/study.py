"""The study: what all processes that search together know. It outlives each of them.

``study.log`` is Optuna's, a line of JSON for each thing that happened. Optuna cannot say whether the
process that began a trial is still alive (its heartbeats are for databases), so each trial in hand is a lock
of the operating system's, which ends with its process. A trial that is under way and that nobody holds is
taken up again: its run goes on from its checkpoint, and it keeps its number.
"""

import json
import warnings
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import optuna
from filelock import FileLock, Timeout
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from optuna.trial import FrozenTrial, TrialState

from ganexp.errors import UserError
from ganexp.runs.lock import is_held
from ganexp.sweeps.process_pool import Job
from ganexp.sweeps.tune.plan import Plan
from ganexp.sweeps.tune.space import draw
from ganexp.sweeps.tune.storage import SETTINGS, open_study
from ganexp.system.atomic import replacing

_PLAN = "plan"


@dataclass
class Trial:
    """A trial in the hands of this process."""

    number: int
    settings: list[str]
    job: Job
    handle: optuna.Trial
    lock: FileLock
    reported: set[int] = field(default_factory=set)
    """The epochs whose score the study knows."""

    def report(self, series: dict[int, float]) -> bool:
        """Tells the study what is new; returns whether the pruner gives the trial up."""
        hopeless = False
        for epoch in sorted(set(series) - self.reported):
            self.handle.report(series[epoch], epoch)
            self.reported.add(epoch)
            hopeless = self.handle.should_prune() or hopeless
        return hopeless


class Study:
    """The study in a plan's folder. Raises UserError where the folder holds another one."""

    def __init__(self, plan: Plan, cfg: DictConfig) -> None:
        self.plan, self._cfg = plan, cfg
        self.dying = False
        """Whether a trial that nobody holds has a run that is still about to stop."""
        self._held: dict[int, Trial] = {}
        self._lock = FileLock(plan.folder / ".locks" / "study")
        (plan.folder / ".locks").mkdir(parents=True, exist_ok=True)
        now = plan.identity()
        with self._lock:
            self._study = open_study(plan.folder, lower=plan.goal.lower, pruner=instantiate(cfg.pruner))
            if _PLAN not in self._study.user_attrs:
                self._study.set_user_attr(_PLAN, now)
        before = self._study.user_attrs[_PLAN]
        if before != now:
            known = before if isinstance(before, dict) else {}
            differs = ", ".join(key for key in now if known.get(key) != now[key])
            raise UserError(f"{plan.folder} holds another study ({differs} differs): choose another name=...")

    def take(self) -> Trial | None:
        """A trial to work on: one that was left behind, or a new one; None where there is none to take."""
        with self._lock:
            trials = self.trials()
            self.dying = False
            for old in trials:
                if old.state == TrialState.RUNNING and old.number not in self._held:
                    trial = self._taken_up(old)
                    if trial is not None:
                        return trial
            if len(trials) >= self._cfg.trials:
                return None
            # A seed for each trial: processes that share a study do not all draw the same.
            number = len(trials)
            seeded = OmegaConf.merge(self._cfg.sampler, {"seed": self._cfg.sampler.seed + number})
            self._study.sampler = instantiate(seeded)
            handle = self._study.ask()
            return self._in_hand(handle, self._own(handle.number))

    def _taken_up(self, old: FrozenTrial) -> Trial | None:
        lock = self._own(old.number)
        if not lock.is_locked:
            return None
        if SETTINGS in old.user_attrs and is_held(self.plan.job(old.user_attrs[SETTINGS]).folder):
            lock.release()
            self.dying = True
            return None
        return self._in_hand(optuna.Trial(self._study, old._trial_id), lock)

    def _own(self, number: int) -> FileLock:
        lock = FileLock(self.plan.folder / ".locks" / f"trial_{number}")
        with suppress(Timeout):
            lock.acquire(timeout=0)
        return lock

    def _in_hand(self, handle: optuna.Trial, lock: FileLock) -> Trial:
        settings = draw(self.plan.space, handle)  # of a trial that is taken up, what it drew before
        handle.set_user_attr(SETTINGS, settings)
        reported = set(self._study.get_trials(deepcopy=False)[handle.number].intermediate_values)
        trial = Trial(handle.number, settings, self.plan.job(settings), handle, lock, reported)
        self._held[handle.number] = trial
        return trial

    def twin(self, trial: Trial) -> FrozenTrial | None:
        """An earlier trial with the same settings, as it stands now."""
        for other in self.trials()[: trial.number]:
            if other.user_attrs.get(SETTINGS) == trial.settings:
                return other
        return None

    def end(self, trial: Trial, state: TrialState, value: float | None, reason: str | None = None) -> None:
        """Notes how a trial ended, for good."""
        with self._lock:
            if reason is not None:
                trial.handle.set_user_attr("reason", reason)
            self._study.tell(trial.number, value if state == TrialState.COMPLETE else None, state)
            self._write_table()

    def write_table(self) -> None:
        """``study.json``: every trial as plain data."""
        with self._lock:
            self._write_table()

    def let_go(self, trial: Trial) -> None:
        """It has ended, or somebody else may take it up."""
        del self._held[trial.number]
        trial.lock.release()

    def trials(self) -> list[FrozenTrial]:
        """All of them, by number, whichever process they are of."""
        return self._study.get_trials(deepcopy=False)

    def value(self, trial: FrozenTrial) -> float | None:
        """The best score of the trial so far: what a run has once reached is in its ``best.pt``."""
        return self.plan.goal.best(list(trial.intermediate_values.values()))

    def importances(self) -> dict[str, float]:
        """How much of the differences each setting accounts for, in [0, 1]; empty while too little is known."""
        complete = [trial for trial in self.trials() if trial.state == TrialState.COMPLETE]
        if len(complete) < 4 or len({trial.value for trial in complete}) < 2:
            return {}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return optuna.importance.get_param_importances(self._study)

    def _write_table(self) -> None:
        rows: list[dict[str, Any]] = []
        for trial in self.trials():
            settings = trial.user_attrs.get(SETTINGS, [])
            rows.append(
                {
                    "number": trial.number,
                    "state": trial.state.name.lower(),
                    "value": self.value(trial),
                    "settings": dict(setting.split("=", 1) for setting in settings),
                    "run": self.plan.job(settings).folder.name,
                    "epochs": trial.intermediate_values,
                    "reason": trial.user_attrs.get("reason"),
                }
            )
        with replacing(self.plan.folder / "study.json") as beside:
            content = {"name": self.plan.name, **self.plan.identity(), "trials": rows}
            beside.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
