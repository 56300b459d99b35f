"""Scores are right for known samples, never change a run, and say whose features they are."""

import io
import json
import math
import os
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import TINY, Verb, composed, verb
from omegaconf import OmegaConf
from PIL import Image

from ganexp.data.arrays import Arrays
from ganexp.data.cache import cache_folder
from ganexp.data.digits import Digits
from ganexp.metrics import classifier, feature_cache
from ganexp.metrics.directions import Direction
from ganexp.metrics.table import score_line
from ganexp.nets.mlp import Generator
from ganexp.runs.best_checkpoint import BestCheckpoint
from ganexp.runs.bitwise import differences
from ganexp.system.tensor_file import read
from ganexp.training.build import build
from ganexp.training.evaluation import Evaluator
from ganexp.training.periodic_evaluation import PeriodicEvaluation
from ganexp.training.setup import build_experiment

CPU = torch.device("cpu")
SCORED = [setting for setting in TINY if not setting.startswith("evaluate")] + ["evaluate.every=1"]
QUICK = ["features=random", "evaluate.count=100"]


def evaluator(*overrides: str) -> Evaluator:
    cfg = composed(*overrides)
    experiment = build_experiment(cfg)
    return Evaluator(experiment.data.source, experiment.data.arrays, cfg, CPU)


def metrics(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def evaluated(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], *overrides: str
) -> tuple[str, str]:
    """What ``ganexp evaluate`` printed."""
    capfd.readouterr()
    verb(monkeypatch, Path.cwd(), "evaluate", *overrides)
    told = capfd.readouterr()
    return told.out, told.err


def test_looking_never_changes_a_run(train: Verb, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where a generator draws noise of its own whenever it is used."""
    real = Generator.forward

    def noisy(net: Generator, z: torch.Tensor, y: torch.Tensor | None = None) -> torch.Tensor:
        images = real(net, z, y)
        return images + 0.01 * torch.randn_like(images)

    monkeypatch.setattr(Generator, "forward", noisy)
    scored = train(*SCORED, *QUICK, "metrics=[fid,kid,precision,swd]", "data.mirror=true", "epochs=3", name="a")
    blind = train(*TINY, "data.mirror=true", "epochs=3", name="b")
    unlike = [line for line in differences(scored, blind) if line != "last.pt: /progress/best"]
    assert len(unlike) == 1 and unlike[0].startswith("metrics.jsonl"), "the scores alone"
    names = {name for name in metrics(scored)[0] if name.startswith("score/")}
    assert names == {
        f"score/{name}" for name in ("fid_random", "kid_random", "kid_random_std", "precision_random", "swd")
    }


def test_every_so_many_epochs_and_at_the_end(train: Verb) -> None:
    folder = train(*SCORED, *QUICK, "evaluate.every=2", "metrics=swd", "epochs=5")
    assert ["score/swd" in row for row in metrics(folder)] == [False, True, False, True, True]


@pytest.mark.parametrize(("direction", "best"), [("lower", 2), ("higher", 3)])
def test_the_best_checkpoint_is_kept(
    train: Verb, direction: str, best: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    series = iter([5.0, 1.0, 9.0, 7.0])
    monkeypatch.setattr(
        PeriodicEvaluation, "__call__", lambda judge, net: {"fid_random": next(series), "swd": 0.0}
    )
    overrides = [*SCORED, *QUICK, f"evaluate.best.direction={direction}", "checkpoint.every.epochs=4"]
    folder = train(*overrides, "epochs=4")
    steps = [row["step"] for row in metrics(folder)]
    assert read(folder / "checkpoints/best.pt")["progress"]["step"] == steps[best - 1]
    assert read(folder / "checkpoints/last.pt")["progress"]["step"] == steps[3]
    assert read(folder / "checkpoints/last.pt")["progress"]["best"] == {"lower": 1.0, "higher": 9.0}[direction]


def test_each_score_is_told_beside_that_of_real_samples(
    train: Verb, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Also beside the last one of a run that is resumed."""
    series = iter([(5.0, 0.1), (1.0, 0.05), (1.0, math.nan), (1234.5, 0.3)])
    monkeypatch.setattr(
        PeriodicEvaluation,
        "__call__",
        lambda judge, net: dict(
            zip(("fid_random", "precision_random", "kid_random_std"), (*next(series), 1.0), strict=True)
        ),
    )
    folder = train(*SCORED, *QUICK, "epochs=3")
    train(f"resume={folder}", "epochs=4")
    told = capfd.readouterr().out
    lines = re.findall(r"^epoch (\d)/\d  fid_random (\S+) \(real \d\S*\)(.*)$", told, re.M)
    assert [line[:2] for line in lines] == [("1", "5"), ("2", "1"), ("3", "1"), ("4", "1,234")]
    second = [re.fullmatch(r"( . \w+|)  precision_random (\S+) \(real \d\S*\)(.*)", line[2]) for line in lines]
    assert [found and found.groups() for found in second] == [
        ("", "0.1", ""),
        (" \u25bc better", "0.05", " \u25bc worse"),
        ("", "nan", ""),
        (" \u25b2 worse", "0.3", " \u25b2 better"),
    ]


def test_arrows_in_ascii_and_scores_without_direction(monkeypatch: pytest.MonkeyPatch) -> None:
    directions: dict[str, Direction] = {"fid": "lower", "recall": "higher"}
    last = {"fid_cnn": 8.0, "recall_cnn": 0.5, "mine": 1.0, "swd": 0.5001}
    told = []
    for encoding in ("utf-8", "ascii"):
        monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), encoding=encoding))
        scores = {"fid_cnn": 8.634, "recall_cnn": math.inf, "mine": 0.0, "swd": 0.5}
        told.append(score_line(scores, {}, last, directions))
    assert told[0] == "fid_cnn 8.63 \u25b2 worse  recall_cnn infinite \u25b2 better  mine 0 \u25bc  swd 0.5"
    assert told[1] == "fid_cnn 8.63 ^ worse  recall_cnn infinite ^ better  mine 0 v  swd 0.5"


