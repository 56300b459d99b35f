"""data.leave_out: classes that training does not see, in every data set, its held-out splits and its cache."""

from pathlib import Path

import numpy as np
import pytest
from conftest import TINY, Verb, composed
from PIL import Image

from ganexp.config.stored import read_run
from ganexp.data.arrays import Arrays
from ganexp.data.download import load
from ganexp.data.held_out import held_out
from ganexp.data.leave_out import shows_any, without
from ganexp.errors import UserError
from ganexp.training.build import build_source

SETS = ("all", "train", "test")


def test_digits_have_a_part_that_is_held_out() -> None:
    whole, train, test = (load(build_source(composed(f"data.split={part}")), own=True) for part in SETS)
    assert [len(part.samples) for part in (whole, train, test)] == [1797, 1437, 360]
    assert np.array_equal(test.samples, whole.samples[::5]) and np.array_equal(test.labels, whole.labels[::5])
    together = np.concatenate([train.samples, test.samples])
    assert np.array_equal(np.sort(together, axis=0), np.sort(whole.samples, axis=0))
    assert held_out(build_source(composed("data.split=train")), train, None).split == "test"
    with pytest.raises(UserError, match="no held-out split"):
        held_out(build_source(composed()), whole, None)


def test_a_class_is_left_out_of_training_and_of_what_it_is_compared_with() -> None:
    source = build_source(composed("data.split=train", "data.leave_out=[4]"))
    every = build_source(composed("data.split=train"))
    data = load(source, own=True)
    assert source.entry().folder == every.entry().folder, "it is decoded once"  # type: ignore[union-attr]
    assert set(data.labels.tolist()) == {*range(10)} - {4} and len(data.classes) == 10
    found = held_out(source, data, None)
    assert 4 not in found.data.labels and found.labels is not None and 4 not in found.labels
    assert 4 in held_out(source, data, None, everything=True).data.labels
    whole = load(every, own=True)
    assert np.array_equal(data.samples, whole.samples[whole.labels != 4])
    assert data.fingerprint not in (whole.fingerprint, "")


def test_a_number_counts_the_training_classes(tmp_path: Path) -> None:
    """The held-out split has one class less, so that its own numbers are others."""
    for split, names in (("train", "abc"), ("test", "bc")):
        for name in names:
            (tmp_path / split / name).mkdir(parents=True)
            for number in range(8):
                Image.new("RGB", (16, 16), (number, 0, 0)).save(tmp_path / split / name / f"{number}.png")
    for left_out in ("[1]", "[b]"):
        source = build_source(composed("data=folder", f"data.root={tmp_path}", f"data.leave_out={left_out}"))
        data = load(source, own=True)
        assert [data.classes[label] for label in np.unique(data.labels)] == ["a", "c"]
        found = held_out(source, data, None).data
        assert [found.classes[label] for label in np.unique(found.labels)] == ["c"]


def test_attributes_and_pairs() -> None:
    samples = np.arange(4)[:, None]
    arrays = Arrays(samples, np.array([[0, 1], [1, 0], [1, 1], [0, 0]]), ("hat", "beard"), "", samples + 10)
    kept = without(arrays, ("hat",), paired=True)
    assert kept.samples.ravel().tolist() == [0, 3] and kept.labels.tolist() == [[0, 1], [0, 0]]
    assert kept.sources is not None and kept.sources.ravel().tolist() == [10, 13]
    unpaired = without(arrays, ("hat",), paired=False)
    assert unpaired.sources is not None and len(unpaired.sources) == 4
    assert shows_any(arrays, ("hat", "beard", "unknown")).tolist() == [True, True, True, False]
    assert without(arrays, (), paired=True) is arrays


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        (["data.leave_out=[12]"], "data.leave_out=12: no such class"),
        (["data.leave_out=[0,1,2,3,4,5,6,7,8,9]"], "no sample is left"),
        (["data.leave_out=[1]", "degrade=classes", "game=cyclegan"], "degrade.a and degrade.b choose"),
    ],
)
def test_what_cannot_be_left_out(overrides: list[str], told: str) -> None:
    with pytest.raises(UserError) as error:
        load(build_source(composed(*overrides)), own=True)
    assert told in str(error.value)


@pytest.mark.parametrize("game", ["gan", "cgan"])
def test_a_run_without_a_class(game: str, train: Verb) -> None:
    scored = ["evaluate.every=1", "evaluate.count=20", "metrics=fid", "features=pixels"]
    run = train(*TINY, f"game={game}", "data.leave_out=[4]", "max_steps=3", *scored)
    assert list(read_run(str(run), trust=False).data.leave_out) == [4]
