"""Listing runs, telling two apart, and where TensorBoard's custom scalars are."""

import json
import re
import shutil
import sys
from pathlib import Path

import pytest
from conftest import TINY, Verb, composed
from tensorboard.plugins.custom_scalar.layout_pb2 import Layout
from torch.utils.tensorboard import summary

from ganexp.cli.runs import diff, runs
from ganexp.errors import UserError
from ganexp.runs.tensorboard import _layout

SCORED = [*TINY[:5], "features=random", "metrics=[swd]", "evaluate.count=50"]


@pytest.fixture
def three(train: Verb) -> list[Path]:
    folders = [
        train(*SCORED, "epochs=1", "seed=1", name="a"),
        train(*SCORED, "epochs=2", "loss=wgan_gp", name="b"),
    ]
    third = shutil.copytree(folders[0], Path("outputs/c/third"))
    receipt = json.loads((third / "run.json").read_text())
    (folders[0] / "run.json").write_text(json.dumps(receipt | {"start": "2021-01-01T00:00:00+00:00"}))
    old = {"status": "failed", "start": "2020-01-01T00:00:00+00:00"}
    (third / "run.json").write_text(json.dumps(receipt | old))
    (third / "metrics.jsonl").unlink()
    return [*folders, third]


def listed(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[list[str]]:
    capsys.readouterr()
    runs(arguments)
    return [re.split(r"  +", line) for line in capsys.readouterr().out.splitlines()]


def test_every_run_is_listed_newest_first(three: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    head, *rows, total = listed(capsys)
    assert head == ["status", "age", "images", "data", "loss", "arch", "seed", "score", "run"]
    assert [(row[0], row[4]) for row in rows] == [
        ("finished", "wgan_gp"),
        ("finished", "gan"),
        ("failed", "gan"),
    ]
    assert rows[0][2] == "3,648" and rows[0][7].startswith("swd 0.") and rows[2][7] == "-"
    assert re.fullmatch(r"\d+ d", rows[2][1]) and total == ["3 runs"]


def test_filters_and_orders(three: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert [row[0] for row in listed(capsys, "loss=gan", "columns=status", "sort=status")[1:3]] == [
        "failed",
        "finished",
    ]
    found = listed(capsys, "columns=swd,loss", "sort=-swd")
    values = [float(row[0]) for row in found[1:3]]
    assert values == sorted(values, reverse=True) and found[3][0] == "-", "what a run lacks comes last"
    assert listed(capsys, "status!=finished")[-1] == ["1 of 3 runs"]
    assert listed(capsys, "images>=3648", "outputs/a", "outputs/b")[-1] == ["1 of 2 runs"]
    assert listed(capsys, "optim.lr<2e-4", "columns=loss")[1] == ["wgan_gp"]
    assert listed(capsys, "arch.generator.widths=[16]")[-1] == ["3 of 3 runs"]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["sort=fid_ccn"], "fid_ccn: no run has this key"),
        (["los=gan"], "los: no run has this key; did you mean loss?"),
        (["--all"], "settings are written key=value"),
        (["nowhere"], "nowhere: there is no such folder"),
    ],
)
def test_mistakes_in_listing(three: list[Path], arguments: list[str], told: str) -> None:
    with pytest.raises(UserError, match=re.escape(told)):
        runs(arguments)


def test_only_what_differs_is_shown(three: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    one, two, copy = map(str, three)
    diff([one, two])
    told = capsys.readouterr().out
    rows = {row[0]: row[1:] for row in (re.split(r"  +", line) for line in told.splitlines())}
    assert rows["seed"] == ["1", "0"] and rows["loss"] == ["gan", "wgan_gp"]
    assert rows["penalties.gradient.weight"] == ["-", "10"] and rows["images"] == ["1856", "3648"]
    assert "swd" in rows and "arch.generator.latent" not in rows and "torch" not in rows
    diff([one, copy])
    rows = {line.split()[0]: line.split()[1:] for line in capsys.readouterr().out.splitlines() if line}
    assert rows["status"] == ["finished", "failed"] and "settings" not in rows
    diff([one, one])
    assert "nothing differs" in capsys.readouterr().out
    for wrong, message in (([one], "two runs"), ([one, "outputs"], "outputs holds 3 runs")):
        with pytest.raises(UserError, match=message):
            diff(wrong)


def test_looking_at_runs_loads_no_torch(tmp_path: Path) -> None:
    import subprocess

    code = "import sys, ganexp.cli.runs; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=False).returncode == 0


def test_charts_take_each_curve_once() -> None:
    charts = _layout(composed("loss=wgan_gp", "penalties=r1", "metrics=[fid,is,modes]"))
    patterns = {name: tags for title in charts.values() for name, (_, tags) in title.items()}

    def charted(tag: str) -> list[str]:
        return [name for name, tags in patterns.items() if any(re.match(pattern, tag) for pattern in tags)]

    for tag, chart in {
        "d/adversarial": "losses",
        "g/adversarial": "losses",
        "d/D_x": "D(x) and D(G(z))",
        "g/D_G_z": "D(x) and D(G(z))",
        "d/gradient": "penalties",
        "d/r1": "penalties",
        "d/gradient_norm": "gradient norms",
        "d/weight_norm": "weight norms",
        "g/lr": "learning rates",
        "score/fid_cnn": "fid",
        "score/cnn_score": "is",
        "evaluate/inception_score": "is",
        "score/reverse_kl": "modes",
        "sentinel/diversity": "diversity",
        "speed/images_per_second": "images per second",
    }.items():
        assert charted(tag) == [chart], tag
    assert charted("precision/scale") == [], "most runs have none"
    written = summary.custom_scalars(charts).value[0]
    assert written.tag == "custom_scalars__config__"
    layout = Layout.FromString(written.tensor.string_val[0])
    assert [category.title for category in layout.category] == ["players", "penalties", "scores", "health"]
