"""The output of a search: a line per trial, a table at the end, and commands to continue from the best."""

import shlex

from optuna.trial import FrozenTrial, TrialState

from ganexp.runs.saved_run import SavedRun
from ganexp.sweeps.tune.study import Study
from ganexp.system.terminal import align_columns, plural, quoted_override

_STATE_NAMES = {
    TrialState.COMPLETE: "finished",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
    TrialState.RUNNING: "running",
    TrialState.WAITING: "waiting",
}
_TABLE_ROWS = 10  # lines of the table


def start_message(study: Study, total: int) -> str:
    """One line: how many trials there are, and how to continue."""
    ended = sum(trial.state.is_finished() for trial in study.trials())
    done = f", {ended} of them done already" if ended else ""
    return (
        f"study {study.plan.folder}: {plural(total, 'trial')}{done}; the same command with "
        f"name={study.plan.name} continues it, or shares its work from another terminal"
    )


def trial_line(study: Study, trial: FrozenTrial) -> str:
    """One line: a trial's settings, how it ended, its score."""
    value, settings = study.value(trial), " ".join(trial.user_attrs["settings"])
    line = f"trial {trial.number}: {settings}: {_STATE_NAMES[trial.state]}"
    if value is not None:
        line += f", {_score(study, trial)} {value:.4g}"
    if trial.state == TrialState.PRUNED:
        line += f" after {plural(max(trial.intermediate_values), 'epoch')}"
    reason = trial.user_attrs.get("reason")
    if reason is not None:
        line += f" ({reason})"
    best = _ranked(study)
    return line + (", the best so far" if best and best[0].number == trial.number else "")


def end_message(study: Study) -> str:
    """The best trials, the settings' importances, the counts, and commands to train the best further."""
    trials, ranked = study.trials(), _ranked(study)
    lines = [_table(study, ranked[:_TABLE_ROWS])] if ranked else []
    importances = study.importances()
    if importances:
        shares = ", ".join(f"{key} {share:.0%}" for key, share in importances.items())
        lines.append(f"importance of each setting in finished trials: {shares}")
    counts = {name: sum(trial.state == state for trial in trials) for state, name in _STATE_NAMES.items()}
    counted = ", ".join(f"{count} {name}" for name, count in counts.items() if count)
    lines.append(f"trials: {counted or 'none'}; {study.plan.folder}/study.json lists all of them")
    if ranked:
        settings = ranked[0].user_attrs["settings"]
        folder = study.plan.job(settings).folder
        longer = _twice_as_long(SavedRun(folder))
        lines.append(f"to train the best further: ganexp train {quoted_override('resume', folder)}{longer}")
        again = shlex.join([*study.plan.fixed, *settings])
        lines.append(f"to repeat the best:        ganexp train {again}")
    return "\n".join(lines)


def _twice_as_long(run: SavedRun) -> str:
    """Overrides for twice the length: of epochs and, where they are limited, of steps, which end a run too."""
    lengths = {key: run.config.get(key) for key in ("epochs", "max_steps")}
    return "".join(f" {key}={2 * value}" for key, value in lengths.items() if isinstance(value, int))


def _ranked(study: Study) -> list[FrozenTrial]:
    """Finished trials, the best first; of trials with the same settings, only the first."""
    finished = [trial for trial in study.trials() if trial.state == TrialState.COMPLETE]
    sign = 1 if study.plan.goal.lower else -1
    once = {tuple(trial.user_attrs["settings"]): trial for trial in reversed(finished)}
    return sorted(once.values(), key=lambda trial: (sign * (study.value(trial) or 0.0), trial.number))


def _score(study: Study, trial: FrozenTrial) -> str:
    """The score's full name, as in the run's metrics."""
    rows = SavedRun(study.plan.job(trial.user_attrs["settings"]).folder).rows
    named = [score[0] for score in map(study.plan.goal.score, rows) if score is not None]
    return named[0] if named else "score"


def _table(study: Study, trials: list[FrozenTrial]) -> str:
    keys = [setting.split("=", 1)[0] for setting in trials[0].user_attrs["settings"]]
    rows = [["trial", _score(study, trials[0]), "epochs", *keys]]
    for trial in trials:
        values = [setting.split("=", 1)[1] for setting in trial.user_attrs["settings"]]
        rows.append(
            [str(trial.number), f"{study.value(trial):.4g}", str(max(trial.intermediate_values)), *values]
        )
    return align_columns(rows)
