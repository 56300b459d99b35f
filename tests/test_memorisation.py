"""Scores against images that training never saw, and what gives a generator away that copies."""

import gzip
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import TINY, Verb, composed, verb
from PIL import Image

from ganexp.config.messages import explain
from ganexp.data.arrays import Arrays
from ganexp.data.held_out import held_out
from ganexp.errors import UserError
from ganexp.metrics import classifier
from ganexp.metrics.memorisation import memorisation
from ganexp.metrics.neighbours import nearest_distances
from ganexp.training.build import build
from ganexp.training.evaluation import Evaluator

CPU = torch.device("cpu")


def written(root: Path, train: int = 600, test: int = 200) -> Path:
    """scikit-learn's digits as if they were MNIST, with its two splits."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    images = np.zeros((train + test, 28, 28), np.uint8)
    images[:, 6:22, 6:22] = np.kron(bunch.images[: train + test], np.ones((2, 2))) * (255 / 16)
    labels = bunch.target[: train + test].astype(np.uint8)
    folder = root / "MNIST/raw"
    folder.mkdir(parents=True)
    for name, rows in (("train", slice(train)), ("t10k", slice(train, None))):
        for kind, array in (("images-idx3-ubyte", images[rows]), ("labels-idx1-ubyte", labels[rows])):
            head = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes()
            (folder / f"{name}-{kind}.gz").write_bytes(gzip.compress(head + array.tobytes()))
    return root


def evaluator(*overrides: str) -> tuple[Evaluator, Arrays]:
    cfg = composed(*overrides)
    source = build(cfg.data)
    data = source.load()
    return Evaluator(source, data, cfg, CPU), data


def test_a_new_sample_counts_1_and_a_copy_0() -> None:
    rng = np.random.default_rng(0)
    training, other, new = rng.normal(size=(3, 400, 8))
    assert memorisation(new, training, other) == pytest.approx(1, abs=0.02)
    assert memorisation(training[:100], training, other) == 0
    assert memorisation(other[:100], training, other) == 2
    half = np.concatenate([new[:50], training[:50]])
    assert memorisation(half, training, other) == pytest.approx(0.5, abs=0.05), "by their share"
    assert memorisation(5 * new, training, other) == pytest.approx(1, abs=0.05), "poor samples are no copies"
    assert memorisation(new[:1], new[:1], new[:1]) == 1, "as near to both"


def test_nearest_distances_by_hand() -> None:
    among = np.array([[0, 0], [3, 4], [1, 1]], np.float32)
    found = nearest_distances(np.array([[3, 4], [0, 2], [6, 8]], np.float32), among)
    assert found.tolist() == pytest.approx([0, 2**0.5, 5]) and found[0] == 0


def test_a_generator_that_replays_training_images_is_given_away(tmp_path: Path) -> None:
    """Its FID is as good as that of real images; the check says 0."""
    root = written(tmp_path)
    judge, data = evaluator(
        "data=mnist", f"data.root={root}", "metrics=[fid,memorisation]", "features=random", "evaluate.count=200"
    )
    floor = judge.floor()
    replayed = judge.score_samples(np.ascontiguousarray(data.samples[:200]), None)
    assert replayed["fid_random"] < 1.5 * floor["fid_random"]
    assert replayed["memorisation_random"] == 0
    assert 0.8 < floor["memorisation_random"] < 1.1
    assert [line.split()[0] for line in judge.warnings()] == ["FID"], "from few samples; all else is known"


def test_what_is_not_searched_is_said(tmp_path: Path) -> None:
    chosen = ["metrics=memorisation", "features=pixels", "evaluate.count=50", "metrics.memorisation.among=100"]
    judge, _ = evaluator("data=mnist", f"data.root={written(tmp_path)}", *chosen)
    (line,) = judge.warnings()
    assert line.startswith("memorisation searches 100 of 600 training samples, and misses copies of the others")
    assert 0.5 < judge.floor()["memorisation_pixels"] < 1.5


def test_scores_against_a_split_that_training_never_saw(tmp_path: Path) -> None:
    root = written(tmp_path)
    chosen = ["data=mnist", f"data.root={root}", "metrics=swd", "features=pixels", "evaluate.count=500"]
    for split in ("test", "held_out"):
        judge, data = evaluator(*chosen, f"evaluate.split={split}")
        seen = {image.tobytes() for image in np.asarray(data.samples)}
        assert judge.split == "test" and judge.count == 200, "as many as the split has"
        assert not seen & {image.tobytes() for image in judge.real.samples}
        assert {image.tobytes() for image in judge._other.samples} <= seen, "the floor is of training images"
        assert judge.compared == "training images against those of the split test"
    judge, data = evaluator(*chosen)
    assert judge.split == "training" and judge.count == 300


def test_the_classifier_that_scores_samples_is_tested_on_held_out_images(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = written(tmp_path)
    judge, data = evaluator(
        "data=mnist", f"data.root={root}", "metrics=cas", "features=pixels", "game=cgan", "evaluate.count=100"
    )
    tested: list[np.ndarray] = []

    def labels_of(net: object, images: np.ndarray, device: torch.device) -> np.ndarray:
        tested.append(images)
        return np.zeros(len(images), np.int64)

    monkeypatch.setattr("ganexp.metrics.conditional.predict_labels", labels_of)
    monkeypatch.setattr("ganexp.metrics.conditional.train_on", lambda *_: None)
    assert 0 < judge.floor()["cas"] < 0.2, "the share of zeros"
    seen = {image.tobytes() for image in np.asarray(data.samples)}
    assert len(tested[0]) == 200 and not seen & {image.tobytes() for image in np.asarray(tested[0])}
    assert not judge.warnings()


def test_without_a_held_out_split_that_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(classifier, "_MIN_STEPS", 1)
    judge, _ = evaluator(*TINY, "metrics=[memorisation,cas,swd]", "features=pixels", "evaluate.count=100")
    assert judge.floor().keys() == {"cas", "swd"}
    unscored, trained_on = judge.warnings()
    assert unscored.startswith("memorisation is not scored") and "Digits has no held-out split" in unscored
    assert trained_on.startswith("cas is tested on images that the generator was trained on: Digits")


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        (["evaluate.split=test"], "evaluate.split=test: Digits has no held-out split"),
        (["evaluate.split=held_out"], "evaluate.split=held_out: Digits has no held-out split"),
        (["evaluate.split=train"], "evaluate.split=train: should be 'training', 'held_out'"),
        (
            ["data=mnist", "evaluate.split=valid"],
            "evaluate.split=valid: MNIST has no such split; there is only test",
        ),
    ],
)
def test_mistakes(
    train: Verb, overrides: list[str], told: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    root = [f"data.root={written(tmp_path / 'data')}"] if "data=mnist" in overrides else []
    with pytest.raises(SystemExit) as ended:
        train(*TINY[:5], *overrides, *root, "features=pixels", "metrics=swd", "max_steps=1")
    error = capfd.readouterr().err
    assert ended.value.code == 2 and told in error and "Traceback" not in error


def test_which_splits_are_held_out(tmp_path: Path) -> None:
    def splits(*overrides: str) -> list[str]:
        return list(build(composed(*overrides).data).held_out())

    assert splits("data=mnist") == splits("data=cifar10") == splits("data=stacked_mnist") == ["test"]
    assert splits("data=mnist", "data.split=test") == splits("data=digits") == splits("data=ring") == []
    assert splits("data=celeba") == ["test", "valid"] and splits("data=celeba", "data.split=all") == []
    assert splits("data=medmnist") == ["test", "val"]
    for place in ("train/cat", "train/dog", "val/dog"):
        (tmp_path / "mine" / place).mkdir(parents=True)
        for number in range(8):
            grey = Image.new("L", (8, 8), 10 * number + len(place))
            grey.save(tmp_path / "mine" / place / f"{number}.png")
    chosen = ["data=folder", f"data.root={tmp_path / 'mine'}"]
    assert splits(*chosen) == splits(*chosen, "data.split=train") == ["val"]
    assert (
        splits(*chosen, "data.split=val") == splits("data=folder", f"data.root={tmp_path / 'mine/train'}") == []
    )
    source = build(composed(*chosen).data)
    found = held_out(source, source.load(), None)
    assert found.split == "val" and found.labels is not None
    assert found.labels.tolist() == [1] * 8, "a dog has the number that it has in training"
    with pytest.raises(UserError, match="Folder has no such split; did you mean val"):
        held_out(source, source.load(), "valid")


def test_the_verb_prints_the_check_beside_the_scores(
    train: Verb, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    root = written(tmp_path / "data")
    tiny = [setting for setting in TINY if "resolution" not in setting]
    folder = train(*tiny, "data=mnist", f"data.root={root}", "features=random", "metrics=swd", "max_steps=2")

    def evaluated(*overrides: str) -> tuple[str, str]:
        capfd.readouterr()
        verb(monkeypatch, Path.cwd(), "evaluate", f"run={folder}", "count=100", *overrides)
        told = capfd.readouterr()
        return told.out, told.err

    out, _ = evaluated("format=json")
    found = json.loads(out)
    assert found["scores"].keys() == {"swd", "memorisation_random"} == found["floor"].keys()
    assert found["split"] == "training" and found["warnings"] == []
    out, _ = evaluated("split=test", "checks=null")
    assert "100 samples against 100 real ones of the split test" in out and "memorisation" not in out
    with pytest.raises(BaseException) as ended:
        evaluated("split=val")
    text = capfd.readouterr().err + str(explain(ended.value)[0])
    assert "split=val: MNIST has no such split" in text


def test_fid_under_its_known_name_says_from_how_many_samples_papers_take_it() -> None:
    judge, _ = evaluator(*TINY, "metrics=fid", "features=random", "evaluate.count=500")
    assert not any("papers" in line for line in judge.warnings())
    judge.features.suffix = ""
    (line,) = judge.warnings()
    assert "fid from 500 samples is higher than papers' figures, which are from 50,000" in line


def test_sorting_samples_by_class_does_not_change_the_inception_score() -> None:
    judge, _ = evaluator("data.resolution=8", "arch=mlp", "metrics=is", "features=classifier")
    images, labels = judge._other.samples, judge._other.labels
    assert labels is not None
    by_class = judge.score_samples(images[np.argsort(labels, kind="stable")], None)
    assert by_class["cnn_score"] == pytest.approx(judge.floor()["cnn_score"], rel=0.03)
    assert by_class["cnn_score"] > 8
