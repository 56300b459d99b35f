"""A data set of another kind from outside: sequences with several attributes each, whose files are CSV."""

from collections.abc import Callable
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from conftest import Verb, verb
from outside_runs import CONFIG_DIR, FEW, SYSTEMS, composed, join
from PIL import Image

from ganexp.data.arrays import Arrays
from ganexp.errors import UserError
from ganexp.training.build import build

PLAIN, ASKED = SYSTEMS["waves"].overrides, SYSTEMS["attributes"].overrides
Command = Callable[..., None]


@pytest.fixture(autouse=True)
def joined(monkeypatch: pytest.MonkeyPatch) -> None:
    join(monkeypatch)


@pytest.fixture
def take(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    """Runs a verb with a run, which is trusted."""

    def call(name: str, run: Path, *overrides: str) -> None:
        verb(monkeypatch, tmp_path, name, f"run={run}", "trust=true", *overrides)

    return call


def error(capfd: pytest.CaptureFixture[str], command: Command, *arguments: str | Path) -> str:
    capfd.readouterr()
    with pytest.raises(SystemExit) as ended:
        command(*arguments)
    assert ended.value.code == 2
    (line,) = capfd.readouterr().err.splitlines()
    return line


def test_it_is_described(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    verb(monkeypatch, tmp_path, "data_info", *CONFIG_DIR, "data=waves", "out=waves.png")
    told = dict(line.split(maxsplit=1) for line in capfd.readouterr().out.splitlines())
    assert told["samples"] == "200 of 2 x 16"
    labels = build(composed(*PLAIN).data).load().labels
    slow, fast, steep = labels.sum(0)
    assert told["attributes"] == f"3: slow {slow}, fast {fast}, steep {steep}"
    assert len(told["mean"].split(", ")) == 2, "of each channel"
    with Image.open("waves.png") as picture:
        assert picture.size == (8 * 44 + 4, 2 * 44 + 4), "16 of them, in its own way"


@pytest.mark.parametrize("labels", [np.zeros(4, np.int64), np.zeros((4, 2), np.int64)])
def test_attributes_are_as_many_as_it_says(labels: np.ndarray) -> None:
    source = build(composed(*PLAIN).data)
    with pytest.raises(UserError, match="Waves's attributes should be of shape"):
        source.check_arrays(Arrays(np.zeros((4, 2, 16), np.float32), labels, ("slow", "fast", "steep")))


def test_samples_become_files_of_its_own(train: Verb, take: Command, capfd: pytest.CaptureFixture[str]) -> None:
    run = train(*CONFIG_DIR, *FEW, *PLAIN, "max_steps=2")
    for form in ("files", "npz"):
        take("sample", run, "n=3", f"format={form}")
    samples = np.load(run / "samples/sample_3_seed_0.npz")["samples"]
    assert samples.shape == (3, 2, 16) and samples.dtype == np.float32
    for number, sample in enumerate(samples):
        rows = np.loadtxt(run / f"samples/sample_3_seed_0/{number:06d}.csv", delimiter=",")
        np.testing.assert_allclose(rows, sample.T, rtol=1e-5)
    with Image.open(run / "samples/epoch_0001.png") as picture:
        assert picture.size == (4 * 44 + 4, 4 * 44 + 4)
    line = error(capfd, take, "sample", run, "format=png")
    assert "format=png: this data's files are csv: use format=files" in line


def test_samples_with_attributes(train: Verb, take: Command, capfd: pytest.CaptureFixture[str]) -> None:
    run = train(*CONFIG_DIR, *FEW, *ASKED, "max_steps=2")
    take("sample", run, "n=6", "format=npz", "label=1")
    found = np.load(run / "samples/sample_6_seed_0_label_1.npz")
    assert found["labels"].tolist() == [[0, 1, 0]] * 6 and found["samples"].shape == (6, 2, 16)
    take("sample", run, "n=6", "format=npz")
    assert (
        np.load(run / "samples/sample_6_seed_0.npz")["labels"].tolist()
        == list(map(list, product((0, 1), repeat=3)))[:6]
    )
    assert error(capfd, take, "sample", run, "label=3").endswith("label=3: the attributes are 0 to 2")
    scored = ["count=20", "features=pixels", "checks=null"]
    for metric in ("intra_fid", "accuracy", "cas"):
        line = error(capfd, take, "evaluate", run, f"metrics={metric}", *scored)
        assert f"metrics={metric} " in line or "metrics=intra_fid, intra_recall and cas " in line


def test_what_is_asked_for_reaches_the_samples(train: Verb, take: Command) -> None:
    run = train(*CONFIG_DIR, *FEW, *ASKED, "max_steps=2")
    for label in (0, 1):
        take("sample", run, "n=4", "format=npz", f"label={label}")
    slow, fast = (np.load(run / f"samples/sample_4_seed_0_label_{label}.npz")["samples"] for label in (0, 1))
    assert np.abs(slow - fast).max() > 0.01, "the same latents, another attribute"
