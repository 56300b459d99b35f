"""Samples by label and by code: what each row and each column of a grid is asked for."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import TINY, Verb, verb
from outside_runs import CONFIG_DIR, FEW, SYSTEMS, join
from torch import Tensor

import ganexp
from ganexp.cli import main, sample
from ganexp.cli.requested_labels import RequestedLabels
from ganexp.games.cgan import CGAN
from ganexp.games.request import Inputs
from ganexp.games.sampling import generate

CODES = [*CONFIG_DIR, *TINY, "game=codes", "arch.generator.latent=9", "max_steps=2"]
Taken = Callable[..., Inputs]


@pytest.fixture
def take(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Taken:
    """Runs ``ganexp sample``, of a run that is trusted; returns the inputs that the samples were made from."""
    join(monkeypatch)
    made: list[Inputs] = []

    def recorded(net: torch.nn.Module, inputs: Inputs, *others: object) -> np.ndarray:
        made.append(inputs)
        return generate(net, inputs, *others)  # type: ignore[arg-type]

    def call(run: Path, *overrides: str) -> Inputs:
        asked = [f'run="{run}"', "trust=true", *overrides]
        main._report_errors(lambda: verb(monkeypatch, tmp_path, "sample", *asked))
        return made[-1]

    monkeypatch.setattr(sample, "generate", recorded)
    return call


@pytest.fixture
def refused(take: Taken, capfd: pytest.CaptureFixture[str]) -> Callable[..., str]:
    def call(run: Path, *overrides: str) -> str:
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            take(run, *overrides)
        assert ended.value.code == 2
        (line,) = capfd.readouterr().err.splitlines()
        return line.removeprefix("ganexp: ")

    return call


def of_codes(inputs: Inputs, columns: int) -> tuple[Tensor, Tensor, Tensor]:
    """Noise [R, C, 3], and the codes [R, C, 3] and [R, C] of a grid's rows and columns."""
    z = inputs.args[0].reshape(-1, columns, 9)
    return z[..., :3], z[..., 3:6], z[..., 6]


