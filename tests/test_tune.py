"""Searches: a space is checked first, trials are plain runs, and the study outlives whatever is killed."""

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import TINY, runs_in, started, until, verb
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.utils import get_class
from optuna.pruners import BasePruner, NopPruner
from optuna.trial import FrozenTrial

from ganexp.cli.hydra_app import hydra_arguments
from ganexp.config.targets import conf_folder
from ganexp.config.validate import VALIDATORS
from ganexp.data.resolvers import register
from ganexp.errors import UserError
from ganexp.runs.bitwise import differences
from ganexp.runs.saved_run import SavedRun
from ganexp.sweeps.tune.goal import read_goal
from ganexp.sweeps.tune.plan import read_plan
from ganexp.sweeps.tune.space import draw, read_space
from ganexp.sweeps.tune.storage import open_study
from ganexp.sweeps.tune.study import Study

RUN = [*TINY[:5], "features=pixels", "metrics=swd", "evaluate.count=100", "device=cpu"]
"""Every trial's."""

DEEP = "[" * 100_000

RATES = ["+space.optim.lr={low:1e-4,high:1e-2,log:true}", "pruner=none"]


def trials(folder: Path, name: str = "s") -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((folder / "outputs" / name / "study.json").read_text())["trials"]
    return found


MISTAKES = {
    "trials=3": "space is empty: add space=rates",
    "space=rats": "space=rats: no such choice of space; did you mean rates? (losses, rates)",
    "space=losses +space.optm.lr={low:1,high:2}": "optm: no such setting",
    "+space.optim.lrr={low:1,high:2}": "optim.lrr: no such setting; did you mean lr?",
    "space=rates space.optim.lr.low=1": "space.optim.lr.low=1.0: should be below high=0.002",
    "space=rates space.optim.lr.low=-1": "space.optim.lr.low=-1.0: should be above 0 with log=true",
    "space=rates +space.optim.lr.step=1": "space.optim.lr.step=1.0: cannot be combined with log=true",
    "space=rates space.optim.lr.low=small": "space.optim.lr.low=small: should be a valid number",
    "space=rates +space.optim.lr.lower=1": "space.optim.lr.lower: no such setting of space.optim.lr",
    "space=rates space.optim.lr.log=false space.optim.lr.low=-1": "optim.lr=-1: should be greater than 0",
    "+space.seed={low:1,high:3}": "seed=1.764: should be a valid integer",
    "+space.seed={low:1.5,high:3,integer:true}": "space.seed.low=1.5: should be a valid integer",
    "+space.seed={choices:[]}": "space.seed.choices=[]: list should have at least 1 item",
    "+space.seed={choices:[1,1]}": "space.seed.choices=[1, 1]: a value occurs twice",
    "+space.seed=3": "should be {low: ..., high: ...} or {choices: [...]}",
    "+space.loss={choices:[gan,wgna]}": "loss=wgna: no such choice of loss; did you mean wgan?",
    "space=[rates,losses] +space.optim.eps={choices:[1,-1]}": "optim.eps=-1: should be greater than 0",
    "space=rates -- optim.lr=1": "optim.lr is in the space",
    "space=rates -- name=x": "name=x: not allowed after --",
    "space=rates -- optim.lrr=1": "optim.lrr: no such setting",
    "space=rates -- evaluate.every=null": "evaluate.every=null: a search needs scores",
    "space=rates data=mnist": "data=mnist: settings of the runs stand behind --: "
    "ganexp tune space=rates -- data=mnist",
    "lr=1 space=losses game.n_critic=2 -- seed=1": "lr=1 game.n_critic=2: settings of the runs stand behind "
    "--: ganexp tune space=losses -- optim.lr=1 game.n_critic=2 seed=1",
    "space=rates +experiment=quick ~augment": "ganexp tune space=rates -- +experiment=quick '~augment'",
    "space=rates resume=x": "resume: no such setting",
    "space=rates goal=fdi": "goal=fdi: unknown score; did you mean fid?",
    "space=rates goal=fid direction=up": "direction=up: should be 'lower' or 'higher'",
    "space=rates trials=0": "trials=0: should be greater than or equal to 1",
    "space=rates sampler.startup=0": "sampler.startup=0: should be greater than or equal to 1",
    "space=rates pruner.factor=1": "pruner.factor=1: should be greater than or equal to 2",
    "space=rates pruner=halvin": "pruner=halvin: no such choice of pruner; did you mean halving?",
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_one_line_before_anything_starts(
    mistake: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    from ganexp.cli import main

    with pytest.raises(SystemExit) as ended:
        main._report_errors(lambda: verb(monkeypatch, tmp_path, "tune", *mistake.split(" ")))
    told = capfd.readouterr().err.strip().splitlines()
    assert ended.value.code == 2
    assert len(told) == 1 and told[0].startswith("ganexp: "), told
    assert MISTAKES[mistake] in told[0]
    assert list(tmp_path.iterdir()) == [], "nothing is made"


def test_without_optuna(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("ganexp.config.validate.find_spec", lambda name: None)
    with pytest.raises(SystemExit) as ended:
        verb(monkeypatch, tmp_path, "tune", "space=rates")
    assert ended.value.code == 2
    assert capfd.readouterr().err == "ganexp: ganexp tune needs Optuna: pip install -e '.[tune]'\n"


def test_trials_are_plain_runs_and_the_same_line_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """What was run is not run again: not by the same line, not where it is drawn twice, not run by hand."""
    line = ["+space.seed={choices:[1,2]}", "name=s", "sampler=random", "--", *RUN, "epochs=2"]
    verb(monkeypatch, tmp_path, "train", *RUN, "epochs=2", "seed=1", "name=s", "evaluate.every=1")
    (by_hand,) = runs_in(tmp_path / "outputs/s")
    verb(monkeypatch, tmp_path, "tune", "trials=2", *line)
    with (tmp_path / "outputs/s/study.journal").open("a") as journal:
        journal.write('{"op_code":')  # a process died as it wrote
    capfd.readouterr()
    verb(monkeypatch, tmp_path, "tune", "trials=7", *line)
    told, found = capfd.readouterr().out, trials(tmp_path)
    assert "7 trials, 2 of them done already" in told and "trials: 7 finished;" in told
    assert [trial["number"] for trial in found] == list(range(7)) and len(runs_in(tmp_path / "outputs/s")) == 2
    assert by_hand in runs_in(tmp_path / "outputs/s")
    assert not by_hand.with_name(f"{by_hand.name}.log").exists(), "no process was started for it"
    for trial in found:
        record = SavedRun(tmp_path / "outputs/s" / trial["run"])
        assert record.status == "finished" and record.manifest["sessions"] == 1
        assert record.config["seed"] == int(trial["settings"]["seed"])
        scores = [row["score/swd"] for row in record.rows]
        assert trial["epochs"] == {"1": scores[0], "2": scores[1]} and trial["value"] == min(scores)
    best = min(found, key=lambda trial: (trial["value"], trial["number"]))
    assert f"the best further: ganexp train resume=outputs/s/{best['run']} epochs=4" in told
    with pytest.raises(SystemExit):
        verb(monkeypatch, tmp_path, "tune", "trials=7", *line[:-1], "epochs=3")
    assert "outputs/s holds another study (train differs)" in capfd.readouterr().err


def test_the_best_can_be_trained_further_where_steps_were_limited(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    line = ["+space.seed={choices:[1]}", "trials=1", "name=s", "--", *RUN, "max_steps=3", "epochs=2"]
    verb(monkeypatch, tmp_path, "tune", *line)
    further = capfd.readouterr().out.partition("the best further: ganexp train ")[2].split("\n")[0].split()
    assert further[1:] == ["epochs=4", "max_steps=6"]
    verb(monkeypatch, tmp_path, "train", *further)
    assert SavedRun(runs_in(tmp_path / "outputs/s")[0]).manifest["images"] == 6 * 64


def study(name: str, *overrides: str) -> Study:
    """A study below the current folder, as a process of its own would open it."""
    register()
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(conf_folder()), version_base="1.3"):
        cfg = VALIDATORS["tune"](compose("tune", overrides=["space=rates", f"name={name}", *overrides]), [])
        return Study(read_plan(cfg), cfg)


def test_what_stands_behind_the_dashes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    *first, train = hydra_arguments(
        "tune", ["space=rates", "--", "data=mnist", "data.root=~/a b", "optim.eps=1e-7"]
    )
    assert first == ["space=rates"]
    plan = study("s", train).plan
    assert plan.fixed[:2] == ("data=mnist", f"data.root='{tmp_path}/a b'")


def test_who_takes_which_trial(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    line = ["trials=3", "sampler=random"]
    one, two = study("s", *line), study("s", *line)
    taken = [one.acquire_trial(), two.acquire_trial(), one.acquire_trial()]
    assert one.acquire_trial() is None and two.acquire_trial() is None, "three in all, not three each"
    first, second, third = (trial for trial in taken if trial is not None)
    assert [first.number, second.number, third.number] == [0, 1, 2]
    assert len({tuple(trial.settings) for trial in (first, second, third)}) == 3
    one.release_trial(first)  # as when its process dies
    again = two.acquire_trial()
    assert again is not None and (again.number, again.settings) == (0, first.settings)
    assert two.acquire_trial() is None and one.acquire_trial() is None
    alone = study("alone", *line)
    drawn = [alone.acquire_trial() for _ in range(3)]
    assert [trial.settings for trial in drawn if trial] == [first.settings, second.settings, third.settings]
    with pytest.raises(UserError, match="outputs/s holds another study"):
        study("s", *line, "goal=kid")


@pytest.mark.parametrize("file", sorted((conf_folder() / "space").glob("*.yaml")), ids=lambda file: file.stem)
def test_every_space_is_sound(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    found = study("s", f"space={file.stem}", "sampler=random", "trials=20")
    for _ in range(20):
        trial = found.acquire_trial()
        assert trial is not None and len(trial.settings) == len(found.plan.space)


def test_numbers_are_short_and_never_beyond_an_end() -> None:
    from optuna.trial import FixedTrial

    space = read_space({"optim": {"lr": {"low": 1e-4, "high": 0.99999999}, "eps": {"low": 1, "high": 2}}})
    assert draw(space, FixedTrial({"optim.lr": 0.000123456789, "optim.eps": 2.0})) == [
        "optim.lr=0.000123457",
        "optim.eps=2",
    ]
    assert space["optim.lr"].draw(FixedTrial({"optim.lr": 0.99999999}), "optim.lr") == "0.99999999"
    values = read_space({"penalties": {"choices": [None, "r1", ["r1", "r2"], True, 1, 0.5]}})["penalties"]
    assert values.examples() == ["null", "r1", "[r1,r2]", "true", "1", "0.5"]


def test_what_is_known_of_scores_is_what_the_metrics_say() -> None:
    for file in (conf_folder() / "metrics").glob("*.yaml"):
        ((name, node),) = yaml.safe_load(file.read_text()).items()
        metric: Any = get_class(node["_target_"])
        first = next(iter(metric.SCORES.values()))
        if first == "unknown":
            with pytest.raises(UserError, match="add direction=lower or higher"):
                read_goal(None, None, {name: node})
            continue
        assert read_goal(None, None, {name: node}).lower == (first == "lower")


class Second(BasePruner):
    """Gives up whatever has come to its second epoch."""

    def prune(self, study: Any, trial: FrozenTrial) -> bool:
        return trial.last_step is not None and trial.last_step >= 2


def test_a_hopeless_run_is_stopped_and_a_failing_one_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("ganexp.sweeps.tune.choices.NopPruner", Second)
    space = "+space.seed={choices:[1,2]}"
    with pytest.raises(SystemExit) as ended:  # only a run can know what its metrics ask of the data
        verb(monkeypatch, tmp_path, "tune", space, "trials=1", "name=f", "--", *RUN, "metrics=modes")
    assert ended.value.code == 1
    told = capfd.readouterr()
    assert "failed (metrics=modes counts modes that are known" in told.err and "every trial failed" in told.err
    (failed,) = trials(tmp_path, "f")
    assert failed["state"] == "fail" and failed["value"] is None
    line = ["trials=3", "name=s", "pruner=none", "goal=swd", "slots=2", "--", *RUN, "epochs=100000"]
    verb(monkeypatch, tmp_path, "tune", "+space.seed={choices:[2]}", *line)
    out = capfd.readouterr().out
    assert "trials: 3 pruned;" in out and "seed=2: pruned, swd" in out
    assert out.count("(same settings as trial 0)") == 2, "one folder, one process"
    assert [trial["state"] for trial in trials(tmp_path)] == ["pruned"] * 3
    (run,) = runs_in(tmp_path / "outputs/s")
    record = SavedRun(run)
    assert record.status == "interrupted" and record.manifest["reason"] == "SIGTERM"
    assert len(record.rows) >= 2 and record.manifest["sessions"] == 1
    assert record.manifest["saved"] > 0, "and it can go on"


def test_a_search_that_is_killed_loses_no_trial(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    line = [*RATES, "name=s", "sampler=random", "trials=2", "--", *RUN, "epochs=20"]
    process = started(tmp_path, "tune", *line)
    until(lambda: len(list(tmp_path.glob("outputs/s/*/checkpoints/last.pt"))) == 1)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    (begun,) = runs_in(tmp_path / "outputs/s")
    out, errors = started(tmp_path, "tune", *line).communicate(timeout=300)
    assert "trials: 2 finished;" in out, errors
    found = trials(tmp_path)
    assert [trial["number"] for trial in found] == [0, 1] and found[0]["run"] == begun.name
    assert [len(trial["epochs"]) for trial in found] == [20, 20]
    assert json.loads((begun / "run.json").read_text())["sessions"] == 2, "it went on where it was"
    drawn = f"optim.lr={found[0]['settings']['optim.lr']}"
    verb(monkeypatch, tmp_path, "train", *RUN, "epochs=20", "evaluate.every=1", drawn, "name=t")
    (alone,) = runs_in(tmp_path / "outputs/t")
    assert alone.name == begun.name, "typed by hand, it is the same run"
    assert list(differences(begun, alone)) == [], "bit for bit"


def test_two_processes_share_one_study_and_ctrl_c_stops_one(tmp_path: Path) -> None:
    line = [*RATES, "name=s", "trials=3", "--", *RUN]
    first, second = started(tmp_path, "tune", *line, "epochs=20"), started(tmp_path, "tune", *line, "epochs=20")
    until(lambda: len(list(tmp_path.glob("outputs/s/*/checkpoints/last.pt"))) >= 2)
    first.send_signal(signal.SIGINT)
    out, errors = first.communicate(timeout=120)
    assert first.returncode == 130 and "Traceback" not in errors and " running" in out
    out, errors = second.communicate(timeout=300)
    assert second.returncode == 0 and "trials: 3 finished;" in out, errors
    found = trials(tmp_path)
    assert len({trial["run"] for trial in found}) == len(runs_in(tmp_path / "outputs/s")) == 3
    assert all(len(trial["epochs"]) == 20 for trial in found), "what the first left, the second finished"


@pytest.mark.parametrize("content", ["garbage\n", '{"study": 1}\n', "[1, 2]\n", DEEP + "\n"])
def test_a_damaged_journal_is_told_in_a_line(tmp_path: Path, content: str) -> None:
    (tmp_path / "outputs/s").mkdir(parents=True)
    (tmp_path / "outputs/s/study.journal").write_text(content)
    process = started(tmp_path, "tune", *RATES, "trials=1", "name=s", "--", *RUN)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 2 and "study.journal is damaged" in errors and "Traceback" not in errors


@pytest.mark.parametrize(
    "line",
    [
        '{"op_code": 99, "worker_id": "x"}',
        '{"op_code": "x", "worker_id": "x"}',
        "NaN",
        '{"op_code": 4, "worker_id": "x", "study_id": 0, "datetime_start": "then"}',
        '{"op_code": 4, "worker_id": "x", "study_id": 0, "datetime_start": "2026-01-01T00:00:00", "state": 1}',
    ],
)
def test_a_line_that_optuna_never_wrote_is_damage(tmp_path: Path, line: str) -> None:
    (tmp_path / ".locks").mkdir()
    open_study(tmp_path, lower=True, pruner=NopPruner())
    with (tmp_path / "study.journal").open("a") as journal:
        journal.write(f"{line}\n")
    with pytest.raises(UserError, match=r"study\.journal is damaged"):
        open_study(tmp_path, lower=True, pruner=NopPruner())


def test_a_journal_that_is_a_named_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "study.journal")
    with pytest.raises(OSError, match="no regular file"):
        open_study(tmp_path, lower=True, pruner=NopPruner())