def test_a_resumed_run_remembers_the_best(train: Verb, monkeypatch: pytest.MonkeyPatch) -> None:
    series = iter([2.0, float("nan"), 1.0])
    monkeypatch.setattr(PeriodicEvaluation, "__call__", lambda judge, net: {"fid_random": next(series)})
    folder = train(*SCORED, *QUICK, "epochs=1")
    for epochs, best in ((2, 29), (3, 85)):
        train(f"resume={folder}", f"epochs={epochs}")
        assert read(folder / "checkpoints/best.pt")["progress"]["step"] == best


def test_a_score_that_real_samples_lack_is_found_without_its_suffix(tmp_path: Path) -> None:
    """Real samples have no targets, so the floor does not say that ``identity`` is called ``identity_cnn``."""
    best = BestCheckpoint(tmp_path / "best.pt")
    settings = OmegaConf.create({"score": "identity", "direction": None})
    best.choose_score(settings, ["fid_cnn", "identity"], "_cnn", {"identity": "higher"})
    assert best.improves({"fid_cnn": 9.0, "identity_cnn": 0.5}) and best.value == 0.5
    assert not best.improves({"fid_cnn": 1.0, "identity_cnn": 0.4, "identity_cnn_std": 7.0})
    assert best.improves({"identity": 0.6, "identity_cnn": 0.1}) and best.value == 0.6


