"""``ganexp moredata``: equal updates for every arm, nothing chosen by test images, the run's own images."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import TINY, Verb, verb
from omegaconf import OmegaConf
from PIL import Image
from scipy import stats

from ganexp.cli import moredata as verb_module
from ganexp.cli.moredata_images import divide
from ganexp.compare.moredata import ArmResult, Outcome, sentence
from ganexp.compare.statistics import t_mean_of
from ganexp.config.messages import explain
from ganexp.data.digits import Digits
from ganexp.metrics.additional_data import (
    BASELINES,
    Arm,
    Labelled,
    Recipe,
    Sets,
    Trained,
    arm_batches,
    augmented,
    train_arm,
)
from ganexp.metrics.feature_networks import Classifier
from ganexp.training.load import OpenedRun, open_run

CPU = torch.device("cpu")
RECIPE = Recipe(classes=10, steps=100, batch_size=64, shift=0.0, flip=False, mixup=0.2)
FEW = [*TINY, "game=cgan", "data.per_class=5", "max_steps=2"]
QUICK = ["steps=3", "batch_size=8", "generated=20", "shares=[0.5,1.0]", "seeds=2"]


def digits() -> Digits:
    return Digits(shape=[1, 8, 8], bounded=True, classes=10, mirror=False, resolution=8)


def sets_of_digits() -> Sets:
    """200 real images, 600 others in place of generated ones, and two parts of the rest."""
    data = digits().load()
    order = np.random.default_rng(0).permutation(len(data.labels))
    real, generated, validation, test = (
        Labelled(data.samples[rows], data.labels[rows]) for rows in np.split(order, [200, 800, 1000])
    )
    return Sets(real, generated, validation, test)


def opened(folder: Path) -> OpenedRun:
    cfg = {"run": str(folder), "trust": False, "device": {"_target_": "ganexp.training.device.Hardware"}}
    stored = OmegaConf.load(folder / "config.yaml")
    return open_run(OmegaConf.create(cfg | {"device": OmegaConf.to_container(stored.device)}))


# --- what is trained


def test_copies_of_real_images_are_as_good_and_wrong_labels_are_worth_nothing() -> None:
    sets = sets_of_digits()
    real = train_arm(Arm("real", augmented=False), sets, RECIPE, 0, CPU).test
    copies = sets._replace(generated=sets.real)
    only_copies = train_arm(Arm("generated", 1.0), copies, RECIPE, 0, CPU).test
    assert real > 0.85 and abs(only_copies - real) < 0.05
    labels = np.random.default_rng(1).permutation(sets.generated.labels)
    shuffled = sets._replace(generated=Labelled(sets.generated.images, labels))
    assert train_arm(Arm("generated", 1.0), shuffled, RECIPE, 0, CPU).test < 0.3, "one in ten, by chance"
    more = train_arm(Arm("generated", 0.75), sets, RECIPE, 0, CPU).test
    assert more > real + 0.02, "600 other real images are worth something"


def test_every_arm_takes_as_many_updates(monkeypatch: pytest.MonkeyPatch) -> None:
    sets, recipe = sets_of_digits(), RECIPE._replace(steps=7)
    real_step, taken = torch.optim.Adam.step, []

    def step(optimiser: Any, *arguments: Any, **settings: Any) -> Any:
        taken.append(1)
        return real_step(optimiser, *arguments, **settings)

    monkeypatch.setattr(torch.optim.Adam, "step", step)
    for arm in (*BASELINES, Arm("generated", 0.25), Arm("generated", 1.0)):
        taken.clear()
        advanced: list[int] = []
        found = train_arm(arm, sets, recipe, 0, CPU, lambda advanced=advanced: advanced.append(1))  # type: ignore[misc]
        assert len(taken) == found.updates == len(advanced) == 7


def test_all_arms_begin_with_the_same_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    begun = []
    real = torch.nn.Module.train

    def train(net: Classifier, mode: bool = True) -> Any:
        if mode:
            begun.append(net.out.weight.detach().clone())
        return real(net, mode)

    monkeypatch.setattr(Classifier, "train", train)
    sets, recipe = sets_of_digits(), RECIPE._replace(steps=2)
    for arm, seed in ((BASELINES[0], 3), (Arm("generated", 1.0), 3), (BASELINES[0], 4)):
        train_arm(arm, sets, recipe, seed, CPU)
    assert torch.equal(begun[0], begun[1]) and not torch.equal(begun[0], begun[2])


@pytest.mark.parametrize("share", [0.0, 0.25, 0.5, 1.0])
def test_a_batch_holds_its_share_of_generated_images(share: float) -> None:
    """Generated images are white here, and their labels 1."""
    black, white = (np.full((9, 1, 8, 8), value, np.uint8) for value in (0, 255))
    real, made = Labelled(black, np.zeros(9, np.int64)), Labelled(white, np.ones(9, np.int64))
    batches = arm_batches(Arm("any", share), Sets(real, made, real, real), RECIPE, 0)
    for _ in range(3):
        images, labels = next(batches)
        assert len(images) == 64 and int(labels.sum()) == round(64 * share)
        assert torch.equal(images[:, 0, 0, 0] > 0, labels == 1), "labels stay with their images"


def test_the_usual_augmentation_shifts_and_mirrors() -> None:
    image = np.zeros((1, 1, 9, 9), np.uint8)
    image[0, 0, 4, 4], image[0, 0, 4, 5] = 100, 200  # mirrored: 200 is left of 100
    recipe = RECIPE._replace(shift=2 / 9, flip=True)
    found = augmented(np.random.default_rng(0), np.repeat(image, 300, 0), recipe)
    places = [tuple(np.argwhere(one[0] == 100)[0] - 4) for one in found]
    assert {y for y, _ in places} == {x for _, x in places} == {-2, -1, 0, 1, 2}
    left = [np.argwhere(one[0] == 200)[0][1] < np.argwhere(one[0] == 100)[0][1] for one in found]
    assert 100 < sum(left) < 200
    still = augmented(np.random.default_rng(0), np.repeat(image, 9, 0), RECIPE)
    assert np.array_equal(still, np.repeat(image, 9, 0)), "without a shift and flips nothing changes"
    border = augmented(np.random.default_rng(0), np.full((50, 1, 9, 9), 77, np.uint8), recipe)
    assert (border == 77).all(), "the border is repeated"


def test_mixup_mixes_images_and_labels_alike() -> None:
    """Images are as bright as their label is large, so that a mixed one tells its weights."""
    images = (np.arange(4, dtype=np.uint8) * 20)[:, None, None, None] * np.ones((1, 1, 8, 8), np.uint8)
    part = Labelled(images, np.arange(4))
    recipe = RECIPE._replace(mixup=1.0)
    x, targets = next(arm_batches(BASELINES[2], Sets(part, part, part, part), recipe, 0))
    assert targets.shape == (64, 10) and torch.allclose(targets.sum(1), torch.ones(64))
    assert int(((targets > 0).sum(1) == 2).sum()) > 20
    told = (targets * torch.arange(10) * 20).sum(1) / 127.5 - 1
    assert torch.allclose(x[:, 0, 0, 0], told, atol=1e-5)


# --- which images


def test_the_runs_own_training_images_are_used(train: Verb, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = train(*FEW, "data.per_class_seed=3")
    seen: list[Sets] = []

    def remembered(arm: Arm, sets: Sets, *_: Any) -> Trained:
        seen.append(sets)
        return Trained(0.5, 0.5, 3)

    monkeypatch.setattr(verb_module, "train_arm", remembered)
    verb(monkeypatch, folder.parents[2], "moredata", f"run={folder}", *QUICK, "validation=300", "generated=100")
    sets, run = seen[0], opened(folder)
    assert all(other is sets for other in seen) and len(seen) == 5 * 2
    trained_with = run.data()
    assert np.array_equal(sets.real.images, trained_with.samples)
    assert np.array_equal(sets.real.labels, trained_with.labels) and len(sets.real.labels) == 50
    assert len(sets.validation.labels) == 300 and len(sets.test.labels) == 1797 - 350
    parts = Counter(image.tobytes() for part in (sets.real, *sets[2:]) for image in part.images)
    assert parts == Counter(image.tobytes() for image in digits().load().samples), "each image is in one part"
    assert np.bincount(sets.generated.labels).tolist() == [10] * 10
    assert sets.generated.images.dtype == np.uint8 and sets.generated.images.shape == (100, 1, 8, 8)


def test_what_is_left_out_is_in_no_part(train: Verb) -> None:
    run = opened(train(*FEW, "data.leave_out=[4]"))
    sets, _ = divide(run, 300, 0)
    parts = [sets.real, sets.validation, sets.test]
    assert all(4 not in part.labels for part in parts)
    images = Counter(image.tobytes() for part in parts for image in part.images)
    whole = digits().load()
    assert images == Counter(image.tobytes() for image in whole.samples[whole.labels != 4])


def test_a_held_out_split_is_for_testing(train: Verb, tmp_path: Path) -> None:
    files = tmp_path / "files"
    for split, count in (("train", 60), ("test", 50)):
        for level, name in enumerate(("cat", "dog")):
            (files / split / name).mkdir(parents=True)
            for number in range(count):
                Image.new("RGB", (8, 8), (number, 100 * level, 0)).save(files / split / name / f"{number}.png")
    settings = [*TINY, "game=cgan", "data=folder", f"data.root={files}", "max_steps=2"]
    sets, tested = divide(opened(train(*settings, "data.per_class=5")), 1000, 0)
    assert len(sets.test.labels) == 100 and tested == "100 images of the split test"
    assert len(sets.validation.labels) == 55, "at most half of the 110 that were left out"
    assert [len(part.labels) for part in sets[:2]] == [10, 0]
    whole, _ = divide(opened(train(*settings, name="whole")), 1000, 0)
    assert [len(part.labels) for part in whole] == [120, 0, 50, 50], "the split is divided"


# --- what is made of it


def outcome(validation: dict[float, float], test: dict[float, list[float]]) -> Outcome:
    """One run; shares of generated images to a validation accuracy, and to the test accuracies of its seeds."""
    arms = [ArmResult(arm.name, 0.0, [[0.5] * 5], [test[0.0]], 9) for arm in BASELINES]
    arms += [
        ArmResult("generated", share, [[value] * 5], [test[share]], 9) for share, value in validation.items()
    ]
    return Outcome(arms, ["outputs/a"], 5, 20, "100 images of the split test", 50)


def test_the_share_is_chosen_on_validation_images() -> None:
    """By the test images it would be the other one, and the sentence would say the opposite."""
    usual = [0.50, 0.51, 0.52, 0.53, 0.54]
    better, worse = [x + 0.1 + 0.001 * k for k, x in enumerate(usual)], [x - 0.1 for x in usual]
    found = outcome({0.25: 0.9, 0.5: 0.6}, {0.0: usual, 0.25: worse, 0.5: better})
    assert found.chosen.share == 0.25
    assert sentence(found).startswith("it does harm: -10.00 points [-10.00, -10.00] against the usual")
    found = outcome({0.25: 0.6, 0.5: 0.9}, {0.0: usual, 0.25: worse, 0.5: better})
    assert sentence(found).startswith("it helps: +10.20 points [+10.00, +10.40]")
    assert "at n=20 images per class, with a share of 0.5" in sentence(found)
    noisy = [x + y for x, y in zip(usual, (0.1, -0.1, 0.05, 0.1, -0.1), strict=True)]
    found = outcome({0.25: 0.6, 0.5: 0.9}, {0.0: usual, 0.25: better, 0.5: noisy})
    assert sentence(found).startswith("it does not help: +1.00 points [")


def test_differences_are_of_pairs() -> None:
    """The interval is that of scipy's paired test."""
    usual, other = [0.50, 0.61, 0.42, 0.73, 0.54], [0.52, 0.62, 0.47, 0.74, 0.55]
    found = outcome({0.5: 0.9}, {0.0: usual, 0.5: other})
    difference = found.difference(found.chosen)
    expected = stats.ttest_rel(100 * np.array(other), 100 * np.array(usual)).confidence_interval(0.95)
    assert (difference.low, difference.high) == pytest.approx((expected.low, expected.high))
    assert t_mean_of([3.0]) == (3.0, None, None, 1)


