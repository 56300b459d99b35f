"""The study: the state on disk that all processes of a search share.

``study.journal`` is Optuna's journal, with one line of JSON per event. Optuna cannot say whether the process
that started a trial is still alive (its heartbeats need a database), so a process holds a file lock for each of
its trials, which the operating system releases when the process dies. A running trial whose lock is free is
taken over: its run resumes from its checkpoint, and the trial keeps its number.
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
    """A trial whose file lock this process holds."""

    number: int
    settings: list[str]
    job: Job
    optuna_trial: optuna.Trial
    lock: FileLock
    reported: set[int] = field(default_factory=set)
    """Epochs whose scores have been reported to the study."""

    def report(self, series: dict[int, float]) -> bool:
        """Reports new scores by epoch; returns whether the pruner rejects the trial."""
        should_prune = False
        for epoch in sorted(set(series) - self.reported):
            self.optuna_trial.report(series[epoch], epoch)
            self.reported.add(epoch)
            should_prune = self.optuna_trial.should_prune() or should_prune
        return should_prune


class Study:
    """The study in a plan's folder. Raises UserError where the folder holds a different study."""

    def __init__(self, plan: Plan, cfg: DictConfig) -> None:
        self.plan, self._cfg = plan, cfg
        self.orphans_running = False
        """Whether some abandoned trial still has a running process, which will save and stop."""
        self._own_trials: dict[int, Trial] = {}
        self._lock = FileLock(plan.folder / ".locks" / "study")
        (plan.folder / ".locks").mkdir(parents=True, exist_ok=True)
        identity = plan.identity()
        with self._lock:
            self._study = open_study(plan.folder, lower=plan.goal.lower, pruner=instantiate(cfg.pruner))
            if _PLAN not in self._study.user_attrs:
                self._study.set_user_attr(_PLAN, identity)
        stored = self._study.user_attrs[_PLAN]
        if stored != identity:
            known = stored if isinstance(stored, dict) else {}
            differs = ", ".join(key for key in identity if known.get(key) != identity[key])
            raise UserError(f"{plan.folder} holds another study ({differs} differs): choose another name=...")

    def acquire_trial(self) -> Trial | None:
        """An abandoned or a new trial, locked by this process; None if no trial is left to run."""
        with self._lock:
            trials = self.trials()
            self.orphans_running = False
            for other in trials:
                if other.state == TrialState.RUNNING and other.number not in self._own_trials:
                    trial = self._resume_abandoned(other)
                    if trial is not None:
                        return trial
            if len(trials) >= self._cfg.trials:
                return None
            # A seed per trial: otherwise all processes of a study would draw the same values.
            number = len(trials)
            seeded = OmegaConf.merge(self._cfg.sampler, {"seed": self._cfg.sampler.seed + number})
            self._study.sampler = instantiate(seeded)
            optuna_trial = self._study.ask()
            return self._locked_trial(optuna_trial, self._try_lock(optuna_trial.number))

    def _resume_abandoned(self, abandoned: FrozenTrial) -> Trial | None:
        """The trial, locked by this process; None while its owner or its run is alive."""
        lock = self._try_lock(abandoned.number)
        if not lock.is_locked:
            return None
        if SETTINGS in abandoned.user_attrs and is_held(self.plan.job(abandoned.user_attrs[SETTINGS]).folder):
            lock.release()
            self.orphans_running = True
            return None
        return self._locked_trial(optuna.Trial(self._study, abandoned._trial_id), lock)

    def _try_lock(self, number: int) -> FileLock:
        """The lock of a trial; ``is_locked`` is False if another process holds it."""
        lock = FileLock(self.plan.folder / ".locks" / f"trial_{number}")
        with suppress(Timeout):
            lock.acquire(timeout=0)
        return lock

    def _locked_trial(self, optuna_trial: optuna.Trial, lock: FileLock) -> Trial:
        settings = draw(self.plan.space, optuna_trial)  # a trial that is taken over keeps its earlier draws
        optuna_trial.set_user_attr(SETTINGS, settings)
        reported = set(self._study.get_trials(deepcopy=False)[optuna_trial.number].intermediate_values)
        trial = Trial(optuna_trial.number, settings, self.plan.job(settings), optuna_trial, lock, reported)
        self._own_trials[optuna_trial.number] = trial
        return trial

    def original_of(self, trial: Trial) -> FrozenTrial | None:
        """The first earlier trial with the same settings, in its current state; None if there is none."""
        for other in self.trials()[: trial.number]:
            if other.user_attrs.get(SETTINGS) == trial.settings:
                return other
        return None

    def end(self, trial: Trial, state: TrialState, value: float | None, reason: str | None = None) -> None:
        """Records a trial's final state and value."""
        with self._lock:
            if reason is not None:
                trial.optuna_trial.set_user_attr("reason", reason)
            self._study.tell(trial.number, value if state == TrialState.COMPLETE else None, state)
            self._write_table()

    def write_table(self) -> None:
        """Writes ``study.json``: every trial as plain data."""
        with self._lock:
            self._write_table()

    def release_trial(self, trial: Trial) -> None:
        """Releases a trial's lock: it has ended, or another process may resume it."""
        del self._own_trials[trial.number]
        trial.lock.release()

    def trials(self) -> list[FrozenTrial]:
        """The trials of all processes, by number."""
        return self._study.get_trials(deepcopy=False)

    def value(self, trial: FrozenTrial) -> float | None:
        """The best score of the trial so far, whose checkpoint is the run's ``best.pt``."""
        return self.plan.goal.best(list(trial.intermediate_values.values()))

    def importances(self) -> dict[str, float]:
        """The importance of each setting, in [0, 1]; empty with too few complete trials or equal values."""
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
        with replacing(self.plan.folder / "study.json") as temporary:
            content = {"name": self.plan.name, **self.plan.identity(), "trials": rows}
            temporary.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
