"""The search: takes trials from the study, runs them in parallel, and stops those that the pruner rejects."""

import time
from typing import Any

from omegaconf import DictConfig
from optuna.trial import FrozenTrial, TrialState
from tqdm import tqdm

from ganexp.errors import UserError, print_to_stderr, readable
from ganexp.runs.saved_run import SavedRun
from ganexp.sweeps.process_pool import POLL_INTERVAL, Process, Slots, update_bar
from ganexp.sweeps.sweep import is_done
from ganexp.sweeps.tune.plan import read_plan
from ganexp.sweeps.tune.report import end_message, start_message, trial_line
from ganexp.sweeps.tune.study import Study, Trial
from ganexp.system.signals import SignalHandler
from ganexp.system.terminal import print_lines


def search(cfg: DictConfig) -> None:
    """Runs a validated search until all trials have ended, the time limit is reached, or a signal arrives.

    Raises UserError; raises Stopped on a signal, after the active runs have saved.
    """
    study = Study(read_plan(cfg), cfg)
    print_lines(start_message(study, cfg.trials))
    with (
        SignalHandler() as signals,
        tqdm(total=cfg.trials, unit=" trials", disable=None, leave=False) as bar,
    ):
        _Search(study, cfg, signals, bar).run()
        bar.close()
        study.write_table()
        print_lines(end_message(study))
        signals.raise_if_pending()
    states = {trial.state for trial in study.trials()}
    if states == {TrialState.FAIL}:
        raise AllTrialsFailed(
            f"{study.plan.folder}: every trial failed; see the .log files beside their folders"
        )


class AllTrialsFailed(UserError):
    """Every trial failed."""

    status = 1


class _Search:
    """The trials of this process and the loop that runs them."""

    def __init__(self, study: Study, cfg: DictConfig, signals: SignalHandler, bar: "tqdm[Any]") -> None:
        self._study, self._signals, self._bar = study, signals, bar
        self._slots = Slots(cfg.slots)
        self._running: dict[int, Trial] = {}
        """Active trials by slot."""
        self._pruned: set[int] = set()
        """Numbers of pruned trials, whose processes have been sent a signal."""
        self._duplicates: list[Trial] = []
        """Trials that wait for an earlier trial with the same settings to end."""
        self._deadline = None if cfg.minutes is None else time.monotonic() + 60 * cfg.minutes
        self._stopping = False

    def run(self) -> None:
        """Returns when no trial is left, or when all active runs have saved and stopped."""
        try:
            while True:
                self._stop_if_requested()
                self._end_duplicates()
                self._start_trials()
                idle = not (
                    self._running or (self._duplicates and not self._stopping) or self._study.orphans_running
                )
                if idle or (self._stopping and not self._running):
                    break
                time.sleep(POLL_INTERVAL)
                self._poll_runs()
                ended = sum(trial.state.is_finished() for trial in self._study.trials())
                update_bar(self._bar, ended, self._slots)
        except BaseException:
            self._slots.stop()  # a second signal: stop without waiting
            raise
        finally:
            for trial in [*self._running.values(), *self._duplicates]:
                self._study.release_trial(trial)

    def _stop_if_requested(self) -> None:
        timed_out = self._deadline is not None and time.monotonic() > self._deadline
        if self._stopping or not (timed_out or self._signals.pending is not None):
            return
        self._stopping = True
        if timed_out:
            tqdm.write(
                "time limit reached: the running trials save and stop; the same command continues the search"
            )
        for slot, trial in self._running.items():
            if trial.number not in self._pruned:  # already signalled; a second signal would prevent its saving
                self._slots.running[slot].stop()

    def _start_trials(self) -> None:
        while not self._stopping and self._slots.free:
            trial = self._study.acquire_trial()
            if trial is None:
                return
            if self._study.original_of(trial) is not None:
                self._duplicates.append(trial)
                self._end_duplicates()
            elif not self._reuse_ended_run(trial):
                self._running[self._slots.start(trial.job).slot] = trial

    def _reuse_ended_run(self, trial: Trial) -> bool:
        """If the trial's run has ended before, ends the trial with its result; returns whether it has."""
        if not (trial.job.folder / "config.yaml").is_file():
            return False
        if not is_done(trial.job.folder, self._study.plan.trial_config(trial.settings)):
            return False
        record = SavedRun(trial.job.folder)
        trial.report(self._study.plan.goal.series(record))
        self._end(trial, record, None if record.status == "finished" else record.status)
        return True

    def _end_duplicates(self) -> None:
        """Ends each duplicate with the result of the earlier trial, once that one has ended."""
        for trial in list(self._duplicates):
            original = self._study.original_of(trial)
            assert original is not None
            if original.state.is_finished():
                self._duplicates.remove(trial)
                for epoch, value in original.intermediate_values.items():
                    trial.optuna_trial.report(value, epoch)
                self._study.end(
                    trial, original.state, original.value, f"same settings as trial {original.number}"
                )
                self._print_and_release(trial)

    def _poll_runs(self) -> None:
        """Reports the runs' new scores, prunes, and handles the runs that have ended."""
        ended = {process.slot: process for process in self._slots.pop_ended()}
        for slot, trial in list(self._running.items()):
            record = SavedRun(trial.job.folder)
            if trial.number not in self._pruned:
                should_prune = trial.report(self._study.plan.goal.series(record))
                if should_prune and slot not in ended and not _has_logged_last_epoch(record):
                    self._prune(trial, self._slots.running[slot])
            if slot in ended:
                self._handle_ended(trial, ended[slot], record)
                del self._running[slot]

    def _prune(self, trial: Trial, process: Process) -> None:
        self._pruned.add(trial.number)
        self._study.end(trial, TrialState.PRUNED, None)
        self._print_trial(trial)
        process.stop()  # it saves, so that a user can resume it later

    def _handle_ended(self, trial: Trial, process: Process, record: SavedRun) -> None:
        if trial.number in self._pruned:
            self._study.release_trial(trial)
        elif process.popen.returncode == 0:
            self._end(trial, record, None)
        elif self._stopping and record.status in ("interrupted", "finished", "unknown"):
            self._study.release_trial(trial)  # the same command resumes it
        else:
            self._end(trial, record, process.failure_reason())

    def _end(self, trial: Trial, record: SavedRun, failure: str | None) -> None:
        goal = self._study.plan.goal
        value = goal.best(list(goal.series(record).values()))
        if failure is None and value is None:
            failure = f"no score {goal.name}" if goal.name else "no score"
        state = TrialState.COMPLETE if failure is None else TrialState.FAIL
        self._study.end(trial, state, value, failure)
        self._print_and_release(trial)

    def _print_and_release(self, trial: Trial) -> None:
        self._print_trial(trial)
        self._study.release_trial(trial)

    def _print_trial(self, trial: Trial) -> None:
        now: FrozenTrial = self._study.trials()[trial.number]
        line = trial_line(self._study, now)
        if now.state != TrialState.FAIL:
            tqdm.write(readable(line))
            return
        with tqdm.external_write_mode():
            print_to_stderr(line)


def _has_logged_last_epoch(record: SavedRun) -> bool:
    """Whether a run has logged its last epoch, so that only its last checkpoint is still to be written."""
    return bool(record.last_rows) and record.last_rows[-1].get("step") == record.manifest.get("steps")