def test_which_score_is_the_best_is_found_by_its_name(tmp_path: Path) -> None:
    choose = ["metrics=[fid,recall]", *QUICK]
    experiment = build_experiment(composed(*TINY, *choose, "evaluate.best.score=recall"))
    best = BestCheckpoint(tmp_path / "best.pt")
    experiment.evaluation.periodic.prepare(best)
    assert best.improves({"fid_random": 1.0, "recall_random": 0.5}) and best.value == 0.5
    assert not best.improves({"fid_random": 0.1, "recall_random": 0.4}), "higher is better"
    assert not best.improves({}) and best.value == 0.5
    by_itself = BestCheckpoint(tmp_path / "best.pt")
    build_experiment(composed(*TINY, *choose)).evaluation.periodic.prepare(by_itself)
    assert by_itself.improves({"fid_random": 1.0, "recall_random": 0.5}) and by_itself.value == 1.0
    assert by_itself.improves({"fid_random": 0.9, "recall_random": 0.5}), "lower is better"


def test_a_score_that_does_not_exist_is_told_before_training(
    train: Verb, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        train(*SCORED, *QUICK, "evaluate.best.score=fdi_random", "epochs=1")
    assert ended.value.code == 2
    assert "no such score; did you mean fid_random?" in capfd.readouterr().err


def test_real_samples_are_the_floor_and_noise_is_far_from_it() -> None:
    judge = evaluator("data.resolution=16", "metrics=[fid,precision,recall,is]", "arch=mlp")
    floor = judge.floor()
    noise = judge.score_samples(np.random.default_rng(0).integers(0, 256, (500, 1, 16, 16), np.uint8), None)
    assert noise["fid_cnn"] > 20 * floor["fid_cnn"] > 0
    assert floor["precision_cnn"] > 0.8 > 0.1 > noise["precision_cnn"]
    assert 8 < floor["cnn_score"] <= 10 and noise["cnn_score"] < floor["cnn_score"]


def test_halves_are_disjoint_and_the_same_each_time() -> None:
    one, two = (evaluator(*TINY, *QUICK, "metrics=swd") for _ in range(2))
    assert np.array_equal(one.real.samples, two.real.samples)
    rows = {image.tobytes() for image in one.real.samples}
    assert not rows & {image.tobytes() for image in one._other.samples}
    other = evaluator(*TINY, *QUICK, "metrics=swd", "evaluate.seed=1")
    assert not np.array_equal(one.real.samples, other.real.samples)


def test_features_of_real_samples_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    first = evaluator(*TINY, *QUICK, "metrics=fid", "evaluate.count=77")
    from ganexp.metrics.features import Network

    def never(*_: Any) -> None:
        raise AssertionError("they were worked out again")

    monkeypatch.setattr(Network, "__call__", never)
    again = evaluator(*TINY, *QUICK, "metrics=fid", "evaluate.count=77")
    assert np.array_equal(first.real.features, again.real.features)
    with pytest.raises(AssertionError, match="worked out again"):
        evaluator(*TINY, *QUICK, "metrics=fid", "evaluate.count=78")


def test_kept_features_are_those_of_the_device_and_the_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    here = feature_cache.features_folder("net", ("data", 100, 0), CPU)
    assert here == feature_cache.features_folder("net", ("data", 100, 0), CPU)
    assert here != feature_cache.features_folder("net", ("data", 100, 0), torch.device("cuda"))
    assert here != feature_cache.features_folder("other", ("data", 100, 0), CPU)
    assert here != feature_cache.features_folder("net", ("data", 101, 0), CPU)
    monkeypatch.setattr(torch, "__version__", "9.9")
    assert here != feature_cache.features_folder("net", ("data", 100, 0), CPU)


def test_scores_are_taken_early_in_the_first_epochs_and_then_every_few_epochs(train: Verb) -> None:
    small = [*TINY[:-1], "features=pixels", "metrics=swd", "evaluate.count=50", "batch_size=64", "epochs=5"]
    folder = train(*small, "evaluate.every=3", "evaluate.early=1000")
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    scored = {row["images"]: row.get("epoch") for row in rows if "score/swd" in row}
    ends = {row["epoch"]: row["images"] for row in rows if "epoch" in row}
    # 1,000, 2,000 and 4,000 images in the first three epochs of 1,797; then the third and the last epoch
    assert scored == {1024: None, 2048: None, 4032: None, ends[3]: 3, ends[5]: 5}
    assert sorted(ends) == [1, 2, 3, 4, 5]
    grids = {file.name for file in (folder / "samples").iterdir()}
    assert {"images_00001024.png", "images_00002048.png", "images_00004032.png", "epoch_0005.png"} <= grids
    silent = train(*small, "evaluate.every=3", "evaluate.early=null", name="silent")
    assert list(differences(folder, silent)), "the records differ ..."
    weights = [read(run / "checkpoints" / "last.pt")["game"] for run in (folder, silent)]
    assert all(torch.equal(weights[0][key], weights[1][key]) for key in weights[0]), "... the networks do not"


def test_another_classifier_judges_under_another_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GANEXP_CACHE", str(tmp_path))
    monkeypatch.setattr(classifier, "_MIN_STEPS", 2)
    monkeypatch.setattr(classifier, "_MAX_STEPS", 2)
    settings = ("data.resolution=8", "features=classifier", "arch=mlp")
    identities = {}
    for more, suffix in (
        ([], "_cnn"),
        (["features.seed=1"], "_cnn1"),
        (["features.widths=[8,16]"], "_cnn_8_16"),
        (["features.seed=1", "features.widths=[8,16]"], "_cnn1_8_16"),
    ):
        cfg = composed(*settings, *more)
        source = build(cfg.data)
        features = build(cfg.features)(source, source.load(), CPU)
        assert features.suffix == suffix
        identities[features.identity] = more
    assert len(identities) == 4, "four networks"
    names = {file.name for file in tmp_path.glob("classifier-*/*.pt")}
    assert {name.removeprefix("recipe_2") for name in names} == {".pt", "-1.pt", "-_8_16.pt", "-1_8_16.pt"}


def test_the_classifier_is_trained_once(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    rng = np.random.default_rng(0)
    labels = np.arange(400) % 2
    samples = (rng.integers(0, 60, (400, 1, 8, 8)) + 150 * labels[:, None, None, None]).astype(np.uint8)
    data = Arrays(samples, labels, ("dark", "bright"))
    source = Digits(resolution=8, shape=[1, 8, 8], classes=2, bounded=True, mirror=False)
    state = torch.get_rng_state()
    net, weights, accuracy = classifier.trained_classifier(source, data, CPU)
    assert accuracy == 1.0 and torch.equal(state, torch.get_rng_state())
    told = capfd.readouterr().err
    assert re.search(r"training a classifier of this data set, once, .*: about \d", told)
    assert re.search(r"\nganexp: trained the classifier in (\d+ min )?\d+ s\n$", told)
    assert (
        classifier.trained_classifier(source, data, CPU)[1:] == (weights, accuracy)
        and not capfd.readouterr().err
    )
    assert (classifier.predict_labels(net, samples, CPU) == labels).mean() > 0.99
    (file,) = (cache_folder() / f"classifier-{data.fingerprint[:16]}").iterdir()
    file.write_bytes(b"torn")
    assert classifier.trained_classifier(source, data, CPU)[1] == weights, "trained anew, to the same weights"
    shutil.rmtree(file.parent)


def test_the_true_sampler_meets_every_mode() -> None:
    for name, modes in (("ring", 8), ("grid", 25)):
        floor = evaluator(f"data={name}", "data.count=10000", "evaluate.count=2500").floor()
        assert floor["modes"] == modes and floor["high_quality"] > 0.98 and floor["reverse_kl"] < 0.02
        assert floor["swd"] < 0.1 and "fid_pixels" in floor


def test_what_is_infinite_is_null(
    train: Verb, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """A generator of points that has just begun meets no mode: the reverse KL of nothing is infinite."""
    arguments = ["data=ring", "data.radius=100", "arch.generator.widths=[8]", "evaluate.every=1"]
    folder = train(*arguments, "evaluate.count=50", "max_steps=1")
    (row,) = metrics(folder)
    assert row["score/modes"] == 0 and row["score/reverse_kl"] is None
    out, _ = evaluated(monkeypatch, capfd, f"run={folder}", "count=50")
    assert "infinite" in out and "Infinity" not in (folder / "evaluations.jsonl").read_text()


def test_the_verb(train: Verb, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    folder = train(*TINY, "epochs=2")
    out, _ = evaluated(monkeypatch, capfd, f"run={folder}", "features=random", "metrics=[fid,swd]", "count=200")
    lines = out.splitlines()
    assert "last.pt, 3,648 images seen" in lines[0] and "200 samples against 200 real" in lines[1]
    assert lines[2].split() == ["score", "generated", "real"]
    assert [line.split()[0] for line in lines[3:]] == ["fid_random", "swd"]
    out, _ = evaluated(
        monkeypatch, capfd, f"run={folder}", "format=json", "checkpoint=last", "features=random", "count=200"
    )
    found = json.loads(out)
    assert found["scores"]["fid_random"] > found["floor"]["fid_random"] > 0
    assert found["images"] == 3648 and "covariance" in found["warnings"][0]
    kept = [json.loads(line) for line in (folder / "evaluations.jsonl").read_text().splitlines()]
    assert len(kept) == 2 and kept[1] == found


def test_any_folder_of_images(
    train: Verb, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = train(*TINY, "epochs=1")
    digits = build_experiment(composed(*TINY)).data.arrays.samples
    (tmp_path / "mine").mkdir()
    for number in range(300):
        Image.fromarray(digits[number, 0]).save(tmp_path / "mine" / f"{number}.png")
    arguments = [f"run={folder}", "format=json", "features=random", "metrics=[fid,precision]"]
    out, _ = evaluated(monkeypatch, capfd, *arguments, f"against={tmp_path / 'mine'}", "count=200")
    mine = json.loads(out)["scores"]
    theirs = json.loads(evaluated(monkeypatch, capfd, *arguments, "count=200")[0])["scores"]
    assert mine["fid_random"] < theirs["fid_random"] / 2 and mine["precision_random"] > 0.7


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        (["metrics=is", "features=random"], "metrics=is needs classes"),
        (["metrics=modes"], "metrics=modes counts modes that are known"),
        (["checkpoint=worst"], "checkpoint=worst: should be best, last or a file"),
        (
            ["features=inception", "features.weights=nowhere.pth"],
            "nowhere.pth: there is no such",
        ),
        (["metrics=fdi"], "did you mean fid?"),
        (["against=nowhere"], "nowhere"),
    ],
)
def test_mistakes(
    train: Verb,
    overrides: list[str],
    told: str,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    folder = train(*TINY, "max_steps=2")
    with pytest.raises(BaseException) as ended:
        verb(monkeypatch, Path.cwd(), "evaluate", f"run={folder}", "count=50", *overrides)
    from ganexp.config.messages import explain

    text = capfd.readouterr().err + str(explain(ended.value)[0])
    assert told in text and "Traceback" not in text


def test_weights_that_hold_code_run_nothing(tmp_path: Path) -> None:
    pytest.importorskip("torch_fidelity")
    from ganexp.errors import UserError
    from ganexp.metrics.inception import inception_network

    class Evil:
        def __reduce__(self) -> tuple[Any, ...]:
            return os.mkdir, (str(tmp_path / "owned"),)

    torch.save({"fc.weight": Evil()}, tmp_path / "weights.pth")
    with pytest.raises(UserError, match="does not hold the FID weights"):
        inception_network(str(tmp_path / "weights.pth"))
    assert not (tmp_path / "owned").exists()


def test_a_metric_that_does_not_fit_is_told_before_training(
    train: Verb, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        train(*SCORED, "metrics=modes", "epochs=1")
    assert ended.value.code == 2 and "metrics=modes counts modes" in capfd.readouterr().err
