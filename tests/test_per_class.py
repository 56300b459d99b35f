"""A few samples of each class: ``data.per_class``."""

import json
from pathlib import Path

import numpy as np
import pytest
from conftest import TINY, Verb, composed, verb

from ganexp.data.arrays import Arrays
from ganexp.data.download import load
from ganexp.data.source import Source
from ganexp.data.subset import rows_per_class
from ganexp.errors import UserError
from ganexp.training.build import build, build_source
from ganexp.training.setup import build_experiment


def digits(*overrides: str) -> Source:
    source: Source = build(composed("data=digits", "data.resolution=8", *overrides).data)
    return source


def test_so_many_of_each_class_are_taken() -> None:
    source = digits("data.per_class=7")
    whole, found = source.load(), load(source, own=True)
    assert len(whole.samples) == 1797 and np.bincount(found.labels).tolist() == [7] * 10
    rows = rows_per_class(whole, 7, 0)
    assert len(np.unique(rows)) == 70 and np.array_equal(found.samples, whole.samples[rows])
    assert np.array_equal(found.labels, whole.labels[rows])
    assert found.fingerprint != whole.fingerprint
    assert not np.array_equal(found.labels, np.sort(found.labels)), "in the order of the data set"


def test_seeds_differ_and_smaller_sets_are_within_larger_ones() -> None:
    whole = digits().load()
    few, more, other = (rows_per_class(whole, count, seed) for count, seed in ((5, 3), (50, 3), (5, 4)))
    assert set(few) < set(more) and set(few) != set(other)


def test_the_whole_set_is_cached_once() -> None:
    assert digits("data.per_class=7").entry() == digits("data.per_class=9", "data.per_class_seed=1").entry()


def test_a_run_is_trained_with_them_and_says_so(train: Verb) -> None:
    settings = [*TINY, "game=cgan", "data.per_class=7", "max_steps=2"]
    experiment = build_experiment(composed(*settings))
    assert len(experiment.data.loader) == 70
    seen = {int(y) for batch in experiment.data.loader.epoch() for y in batch.y}
    assert seen == set(range(10))
    folder = train(*settings)
    assert json.loads((folder / "run.json").read_text())["data"]["count"] == 70
    assert "per_class: 7" in (folder / "config.yaml").read_text()


def test_two_classes_have_few_images_each_and_whole_held_out_splits(tmp_path: Path) -> None:
    from PIL import Image

    for split, count in (("train", 9), ("test", 12)):
        for name in ("cat", "dog"):
            (tmp_path / split / name).mkdir(parents=True)
            for number in range(count):
                Image.new("RGB", (8, 8), (number, 0, 0)).save(tmp_path / split / name / f"{number}.png")
    cfg = composed(
        "game=cyclegan", "degrade=classes", "data=folder", f"data.root={tmp_path}", "data.per_class=4"
    )
    source = build_source(cfg)
    arrays = load(source, own=True)
    assert arrays.sources is not None and len(arrays.samples) == len(arrays.sources) == 4
    assert len(source.held_out()["test"].load().samples) == 12


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(UserError, match=r"data\.per_class=175: the class 8 has 174 samples"):
        load(digits("data.per_class=175"), own=True)
    attributes = Arrays(np.zeros((4, 2)), np.zeros((4, 3), np.int64), ("a", "b", "c"))
    with pytest.raises(UserError, match=r"data\.per_class=2: samples have several attributes"):
        rows_per_class(attributes, 2, 0)


def test_data_info_shows_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    verb(monkeypatch, tmp_path, "data_info", "data=digits", "data.per_class=3")
    assert "samples      30 of" in capfd.readouterr().out


def test_a_class_that_is_left_out_needs_no_samples() -> None:
    source = digits("data.per_class=7", "data.leave_out=[4]")
    used = source.for_training(source.load())
    assert np.bincount(used.labels, minlength=10).tolist() == [7, 7, 7, 7, 0, 7, 7, 7, 7, 7]
