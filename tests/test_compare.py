"""Planted runs with known scores: grouped, ranked, counted and told as they are."""

import importlib
import json
import pkgutil
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from conftest import ENVIRONMENT, TINY, Verb, command
from PIL import Image

from ganexp.cli.main import main
from ganexp.compare import formatting, html_report, json_report, markdown_report, sentences
from ganexp.compare.curves import axis, curve
from ganexp.compare.grids import gallery
from ganexp.compare.groups import Comparison, Group, comparisons, differing_settings
from ganexp.compare.measures import measured, scores_of
from ganexp.compare.results import Result, checked_metric, compare, outcome
from ganexp.errors import UserError
from ganexp.metrics.directions import direction_of, shipped_directions
from ganexp.runs.saved_run import SavedRun, find_runs

EVERY = 1000  # images between evaluations


@dataclass
class Planted:
    """A run folder in the making; ``scores`` are the values of an evaluation each."""

    scores: dict[str, Sequence[float | None]]
    seed: int = 0
    loss: str = "gan"
    data: str = "ring"
    status: str = "finished"
    alarms: Sequence[Any] = ()
    choices: dict[str, str] = field(default_factory=dict)
    config: dict[str, Any] = field(default_factory=dict)
    fingerprint: str | None = None

    def write(self, folder: Path) -> SavedRun:
        folder.mkdir(parents=True)
        settings = {"seed": self.seed, "epochs": 2, "loss": {"_target_": self.loss}, "data": {"root": "a"}}
        (folder / "config.yaml").write_text(yaml.safe_dump(settings | self.config))
        length = max(map(len, self.scores.values()), default=0)
        rows = []
        for epoch in range(1, length + 1):
            row: dict[str, Any] = {"epoch": epoch, "images": EVERY * epoch}
            row |= {"sentinel/diversity": 0.9, "speed/images_per_second": 100.0}
            row |= {
                f"score/{name}": values[epoch - 1]
                for name, values in self.scores.items()
                if values[epoch - 1 :]
            }
            rows.append(row)
        (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        receipt: dict[str, Any] = {
            "status": self.status,
            "choices": {"loss": self.loss, "data": self.data, "penalties": "None"} | self.choices,
            "alarms": list(self.alarms),
            "images": EVERY * length,
            "data": {"fingerprint": self.fingerprint or self.data},
        }
        (folder / "run.json").write_text(json.dumps(receipt))
        return SavedRun(folder)


def written(folder: Path, *runs: Planted) -> list[SavedRun]:
    return [run.write(folder / f"{number:02}") for number, run in enumerate(runs)]


def replicates(loss: str, finals: Sequence[float], **more: Any) -> list[Planted]:
    return [Planted({"fid": [value + 1, value]}, seed, loss, **more) for seed, value in enumerate(finals)]


def only(records: Sequence[SavedRun], metric: str | None = None) -> Result:
    (comparison,) = comparisons(records)
    return compare(comparison, metric, "best")


def test_the_seed_and_what_says_how_a_run_is_kept_make_no_group(tmp_path: Path) -> None:
    runs = written(
        tmp_path,
        Planted({}, seed=10),
        Planted({}, seed=9, config={"epochs": 7, "device": {"index": 1}, "name": "else"}),
        Planted({}, seed=1, config={"data": {"root": "moved"}}),
        Planted({}, seed=2, config={"batch_size": 3}),
    )
    (comparison,) = comparisons(runs)
    assert [[run.config["seed"] for run in group.runs] for group in comparison.groups] == [[1, 9, 10], [2]]
    assert differing_settings(runs) == ["batch_size"]


def test_a_label_says_what_differs_and_no_more(tmp_path: Path) -> None:
    lists = {"penalties": {"r1": {"weight": 1}, "r2": {"weight": 2}}}
    runs = written(
        tmp_path,
        Planted({}, choices={"optim": "adam"}),
        Planted({}, choices={"optim": "adam"}, config={"optim": {"lr": 0.1, "eps": 1}}),
        Planted({}, choices={"optim": "adam"}, config={"optim": {"lr": 0.2, "eps": 1}}),
        Planted({}, loss="wgan", choices={"optim": "adam"}, config=lists),
    )
    receipt = json.loads((runs[3].folder / "run.json").read_text())
    del receipt["choices"]["penalties"]  # as in the receipt of a run with several of them
    (runs[3].folder / "run.json").write_text(json.dumps(receipt))
    (comparison,) = comparisons([SavedRun(run.folder) for run in runs])
    assert [group.label for group in comparison.groups] == [
        "loss=gan optim.lr=-",
        "loss=gan optim.lr=0.1",
        "loss=gan optim.lr=0.2",
        "loss=wgan penalties=[r1,r2]",
    ]
    brought = [Planted({}, choices={"optim": "adam"}), Planted({}, loss="wgan", choices={"optim": "rmsprop"})]
    (comparison,) = comparisons(written(tmp_path / "brought", *brought))
    assert [group.label for group in comparison.groups] == ["loss=gan", "loss=wgan"]
    (lone,) = comparisons(runs[:1])
    assert (lone.name, lone.groups[0].label) == ("data=ring", "loss=gan")


def test_other_data_are_another_contest(tmp_path: Path) -> None:
    runs = written(tmp_path, Planted({}), Planted({}, loss="wgan"), Planted({}, data="grid"))
    folders = written(
        tmp_path / "folders",
        Planted({}, data="folder", fingerprint="1", config={"data": {"root": "a.zip"}}),
        Planted({}, data="folder", fingerprint="2", config={"data": {"root": "b.zip"}}),
    )
    found = [(comparison.name, len(comparison.groups)) for comparison in comparisons([*runs, *folders])]
    ways = [("data=folder data.root=a.zip", 1), ("data=folder data.root=b.zip", 1)]
    assert found == [*ways, ("data=grid", 1), ("data=ring", 2)]


def test_a_run_that_never_read_its_data_belongs_to_those_like_it(tmp_path: Path) -> None:
    runs = written(tmp_path, Planted({}), Planted({}, seed=1, status="failed"))
    (runs[1].folder / "run.json").write_text(json.dumps({"status": "failed"}))
    (comparison,) = comparisons(runs)
    assert [len(group.runs) for group in comparison.groups] == [2]


def test_planted_scores_come_out_best_first(tmp_path: Path) -> None:
    runs = written(
        tmp_path,
        *replicates("gan", [10, 11, 12, 13]),
        *replicates("wgan", [1, 2, 3, 4]),
        *replicates("ns", [1.5, 2]),
    )
    result = only(runs)
    assert (result.metric, result.by) == ("fid", "best")
    assert [standing.label for standing in result.standings] == ["loss=ns", "loss=wgan", "loss=gan"]
    wgan = result.standings[1].scores["fid"]
    assert wgan.best is not None and wgan.best.mean == 2.5 and wgan.best.low is not None and wgan.best.n == 4
    assert 1 < wgan.best.low < 2.5
    by_names = {(pair.one, pair.other): pair for pair in result.pairs}
    pair = by_names["loss=wgan", "loss=gan"]
    assert pair.difference.mean == -9 and pair.difference.p == pytest.approx(2 / 70)
    assert pair.corrected == pytest.approx(3 * 2 / 70)  # the smallest of three
    assert not pair.difference.paired  # four pairs of the same seeds could not reach 0.05


def test_the_best_is_the_best_of_a_run_and_the_final_its_last(tmp_path: Path) -> None:
    (run,) = written(tmp_path, Planted({"fid": [3, 1, 2], "recall": [0.1, 0.5, 0.4], "mystery": [1, 2, 3]}))
    assert measured(run, "fid") == (1, 2) and measured(run, "recall") == (0.5, 0.4)
    assert measured(run, "mystery") == (None, 3)
    assert measured(run, "diversity") == (None, 0.9) and measured(run, "none") == (None, None)
    assert scores_of([run]) == ["fid", "recall", "mystery"]


def test_an_infinite_end_is_no_earlier_value(tmp_path: Path) -> None:
    (run,) = written(tmp_path, Planted({"reverse_kl": [0.5, None]}))
    assert measured(run, "reverse_kl") == (0.5, None)
    assert "\N{EN DASH}" in markdown_report.text([only([run])], [])


def test_same_seeds_are_pairs_where_there_are_enough_of_them(tmp_path: Path) -> None:
    noise = [0.0, 5.0, -3.0, 8.0, 2.0, -6.0]
    shifted = [value + shift for value, shift in zip(noise, (1, 1.1, 0.9, 1.2, 1, 0.8), strict=True)]
    runs = written(tmp_path, *replicates("gan", noise), *replicates("wgan", shifted))
    (pair,) = only(runs).pairs
    assert pair.difference.paired and pair.difference.p == pytest.approx(2 / 2**6)
    (other,) = only([run for run in runs if run.config["seed"] != 5 or run.choices["loss"] == "gan"]).pairs
    assert not other.difference.paired and other.difference.p > 0.3


def test_every_direction_is_that_of_the_metric() -> None:
    import ganexp.metrics
    from ganexp.metrics.metric import Metric

    names = [module.name for module in pkgutil.iter_modules(ganexp.metrics.__path__)]
    modules = [importlib.import_module(f"ganexp.metrics.{name}") for name in names]
    kinds = [kind for module in modules for kind in vars(module).values() if isinstance(kind, type)]
    metrics = {kind.__name__: kind for kind in kinds if issubclass(kind, Metric) and kind is not Metric}
    called = {
        "FID": "fid_cnn",
        "KID": "kid_random",
        "InceptionScore": "cnn_score",
        "Precision": "precision",
        "Recall": "recall_cnn",
        "Density": "density_pixels",
        "Coverage": "coverage",
        "SlicedWasserstein": "swd",
        "ModeCoverage": "modes",
        "ClassAccuracy": "accuracy_cnn",
        "IntraFID": "intra_fid_cnn",
        "IntraRecall": "intra_recall_cnn",
        "ClassificationAccuracy": "cas",
        "CodeAccuracy": "code_accuracy_cnn",
        "CodeCorrelation": "code_slant",
        "Memorisation": "memorisation_cnn",
        "PSNR": "psnr",
        "SSIM": "ssim",
        "MultiScaleSSIM": "ms_ssim",
        "Colourfulness": "colourfulness",
        "Identity": "identity_cnn",
        "LPIPS": "lpips",
        "LabelMaps": "mean_iou",
        "TargetDomain": "target_domain",
        "LabelChange": "changed",
        "StyleDistance": "style_distance",
    }
    assert metrics.keys() == called.keys()
    for name, kind in metrics.items():
        assert direction_of(called[name], shipped_directions()) == next(iter(kind.SCORES.values()))
    for score in ("kid_std", "cnn_score_std", "reverse_kl"):
        assert direction_of(score, shipped_directions()) == "lower"
    assert (
        direction_of("fidelity", shipped_directions())
        == direction_of("diversity", shipped_directions())
        == "unknown"
    )


def test_how_runs_ended_is_counted(tmp_path: Path) -> None:
    runs = written(
        tmp_path,
        *replicates("gan", [1, 2]),
        Planted({"fid": [3]}, 2, status="interrupted"),
        Planted({"fid": [9]}, 3, alarms=[{"kind": "collapsed", "line": "mode collapse"}]),
        Planted({}, 4, status="failed"),
    )
    result = only(runs)
    (standing,) = result.standings
    assert (
        formatting.outcome_counts(standing) == "2 finished, 1 interrupted, 1 finished but collapsed, 1 failed"
    )
    assert outcome(runs[3]) == "finished but collapsed"
    told = sentences.headline(result)
    for part in ("loss=gan on data=ring: fid 3.750", "1 of 5 runs collapsed", "1 of 5 runs failed"):
        assert part in told
    assert "1 of 5 runs has no score: 04." in sentences.warnings(result)
    assert any("0 to 2,000" in line for line in sentences.warnings(result))
    assert "(n=4)\\*" in markdown_report.text([result], [])  # one has no score, and some may go on


def test_sentences_say_what_is_larger_than_chance(tmp_path: Path) -> None:
    few = only(written(tmp_path / "few", *replicates("gan", [10, 11, 12]), *replicates("wgan", [1, 2, 3])))
    told = " ".join(sentences.difference_sentences(few))
    assert "Not significant: 1 of 1 difference." in told and "smallest possible p is 0.1." in told
    assert (
        "With 4 runs in each group" in told
        and "not significantly better than any other" in sentences.headline(few)
    )
    more = only(
        written(tmp_path / "more", *replicates("gan", [10, 11, 12, 13]), *replicates("wgan", [1, 2, 3, 4]))
    )
    assert sentences.headline(more).endswith("; significantly better than loss=gan (p = 0.029)")
    assert sentences.difference_sentences(more)[0].startswith(
        "loss=wgan is significantly better than loss=gan: a difference of -9"
    )
    losses = [run for loss in "abcd" for run in replicates(loss, [1, 2, 3, 4])]
    many = " ".join(sentences.difference_sentences(only(written(tmp_path / "many", *losses))))
    assert "is 0.029, and after correction for 6 pairs 0.17. With 5 runs in each group" in many
    assert sentences.headline(only(find_runs([tmp_path / "many"]))).startswith(
        "loss=a, loss=b, loss=c, loss=d share the best fid"
    )
    one = only(written(tmp_path / "one", *replicates("gan", [10]), *replicates("wgan", [1])))
    assert "too few runs for a test" in sentences.headline(one)
    assert "add seeds" in sentences.difference_sentences(one)[0]


def test_what_makes_a_comparison_doubtful_is_told(tmp_path: Path) -> None:
    runs = written(
        tmp_path,
        Planted({"fid": [1, 2]}, config={"evaluate": {"count": 100}}),
        Planted({"fid": [1]}, config={"evaluate": {"count": 200}}),
    )
    told = " ".join(sentences.warnings(only(runs)))
    for part in ("1,000 to 2,000", "evaluate.count is 100 or 200", "seed 0 more than once"):
        assert part in told


def test_runs_without_scores_compare_by_diversity(train: Verb) -> None:
    train(*TINY, "epochs=1")
    result = only(find_runs(["outputs"]))
    assert result.metric == "diversity" and "evaluate.every=null" in " ".join(sentences.warnings(result))
    assert "images_per_second" in markdown_report.text([result], [])


def test_a_metric_that_no_run_has(tmp_path: Path) -> None:
    runs = written(tmp_path, *replicates("gan", [1, 2]))
    assert checked_metric("score/fid", runs) == "fid" and checked_metric(None, runs) is None
    with pytest.raises(UserError, match="did you mean fid"):
        checked_metric("fdi", runs)


def test_a_strangers_text_stays_text(tmp_path: Path) -> None:
    evil = "<script>alert(1)</script>"
    runs = written(
        tmp_path,
        Planted(
            {f"fid{evil}": [1]},
            choices={"loss": evil},
            alarms=[{"kind": "collapsed", "line": f"{evil}\x1b[2J"}],
        ),
        Planted({f"fid{evil}": [2]}, loss="wgan", config={"data": {"x": evil}}, alarms=["no alarm"]),
    )
    results = [only(runs)]
    page = html_report.page(results, [])
    assert page.count("<script>") == 1 and "&lt;script&gt;alert(1)" in page and "\x1b" not in page
    assert "<script" not in markdown_report.text(results, []).replace("\\<", "")
    assert json.loads(json_report.text(results, []))["comparisons"][0]["groups"]


def test_the_page_needs_nothing_but_itself(tmp_path: Path) -> None:
    runs = written(tmp_path, *replicates("gan", [1, 2]), *replicates("wgan", [3, 4]))
    page = html_report.page([only(runs)], [])
    assert not re.search(r"https?:|url\(|@import|<link", page.replace("http-equiv", ""))
    assert all(source.startswith("data:") for source in re.findall(r'(?:src|href)="([^"]*)"', page))
    assert page.count('<th scope="col"><button type="button">') > 4 and page.count("<polyline") > 4


def test_the_same_runs_give_the_same_report_and_numbers_are_numbers(tmp_path: Path) -> None:
    runs = written(
        tmp_path, *replicates("gan", [1, 2, 4]), *replicates("wgan", [3, 4, 9]), Planted({"swd": [None]}, 7)
    )
    reports = [
        report([only(runs)], []) for report in (html_report.page, markdown_report.text, json_report.text)
    ]
    again = [
        report([only(find_runs([tmp_path]))], [])
        for report in (html_report.page, markdown_report.text, json_report.text)
    ]
    assert reports == again

    def refuse(word: str) -> None:
        raise AssertionError(word)

    (comparison,) = json.loads(reports[2], parse_constant=refuse)["comparisons"]
    gan = next(group for group in comparison["groups"] if group["label"] == "loss=gan")
    assert gan["scores"]["fid"]["best"]["mean"] == pytest.approx(7 / 3)
    assert gan["runs"][0]["scores"]["fid"] == {"best": 1.0, "final": 1.0, "series": [[1000, 2.0], [2000, 1.0]]}


def _paint(run: SavedRun, epoch: int, shade: int) -> None:
    (run.folder / "samples").mkdir(exist_ok=True)
    Image.fromarray(np.full((600, 600), shade, np.uint8)).save(run.folder / "samples" / f"epoch_{epoch:04}.png")


def test_grids_are_shown_after_as_many_images(tmp_path: Path) -> None:
    runs = written(
        tmp_path, Planted({"fid": [1, 2, 3]}), Planted({"fid": [1, 2]}, 1), Planted({"fid": [5, 4]}, 0, "w")
    )
    for run in runs:
        for epoch in range(1, len(run.rows) + 1):
            _paint(run, epoch, 50 * epoch)
    (comparison,) = comparisons(runs)
    found = gallery(comparison.groups, budget=10**6)
    told = [(grid.label, grid.seed, grid.images) for grid in (*found.firsts, *found.others)]
    assert told == [("loss=gan", "0", 2000), ("loss=w", "0", 2000), ("loss=gan", "1", 2000)]
    assert all(grid.uri.startswith("data:image/") and len(grid.uri) < 5000 for grid in found.firsts)
    scarce = gallery(comparison.groups, budget=len(found.firsts[0].uri))
    assert (len(scarce.firsts), len(scarce.others), scarce.left_out) == (1, 0, 2)


def test_a_grid_that_is_none_or_lies_elsewhere_is_not_shown(tmp_path: Path) -> None:
    runs = written(
        tmp_path / "runs", Planted({"fid": [1]}), Planted({"fid": [1]}, 0, "w"), Planted({"fid": [1]}, 0, "x")
    )
    for run in runs:
        _paint(run, 1, 9)
    file = runs[0].folder / "samples" / "epoch_0001.png"
    file.write_bytes(file.read_bytes()[:90])
    linked = runs[1].folder / "samples" / "epoch_0001.png"
    linked.rename(tmp_path / "private.png")
    linked.symlink_to(tmp_path / "private.png")
    (comparison,) = comparisons(runs)
    assert [grid.label for grid in gallery(comparison.groups, 10**6).firsts] == ["loss=x"]


def test_a_curve_is_the_mean_where_half_of_the_runs_are(tmp_path: Path) -> None:
    runs = written(tmp_path, Planted({"fid": [4, 2, 9]}), Planted({"fid": [6, 3]}, 1), Planted({"fid": [5]}, 2))
    found = curve(0, Group("gan", runs), "fid")
    assert found.points == [(1000, 5.0, 4.0, 6.0, 3), (2000, 2.5, 2.0, 3.0, 2)]
    assert curve(0, Group("gan", runs), "none").points == []


def test_an_axis_has_round_marks() -> None:
    assert axis([0.0, 100.0], may_be_logarithmic=False).ticks == [0, 25, 50, 75, 100]
    assert axis([3.0, 300.0], may_be_logarithmic=True).ticks == [5, 10, 20, 50, 100, 200]
    assert not axis([3.0, 29.0], may_be_logarithmic=True).logarithmic
    for values in ([2.0, 2.0], [0.0], [-1e-9, 1e9]):
        found = axis(values, may_be_logarithmic=True)
        assert found.ticks and found.low < found.high
        assert all(0 <= found.position(value) <= 1 for value in (*values, *found.ticks))


def told_by(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *arguments: str) -> str:
    monkeypatch.setattr(sys, "argv", ["ganexp", "compare", *arguments])
    main()
    return capsys.readouterr().out


def test_the_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    runs = written(tmp_path / "sweep", *replicates("gan", [5, 6]), *replicates("wgan", [3, 4]))
    (tmp_path / "sweep" / "damaged").mkdir()
    for file in ("config.yaml", "run.json"):
        (tmp_path / "sweep" / "damaged" / file).touch()
    told = told_by(capsys, monkeypatch, "sweep")
    assert told.index("loss=wgan  3.500") < told.index("loss=gan ") and "not compared" in told
    assert {file.name for file in (tmp_path / "sweep").glob("report.*")} == {
        "report.html",
        "report.md",
        "report.json",
    }
    told_by(capsys, monkeypatch, str(runs[0].folder), "by=final")
    assert (tmp_path / "outputs" / "compare" / "report.html").is_file()  # nothing is written into a run
    assert sorted(file.name for file in runs[0].folder.iterdir()) == [
        "config.yaml",
        "metrics.jsonl",
        "run.json",
    ]
    assert "diversity" in told_by(capsys, monkeypatch, "sweep", "metric=diversity", "out=elsewhere")
    assert (tmp_path / "elsewhere" / "report.json").is_file()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["nowhere"], "nowhere: there is no such folder"),
        (["."], ".: there is no run in it"),
        ([], "outputs: there is no such folder"),
        (["run", "metric=fdi"], "metric=fdi: no run has such a score; did you mean fid?"),
        (["run", "out=run/config.yaml"], "run/config.yaml: cannot be written"),
    ],
)
def test_a_mistake_is_one_line(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    told: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    if "run" in arguments:
        Planted({"fid": [1]}).write(tmp_path / "run")
    with pytest.raises(SystemExit) as ended:
        told_by(capsys, monkeypatch, *arguments)
    error = capsys.readouterr().err
    assert ended.value.code == 2 and error.startswith(f"ganexp: {told}") and error.count("\n") == 1


def test_it_answers_without_torch(tmp_path: Path) -> None:
    Planted({"fid": [1]}).write(tmp_path / "run")
    assert command(tmp_path, "compare", "--help").returncode == 0
    program = (
        "import sys; from ganexp.cli import main; main._run_without_hydra('compare', ['run']); "
        "print('torch' in sys.modules)"
    )
    told = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert told.stdout.splitlines()[-1] == "False"


def test_comparisons_keep_their_runs_in_order(tmp_path: Path) -> None:
    runs = written(tmp_path, *replicates("wgan", [1, 2]), *replicates("gan", [3, 4]))
    comparison = Comparison("x", [Group("b", runs[:2]), Group("a", runs[2:])])
    assert comparison.runs == runs