def test_a_row_for_each_label(
    train: Verb,
    take: Taken,
    refused: Callable[..., str],
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = train(*TINY, "max_steps=2", "game=cgan")
    z, labels = take(run, "label=0..9").args
    assert labels.tolist() == [row for row in range(10) for _ in range(7)], "64 are filled up to 70"
    assert f"70 samples in 10 rows: {run}/samples/sample_64_seed_0_label_0-9.png" in capfd.readouterr().out
    rows = z.reshape(10, 7, -1)
    assert (rows == rows[0]).all() and len(rows[0].unique(dim=0)) == 7, "the rows have the same latents"
    z, labels = take(run, "label=[3,5,'0',1..2]", "n=3").args
    assert (
        labels.tolist() == [3, 5, 0, 1, 2] and (run / "samples/sample_3_seed_0_label_3_5_0_1_2.png").is_file()
    )
    z, labels = take(run, "label=[3,5,'0']", "n=8", "format=npz").args
    assert labels.tolist() == [3, 3, 3, 5, 5, 5, 0, 0] and len(z.unique(dim=0)) == 8
    assert np.load(run / "samples/sample_8_seed_0_label_3_5_0.npz")["labels"].tolist() == labels.tolist()
    take(run, f"label=[{','.join(map(str, [0, 2] * 60))}]", "n=1")
    (long,) = (run / "samples").glob("sample_1_*.png")
    assert len(long.stem) == 120
    for asked in ("0..10", "10", "[1,10]", "0..999999999"):
        assert refused(run, f"label={asked}").endswith("this run's labels are 0 to 9")
    assert refused(run, "label=9..0").startswith("label=9..0: no such class")
    assert refused(run, "label.Smiling=1").startswith(
        "label.Smiling: this run's labels are classes: label=<num"
    )
    assert refused(run, "code.0=1") == "code: this run has no codes; train one with game=infogan"
    monkeypatch.setattr(CGAN, "code_kinds", (4,))
    both = "both ask for a row of each value: choose one"
    assert refused(run, "code.0=0..3", "label=0..2") == f"label and code.0: {both}"
    assert refused(train(*TINY, "max_steps=2", name="plain"), "label=0..9").startswith(
        "label: this run knows no"
    )


def test_attributes_by_name(
    train: Verb, take: Taken, refused: Callable[..., str], capfd: pytest.CaptureFixture[str]
) -> None:
    run = train(*CONFIG_DIR, *FEW, *SYSTEMS["attributes"].overrides, "max_steps=2")
    labels = take(run, "label.slow=1", "label.fast=0", "label.2=1", "n=4").labels
    assert labels is not None and labels.tolist() == [[1, 0, 1]] * 4
    told = f"4 samples with slow 1, fast 0, 2 1, all other attributes 0: {run}/samples/sample_4_seed_0_label_"
    assert f"{told}slow_1_fast_0_2_1.png" in capfd.readouterr().out
    labels = take(run, "label=steep", "n=2").labels
    assert labels is not None and labels.tolist() == [[0, 0, 1]] * 2
    labels = take(run, "label=[fast,0]", "n=4").labels
    assert labels is not None and labels.tolist() == [[0, 1, 0]] * 2 + [[1, 0, 0]] * 2
    assert refused(run, "label.fats=1").startswith("label.fats: no such attribute; did you mean fast?")
    assert refused(run, "label.3=1") == "label.3: the attributes are 0 to 2"
    python = ganexp.load(run, device="cpu", trust=True)
    assert (python.sample(4, label={"steep": 1}) == python.sample(4, label=[2] * 4)).all()


def test_a_game_is_given_attributes_and_not_the_number_of_one(train: Verb, take: Taken) -> None:
    run = train(*CONFIG_DIR, *FEW, *SYSTEMS["attributes"].overrides, "max_steps=2")
    opened = ganexp.load(run, device="cpu", trust=True)
    labels = RequestedLabels(opened._loaded.game, opened._opened)
    assert labels.tensor([2, 0]).tolist() == [[0, 0, 1], [1, 0, 0]]


def test_a_row_for_each_category(
    train: Verb, take: Taken, refused: Callable[..., str], capfd: pytest.CaptureFixture[str]
) -> None:
    run = train(*CODES)
    noise, category, number = of_codes(take(run, "code.0=0..2", "code.1=0.5", "n=10"), 4)
    assert (category == torch.eye(3)[:, None]).all() and (number == 0.5).all()
    assert (noise == noise[0]).all() and len(noise[0].unique(dim=0)) == 4
    assert (
        f"12 samples in 3 rows: {run}/samples/sample_10_seed_0_code_0_0-2_code_1_0.5.png"
        in capfd.readouterr().out
    )
    _, category, _ = of_codes(take(run, "code.0=2", "n=4"), 2)
    assert (category == torch.tensor([0, 0, 1])).all()
    _, category, _ = of_codes(take(run, "code.0=[2,0]", "n=4"), 2)
    assert category.argmax(-1).tolist() == [[2, 2], [0, 0]]
    noise, category, _ = of_codes(take(run, "code.0=0..2", "n=4", "format=npz"), 1)
    assert category.argmax(-1).flatten().tolist() == [0, 0, 1, 2] and len(noise.unique(dim=0)) == 4
    both = "both ask for a row of each value: choose one"
    assert refused(run, "code.0=0..2", "label=0..2").startswith("label: this run knows no labels")
    assert refused(run, "code.2=0..1", "code.0=0..2") == f"code.0 and code.2: {both}"
    for value in ("3", "1..3", "0.5", "-1", "2..0", "[0,7]"):
        assert "this code's categories are 0 to 2" in refused(run, f"code.0={value}")
    assert refused(run, "code.1=[1,2]").startswith("code.1: a list is for a code with categories")
    assert refused(run, "code.3=0..9") == "code.3: the codes are 0 to 2"


def test_a_range_of_numbers_is_walked_along_each_row(train: Verb, take: Taken) -> None:
    run = train(*CODES)
    noise, _, number = of_codes(take(run, "code.1=-2..2", "n=23"), 5)
    assert noise.shape[0] == 5 and number.tolist() == [[-2, -1, 0, 1, 2]] * 5
    assert (noise == noise[:, :1]).all() and len(noise[:, 0].unique(dim=0)) == 5, "latents are those of a row"
    assert (run / "samples/sample_23_seed_0_code_1_-2-2.png").is_file()
    noise, category, number = of_codes(take(run, "code.0=0..2", "code.1=1..0", "n=8", "format=npz"), 3)
    assert number.tolist() == [[1, 0.5, 0]] * 3 and (noise == noise[:, :1]).all()
    assert category.argmax(-1).tolist() == [[row] * 3 for row in range(3)]
    _, _, number = of_codes(take(run, "code.0=0..2", "code.1=-1..1", "n=1"), 2)
    assert number.tolist() == [[-1, 1]] * 3


def test_codes_from_python(train: Verb, take: Taken) -> None:
    folder = train(*CODES)
    run = ganexp.load(folder, device="cpu", trust=True)
    take(folder, "code.0=1", "code.1=0.5", "n=4", "format=npz", "out=one.npz")
    asked = run.sample(4, codes={0: 1, 1: 0.5})
    assert (asked == np.load(folder.parents[2] / "one.npz")["images"]).all()
    assert (asked == run.sample(4, codes={0: [1] * 4, 1: np.full(4, 0.5)})).all()
    walked = run.sample(4, codes={1: np.linspace(-2, 2, 4)})
    assert (walked != run.sample(4, codes={1: np.linspace(2, -2, 4)})).any()
    for codes, told in (
        ({0: [1, 2]}, r"codes\[0\]: 2 values for 4 samples"),
        ({0: 0.5}, r"codes\[0\]=0.5: this code's categories are 0 to 2"),
        ({1: "x"}, r"codes\[1\]=x: should be a number"),
        ({7: 1}, "code.7: the codes are 0 to 2"),
    ):
        with pytest.raises(ganexp.UserError, match=told):
            run.sample(4, codes=codes)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        (["label={}"], "label={}: should name an attribute"),
        (["label.-1=1"], "label.-1=1: an attribute has a name"),
        (["n=8", "label=0..9", "format=npz"], "n=8: fewer samples than labels or categories"),
        (["code.1=1e39"], "code.1=1e+39: should be a number"),
        (["code.1=-1e300..1e300"], "code.1=-1e300..1e300: should be a number"),
    ],
)
def test_values_that_no_sample_can_have(
    train: Verb, refused: Callable[..., str], settings: list[str], told: str
) -> None:
    run = train(*TINY, "max_steps=2", "game=cgan")
    assert refused(run, *settings).startswith(told)