def test_classifiers_of_one_gan_are_averaged_where_there_are_several() -> None:
    arm = ArmResult("generated", 0.5, [[0.5, 0.5]] * 2, [[0.1, 0.3], [0.6, 0.8]], 9)
    assert arm.values() == pytest.approx([20.0, 70.0])
    assert arm._replace(test=[[0.1, 0.3]]).values() == pytest.approx([10.0, 30.0])


def test_a_report_is_written_and_is_the_same_again(
    train: Verb, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = train(*FEW)
    train(*FEW, "seed=1", name="other")
    root = folder.parents[2]
    verb(monkeypatch, root, "moredata", f"run={folder}", *QUICK, "out=first")
    told = capfd.readouterr().out
    assert "generated, share chosen on validation: " in told and "at n=5 images per class" in told
    assert "report: first/moredata.md" in told
    verb(monkeypatch, root, "moredata", f"run={folder}", *QUICK, "out=again")
    for name in ("moredata.md", "moredata.svg"):
        assert (root / "first" / name).read_bytes() == (root / "again" / name).read_bytes()
    content = json.loads((root / "first/moredata.json").read_text())
    assert [arm["updates"] for arm in content["arms"]] == [3] * 5 and content["settings"]["steps"] == 3
    assert "| mixup |" in (root / "first/moredata.md").read_text()
    drawn = (root / "first/moredata.svg").read_text()
    assert drawn.startswith("<svg") and "share of generated images" in drawn and drawn.count("<polyline") == 4
    verb(monkeypatch, root, "moredata", "run=outputs", *QUICK)
    several = json.loads((root / "outputs/moredata/moredata.json").read_text())
    assert len(several["runs"]) == 2 and several["arms"][0]["accuracy"]["n"] == 2
    assert np.array(several["arms"][0]["test"]).shape == (2, 2)


@pytest.mark.parametrize(
    ("settings", "asked", "told"),
    [
        (["data.per_class=5"], [], "its images have no labels: train with game=cgan or game=acgan"),
        (["game=cgan"], [], "it was trained with every image there is, so none is left to test with"),
        (["game=cgan", "data.per_class=173"], [], "too few images are left to test with"),
        (["game=cgan", "data.per_class=5"], ["shares=[0.0]"], "shares[0]=0.0: should be greater than 0"),
        (["game=cgan", "data.per_class=5"], ["checkpoint=missing.pt"], "missing.pt"),
        (["game=cgan", "data.per_class=5"], ["shares=[0.01]", "batch_size=8"], "leave none of one kind"),
        (["game=cgan", "data.per_class=5", "metrics=[cas]"], ["checkpoint=best"], "by held-out images"),
    ],
)
def test_runs_that_do_not_fit_are_refused(
    train: Verb,
    settings: list[str],
    asked: list[str],
    told: str,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    folder = train(*TINY, *settings, "max_steps=2")
    assert told in refusal(folder, monkeypatch, capfd, *asked)


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("data.per_class", 6, "it was trained with other images than its data settings now name"),
        ("data.per_class_seed", 1, "it was trained with other images than its data settings now name"),
        ("start_from", "outputs/elsewhere", "it was started from another run, so it has seen other images"),
        ("evaluate.split", "test", "its best checkpoint may have been chosen by held-out images"),
    ],
)
def test_runs_that_saw_other_images_are_refused(
    train: Verb,
    key: str,
    value: Any,
    told: str,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    folder = train(*FEW)
    stored = OmegaConf.load(folder / "config.yaml")
    OmegaConf.update(stored, key, value)
    OmegaConf.save(stored, folder / "config.yaml")
    assert told in refusal(
        folder, monkeypatch, capfd, "checkpoint=best" if "split" in key else "checkpoint=last"
    )


def test_runs_of_different_data_are_refused(
    train: Verb, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = train(*FEW)
    train(*FEW, "data.per_class=6", name="other")
    assert "differ in data.per_class, not in their seeds alone" in refusal(
        folder.parents[1], monkeypatch, capfd
    )


def test_one_run_counts_once(
    train: Verb, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = train(*FEW)
    train(*FEW, name="other")
    assert "another run has seed=0 data.per_class_seed=0 too" in refusal(folder.parents[1], monkeypatch, capfd)


def refusal(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], *asked: str
) -> str:
    with pytest.raises(BaseException) as ended:
        verb(monkeypatch, folder, "moredata", f"run={folder}", *QUICK, *asked)
    text = capfd.readouterr().err + str(explain(ended.value)[0])
    assert "Traceback" not in text
    return text
