"""The interface of Python: what it returns is what the command line writes, and importing it costs nothing."""

import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from conftest import ENVIRONMENT, TINY, Verb, verb
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from PIL import Image

import ganexp
import ganexp.runs as runs_package
import ganexp.train as training
from ganexp.api import RunList, TrainedRun
from ganexp.errors import Diverged

SHORT = [*TINY, "max_steps=3"]


def in_new_process(program: str) -> str:
    """What a program prints that imports ganexp afresh."""
    done = subprocess.run([sys.executable, "-c", program], env=ENVIRONMENT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_import_loads_nothing_but_the_package() -> None:
    imported = in_new_process(
        "import sys; before = set(sys.modules); import ganexp; print(*sorted(set(sys.modules) - before))"
    ).split()
    assert [name for name in imported if name.split(".")[0] not in sys.stdlib_module_names] == ["ganexp"]
    assert len(imported) < 40


def test_listing_runs_needs_no_torch() -> None:
    program = "import sys, ganexp; ganexp.runs; ganexp.load; ganexp.train; print('torch' in sys.modules)"
    assert in_new_process(program) == "False"


def test_names_are_functions_before_and_after_the_modules_of_these_names_are_imported() -> None:
    program = """
import ganexp
def wrong(call):
    try:
        call("nowhere=1")
    except ganexp.UserError as error:
        return str(error).partition(":")[0]
print(wrong(ganexp.train), wrong(ganexp.runs))
import ganexp.train as module
from ganexp.train import player_step
import ganexp.runs.saved_run
assert ganexp.train is module and module.player_step is player_step
print(wrong(ganexp.train), wrong(ganexp.runs))
"""
    assert in_new_process(program).splitlines() == ["nowhere nowhere=1"] * 2
    assert training.__name__ == "ganexp.train" and runs_package.__name__ == "ganexp.runs"
    assert {*ganexp.__all__} <= {*dir(ganexp)}
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        ganexp.nothing  # noqa: B018


def test_train_writes_what_the_command_line_writes(
    here: Path, train: Verb, capfd: pytest.CaptureFixture[str]
) -> None:
    run = ganexp.train(*SHORT, "loss=wgan_gp", "name=python")
    other = train(*SHORT, "loss=wgan_gp", name="shell")
    assert (here / run.folder).parent.parent == other.parent.parent
    assert run.folder.name == other.name and run.record.status == "finished"
    for file in ("samples/epoch_0001.png", "checkpoints/last.pt"):
        assert (run.folder / file).is_file() and (other / file).is_file()
    grids = [(folder / "samples/epoch_0001.png").read_bytes() for folder in (run.folder, other)]
    assert grids[0] == grids[1]
    assert run.config.optim.betas[0] == 0 and run.config.name == "python"
    assert run.record.choices["loss"] == "wgan_gp"
    capfd.readouterr()
    assert ganexp.train(*SHORT, "loss=wgan_gp", "name=python").folder == run.folder
    assert "finished" in capfd.readouterr().out


def test_a_program_that_uses_hydra_itself_can_train(here: Path) -> None:
    with initialize_config_dir(str(here), version_base="1.3"):
        own = GlobalHydra.instance().hydra
        assert ganexp.train(*SHORT).record.status == "finished"
        assert own is not None and GlobalHydra.instance().hydra is own


def test_each_call_of_train_has_a_folder_of_its_own(here: Path) -> None:
    one, two = (ganexp.train(*SHORT) for _ in range(2))
    assert one.folder.parent != two.folder.parent
    assert [run.folder for run in ganexp.runs()] == [two.folder, one.folder]


@pytest.mark.parametrize(
    ("override", "line"),
    [
        ("loss=wgna", "did you mean wgan?"),
        ("batch_size=0", "batch_size=0"),
        ("nothing=1", "no such setting"),
        ("-m", "without options"),
        ("data=folder", "data.root"),
    ],
)
def test_mistakes_raise_before_anything_is_written(here: Path, override: str, line: str) -> None:
    with pytest.raises(ganexp.UserError, match=line.replace("?", r"\?")):
        ganexp.train(override)
    assert not list(here.iterdir())


def test_a_diverged_run_raises(here: Path) -> None:
    with pytest.raises(Diverged):
        ganexp.train(*TINY, "optim=sgd", "optim.lr=1e30", "epochs=1", "name=far")
    assert ganexp.load(next((here / "outputs/far").iterdir())).record.status == "diverged"


def test_samples_are_those_of_the_command_line(
    train: Verb, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = train(*SHORT)
    run = ganexp.load(folder, device="cpu")
    for form in ("grid", "npz"):
        verb(monkeypatch, tmp_path, "sample", f'run="{folder}"', "n=9", "seed=3", f"format={form}", "out=cli")
    samples = run.sample(9, seed=3)
    assert samples.dtype == np.uint8 and samples.shape == (9, 8, 8, 1)
    assert (samples == np.load(tmp_path / "cli.npz")["images"]).all()
    assert (samples == run.sample(9, seed=3, batch_size=2)).all()
    picture = run.show(9, seed=3)
    assert (np.asarray(picture) == np.asarray(Image.open(tmp_path / "cli.png"))).all()
    assert picture._repr_png_() is not None  # how a notebook displays it
    with pytest.raises(ganexp.UserError, match="at least 1"):
        run.sample(0)


def test_generator(train: Verb) -> None:
    net = ganexp.load(str(train(*SHORT)), device="cpu").generator
    assert isinstance(net, torch.nn.Module) and not net.training
    assert not any(weight.requires_grad for weight in net.parameters())
    assert net(torch.randn(5, 100)).shape == (5, 1, 8, 8)


def test_labels(train: Verb) -> None:
    run = ganexp.load(train(*SHORT, "game=cgan"), device="cpu")
    assert run.sample(4, label=3).shape == (4, 8, 8, 1)
    assert (run.sample(4, label=3) == run.sample(4, label=[3] * 4)).all()
    assert (run.sample(4, label=range(4)) != run.sample(4, label=3)).any()
    assert (run.sample(4, label="3") == run.sample(4, label=3)).all(), "by the class's name"
    wrong: list[tuple[Any, str]] = [
        (11, "labels are 0 to 9"),
        (-1, "label=-1: should be a class's number"),
        (1.5, "label=1.5: should be a class's number"),
        ("cat", "label=cat: no such class"),
        ([1, 2], "label: 2 labels for 4 samples"),
    ]
    for label, line in wrong:
        with pytest.raises(ganexp.UserError, match=line):
            run.sample(4, label=label)


def test_points(train: Verb) -> None:
    run = ganexp.load(train("data=ring", "max_steps=2", "evaluate.every=null"), device="cpu")
    assert run.sample(5).dtype == np.float32 and run.sample(5).shape == (5, 2)


def test_evaluate(train: Verb) -> None:
    run = ganexp.load(train(*SHORT), device="cpu")
    result = run.evaluate("metrics=swd", "features=random", "checks=null", "count=50")
    assert result["checkpoint"] == "last.pt" and result["count"] == 50
    assert result["scores"].keys() == result["floor"].keys() == {"swd"}
    assert (run.folder / "evaluations.jsonl").read_text().count("\n") == 1
    with pytest.raises(ganexp.UserError, match="no such choice"):
        run.evaluate("metrics=fidd")


def test_load_refuses_what_is_no_run_and_what_is_not_trusted(train: Verb, tmp_path: Path) -> None:
    with pytest.raises(ganexp.UserError, match="is not a run"):
        ganexp.load(tmp_path)
    folder = train(*SHORT)
    with pytest.raises(ganexp.UserError, match=re.escape(f"{folder.name} is one")):
        ganexp.load(folder.parent)
    file = folder / "config.yaml"
    file.write_text(file.read_text().replace("ganexp.nets.mlp.Generator", "os.system"))
    with pytest.raises(ganexp.UserError, match=r"would run os\.system"):
        ganexp.load(folder)


def test_runs_are_rows_and_a_dataframe(here: Path, train: Verb, monkeypatch: pytest.MonkeyPatch) -> None:
    folders = {train(*SHORT, f"seed={seed}", name=f"run{seed}") for seed in (1, 2)}
    found = ganexp.runs(here / "outputs")
    assert isinstance(found, RunList) and {run.folder for run in found} == folders
    assert [row["seed"] for row in found.rows()] == [run.config.seed for run in found]
    assert "finished" in repr(found[0]) and isinstance(found[0], TrainedRun)
    monkeypatch.setitem(sys.modules, "pandas", SimpleNamespace(DataFrame=list))
    frame = found.to_dataframe()
    assert [row["run"] for row in frame] == [str(run.folder) for run in found]
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ganexp.UserError, match="pip install pandas"):
        found.to_dataframe()


@pytest.mark.skipif(find_spec("pandas") is None, reason="pandas is not installed")
def test_pandas(here: Path, train: Verb) -> None:
    train(*SHORT)
    frame = ganexp.runs("outputs").to_dataframe()
    assert frame["status"].tolist() == ["finished"]
