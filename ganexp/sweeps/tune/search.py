"""The search: takes trials from the study, runs them in parallel, and stops those that the pruner rejects."""

import time
from typing import Any

from omegaconf import DictConfig
from optuna.trial import FrozenTrial, TrialState
from tqdm import tqdm

from ganexp.errors import UserError, print_to_stderr, readable
from ganexp.runs.saved_run import SavedRun
from ganexp.sweeps.process_pool import GLANCE, Process, Slots, show
from ganexp.sweeps.sweep import is_done
from ganexp.sweeps.tune.plan import read_plan
from ganexp.sweeps.tune.report import closing, introduction, trial_line
from ganexp.sweeps.tune.study import Study, Trial
from ganexp.system.signals import SignalHandler
from ganexp.system.terminal import print_lines


def search(cfg: DictConfig) -> None:
    """Runs a validated search until all trials have ended, the time limit is reached, or a signal arrives.

    Raises UserError; raises Stopped on a signal, after the active runs have saved.
    """
    study = Study(read_plan(cfg), cfg)
    print_lines(introduction(study, cfg.trials))
    with (
        SignalHandler() as requests,
        tqdm(total=cfg.trials, unit=" trials", disable=None, leave=False) as bar,
    ):
        _Search(study, cfg, requests, bar).run()
        bar.close()
        study.write_table()
        print_lines(closing(study))
        requests.raise_if_pending()
    states = {trial.state for trial in study.trials()}
    if states == {TrialState.FAIL}:
        raise NothingFound(f"{study.plan.folder}: every trial failed; their logs lie beside their folders")


class NothingFound(UserError):
    """Every trial failed."""

    status = 1


class _Search:
    """The trials of this process and the loop that runs them."""

    def __init__(self, study: Study, cfg: DictConfig, requests: SignalHandler, bar: "tqdm[Any]") -> None:
        self._study, self._requests, self._bar = study, requests, bar
        self._slots = Slots(cfg.slots)
        self._running: dict[int, Trial] = {}
        """Active trials by slot."""
        self._pruned: set[int] = set()
        """Numbers of pruned trials, whose processes have been sent a signal."""
        self._doubles: list[Trial] = []
        """Trials that wait for an earlier trial with the same settings to end."""
        self._deadline = None if cfg.minutes is None else time.monotonic() + 60 * cfg.minutes
        self._stopping = False

    def run(self) -> None:
        """Returns when no trial is left, or when all active runs have saved and stopped."""
        try:
            while True:
                self._stop_if_asked()
                self._settle_doubles()
                self._fill()
                idle = not (self._running or (self._doubles and not self._stopping) or self._study.dying)
                if idle or (self._stopping and not self._running):
                    break
                time.sleep(GLANCE)
                self._look()
                ended = sum(trial.state.is_finished() for trial in self._study.trials())
                show(self._bar, ended, self._slots)
        except BaseException:
            self._slots.stop()  # a second signal: stop without waiting
            raise
        finally:
            for trial in [*self._running.values(), *self._doubles]:
                self._study.let_go(trial)

    def _stop_if_asked(self) -> None:
        over = self._deadline is not None and time.monotonic() > self._deadline
        if self._stopping or not (over or self._requests.pending is not None):
            return
        self._stopping = True
        if over:
            tqdm.write("the minutes are over: what is under way saves and stops, and the same line goes on")
        for slot, trial in self._running.items():
            if trial.number not in self._pruned:  # already signalled; a second signal would prevent its saving
                self._slots.working[slot].stop()

    def _fill(self) -> None:
        while not self._stopping and self._slots.free:
            trial = self._study.take()
            if trial is None:
                return
            if self._study.twin(trial) is not None:
                self._doubles.append(trial)
                self._settle_doubles()
            elif not self._over_already(trial):
                self._running[self._slots.start(trial.job).slot] = trial

    def _over_already(self, trial: Trial) -> bool:
        """Whether the trial's folder already holds this run, ended; its result then becomes the trial's."""
        if not (trial.job.folder / "config.yaml").is_file():
            return False
        if not is_done(trial.job.folder, self._study.plan.composed(trial.settings)):
            return False
        record = SavedRun(trial.job.folder)
        trial.report(self._study.plan.goal.series(record))
        self._end(trial, record, None if record.status == "finished" else record.status)
        return True

    def _settle_doubles(self) -> None:
        """Ends each duplicate with the result of the earlier trial, once that one has ended."""
        for trial in list(self._doubles):
            twin = self._study.twin(trial)
            assert twin is not None
            if twin.state.is_finished():
                self._doubles.remove(trial)
                for epoch, value in twin.intermediate_values.items():
                    trial.handle.report(value, epoch)
                self._study.end(trial, twin.state, twin.value, f"the same as trial {twin.number}")
                self._tell(trial)

    def _look(self) -> None:
        """Reports the runs' new scores, prunes, and handles the runs that have ended."""
        ended = {work.slot: work for work in self._slots.ended()}
        for slot, trial in list(self._running.items()):
            record = SavedRun(trial.job.folder)
            if trial.number not in self._pruned:
                hopeless = trial.report(self._study.plan.goal.series(record))
                if hopeless and slot not in ended and not _at_its_end(record):
                    self._give_up(trial, self._slots.working[slot])
            if slot in ended:
                self._leave(trial, ended[slot], record)
                del self._running[slot]

    def _give_up(self, trial: Trial, work: Process) -> None:
        self._pruned.add(trial.number)
        self._study.end(trial, TrialState.PRUNED, None)
        self._say(trial)
        work.stop()  # it saves, so that a user can resume it later

    def _leave(self, trial: Trial, work: Process, record: SavedRun) -> None:
        if trial.number in self._pruned:
            self._study.let_go(trial)
        elif work.process.returncode == 0:
            self._end(trial, record, None)
        elif self._stopping and record.status in ("interrupted", "finished", "unknown"):
            self._study.let_go(trial)  # the same command resumes it
        else:
            self._end(trial, record, work.reason())

    def _end(self, trial: Trial, record: SavedRun, failure: str | None) -> None:
        goal = self._study.plan.goal
        value = goal.best(list(goal.series(record).values()))
        if failure is None and value is None:
            failure = f"it has no score {goal.name or 'at all'}"
        state = TrialState.COMPLETE if failure is None else TrialState.FAIL
        self._study.end(trial, state, value, failure)
        self._tell(trial)

    def _tell(self, trial: Trial) -> None:
        self._say(trial)
        self._study.let_go(trial)

    def _say(self, trial: Trial) -> None:
        now: FrozenTrial = self._study.trials()[trial.number]
        line = trial_line(self._study, now)
        if now.state != TrialState.FAIL:
            tqdm.write(readable(line))
            return
        with tqdm.external_write_mode():
            print_to_stderr(line)


def _at_its_end(record: SavedRun) -> bool:
    """Whether a run has logged its last epoch, so that only its last checkpoint is still to be written."""
    return bool(record.last_rows) and record.last_rows[-1].get("step") == record.manifest.get("steps")
