"""The output of a search: a line per trial, a table at the end, and commands to continue from the best."""

import shlex

from optuna.trial import FrozenTrial, TrialState

from ganexp.runs.saved_run import SavedRun
from ganexp.sweeps.tune.study import Study
from ganexp.system.terminal import align_columns, quoted_override

_ENDS = {
    TrialState.COMPLETE: "finished",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
    TrialState.RUNNING: "under way",
    TrialState.WAITING: "waiting",
}
_BEST = 10  # lines of the table


def introduction(study: Study, total: int) -> str:
    """One line: how many trials there are, and how to continue."""
    ended = sum(trial.state.is_finished() for trial in study.trials())
    done = f", {ended} of them done already" if ended else ""
    return (
        f"study {study.plan.folder}: {total} trials{done}; the same line with name={study.plan.name} goes on, "
        "or helps, in another terminal"
    )


def trial_line(study: Study, trial: FrozenTrial) -> str:
    """One line: a trial's settings, how it ended, its score."""
    value, settings = study.value(trial), " ".join(trial.user_attrs["settings"])
    told = f"trial {trial.number}: {settings}: {_ENDS[trial.state]}"
    if value is not None:
        told += f", {_score(study, trial)} {value:.4g}"
    if trial.state == TrialState.PRUNED:
        told += f" after {max(trial.intermediate_values)} epochs"
    reason = trial.user_attrs.get("reason")
    if reason is not None:
        told += f" ({reason})"
    best = _ranked(study)
    return told + (", the best so far" if best and best[0].number == trial.number else "")


def closing(study: Study) -> str:
    """The best trials, the settings' importances, the counts, and commands to train the best further."""
    trials, ranked = study.trials(), _ranked(study)
    lines = [_table(study, ranked[:_BEST])] if ranked else []
    importances = study.importances()
    if importances:
        told = ", ".join(f"{key} {share:.0%}" for key, share in importances.items())
        lines.append(f"what mattered, of finished trials: {told}")
    counts = {name: sum(trial.state == state for trial in trials) for state, name in _ENDS.items()}
    told = ", ".join(f"{count} {name}" for name, count in counts.items() if count)
    lines.append(f"trials: {told or 'none'}; {study.plan.folder}/study.json has all of them")
    if ranked:
        settings = ranked[0].user_attrs["settings"]
        folder = study.plan.job(settings).folder
        epochs = SavedRun(folder).config.get("epochs")
        longer = f" epochs={2 * epochs}" if isinstance(epochs, int) else ""
        lines.append(f"the best further: ganexp train {quoted_override('resume', folder)}{longer}")
        again = shlex.join([*study.plan.fixed, *settings])
        lines.append(f"the best anew:    ganexp train {again}")
    return "\n".join(lines)


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
