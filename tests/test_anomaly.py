"""``ganexp anomaly``: areas by hand, a threshold that no scored image sets, files, and what is refused."""

import csv
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import OF_GAME, TINY, Verb, verb
from PIL import Image
from sklearn.metrics import average_precision_score, roc_auc_score

from ganexp.cli.anomaly_page import Row, page
from ganexp.cli.anomaly_scores import coloured, component_error, minus_ink
from ganexp.cli.main import _report_errors
from ganexp.metrics.detection import areas, detection, threshold

HELD_OUT = ["data.split=train", "data.leave_out=[4]", "max_steps=2"]


def test_areas_by_hand() -> None:
    """Falling scores of the kinds A N A N N: of 6 pairs 5 are in order; precisions 1 and 2/3."""
    scores, kinds = np.array([5.0, 4, 3, 2, 1]), np.array([True, False, True, False, False])
    assert areas(scores, kinds) == pytest.approx((5 / 6, (1 + 2 / 3) / 2))
    tied = np.array([1.0, 1, 1, 1, 1])
    assert areas(tied, kinds) == pytest.approx((0.5, 0.4)), "chance: ties count half"
    weighted = areas(scores, kinds, np.array([1.0, 2, 1, 0, 1]))
    repeated = areas(np.array([5.0, 4, 4, 3, 1]), np.array([True, False, False, True, False]))
    assert weighted == pytest.approx(repeated)


def test_areas_are_sklearns_and_a_reversed_score_has_the_rest() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        scores = rng.integers(8, size=60).astype(float)  # with many ties
        kinds = rng.random(60) < 0.3
        auroc, precision = areas(scores, kinds)
        assert auroc == pytest.approx(roc_auc_score(kinds, scores))
        assert precision == pytest.approx(average_precision_score(kinds, scores))
        assert areas(-scores, kinds)[0] == pytest.approx(1 - auroc)


def test_intervals_hold_the_value_and_shrink_with_more_samples() -> None:
    rng = np.random.default_rng(1)
    widths = []
    for count in (50, 800):
        kinds = np.arange(count) % 2 == 0
        found = detection(rng.normal(size=count) + kinds, kinds, 1.0)
        assert found.auroc.low < found.auroc.value < found.auroc.high
        assert found.average_precision.low < found.average_precision.value < found.average_precision.high
        widths.append(found.auroc.high - found.auroc.low)
    assert widths[1] < widths[0] / 3
    assert found.auroc.low < 0.760 < found.auroc.high, "two normals one deviation apart: Phi(1 / sqrt 2)"


def test_a_threshold_lets_through_no_more_than_was_asked() -> None:
    assert threshold(np.arange(19.0), 0.05) == 18 and threshold(np.arange(18.0), 0.05) is None
    assert threshold(np.arange(99.0)[::-1], 0.1) == 89
    rng, alarms = np.random.default_rng(2), []
    for _ in range(2000):
        limit = threshold(rng.normal(size=60), 0.1)
        assert limit is not None
        alarms.append((rng.normal(size=200) > limit).mean())
    assert np.mean(alarms) == pytest.approx(1 - 55 / 61, abs=0.003), "the 55th of 60 scores"
    found = detection(np.array([1.0, 2, 3, 4]), np.array([False, False, True, True]), 3.0)
    assert (found.caught, found.false_alarms) == (0.5, 0.0), "above the threshold, not at it"


def test_floors_by_hand() -> None:
    images = np.zeros((2, 1, 2, 2), np.uint8)
    images[1, 0, 0] = 255
    assert minus_ink(images).tolist() == [0, -0.5]
    rng = np.random.default_rng(0)
    plane = rng.integers(0, 200, (50, 1, 2, 2)).astype(np.uint8)
    plane[:, 0, 1, 1] = 100  # three components are enough for these, and none of the mean is enough for others
    other = plane.copy()
    other[:, 0, 1, 1] = 200
    fitted = component_error(plane[:, :, :, :], 0)
    assert fitted(plane).max() < 1e-9
    assert fitted(other).max() < 1e-9, "as many components as values: everything is rebuilt"
    few = component_error(plane[:2], 0)
    assert few(plane[:2]).max() < 1e-9 and few(other).min() > 1e-3


def test_colours_of_differences() -> None:
    assert coloured(np.array([[[0, 85, 170, 255]]], np.uint8))[0, :, 0].T.tolist() == [
        [0, 0, 0],
        [255, 0, 0],
        [255, 255, 0],
        [255, 255, 255],
    ]


def test_a_name_cannot_write_html() -> None:
    bad = '<script>alert("1")</script>'
    row = Row(1, bad, bad, True, 1.0, False, np.zeros((3, 3, 4, 4), np.uint8))
    text = page(bad, [bad], {}, [row], 1)
    assert bad not in text and "&lt;script&gt;" in text and "data:image/png;base64" in text


def rows_of(folder: Path) -> list[dict[str, str]]:
    with (folder / "scores.csv").open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def told(capsys: pytest.CaptureFixture[str], call: Any) -> str:
    """The line of a call that is refused."""
    with pytest.raises(SystemExit) as ended:
        _report_errors(call)
    assert ended.value.code == 2
    return capsys.readouterr().err


@pytest.mark.parametrize("game", ["fanogan", "bigan", "ganomaly", "vae", "vaegan"])
def test_a_held_out_split_is_scored(
    game: str, train: Verb, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    alone = ["loss=none"] if game in ("fanogan", "vae") else []
    run = train(*OF_GAME[game], *HELD_OUT, *alone)
    capsys.readouterr()
    small = ["heat_maps=false", "shown=3"] if game != "vae" else ["shown=3"]
    verb(monkeypatch, tmp_path, "anomaly", f"run={run}", *small)
    said, folder = capsys.readouterr().out, run / "anomaly"
    rows, record = rows_of(folder), json.loads((folder / "anomaly.json").read_text())
    assert "PCA-32 reconstruction error" in said and "minus ink" in said and "199 images" in said
    assert len(rows) == 199 and record["anomalous"] == 38 and record["normal"] == 161
    assert {row["label"] for row in rows if row["anomalous"] == "1"} == {"4"}
    scores = [float(row[next(iter(record["scores"]))]) for row in rows]
    assert scores == sorted(scores, reverse=True)
    above = [row["above_threshold"] == "1" for row in rows]
    assert above == [score > record["threshold"] * (1 + 1e-6) for score in scores]
    kinds = np.array([row["anomalous"] == "1" for row in rows])
    first = next(iter(record["scores"].values()))
    assert first["auroc"]["value"] == pytest.approx(roc_auc_score(kinds, scores), abs=1e-5)
    assert (folder / "page.html").read_text().count("<img") == 3
    assert len(list(folder.glob("heat_maps/*.png"))) == (199 if game == "vae" else 0)


def write(folder: Path, samples: np.ndarray) -> None:
    folder.mkdir(parents=True)
    for number, sample in enumerate(samples):
        Image.fromarray(sample[0]).save(folder / f"{number}.png")


@pytest.fixture
def scored(train: Verb, tmp_path: Path) -> Path:
    """A run, and digits as files: ``in/normal`` (30), ``in/four`` (10)."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    images = np.rint(bunch.images * (255 / 16)).astype(np.uint8)[:, None]
    images[..., 0, 0] ^= 1  # they are none of the run's own images
    write(tmp_path / "in" / "normal", images[bunch.target == 3][:30])
    write(tmp_path / "in" / "four", images[bunch.target == 4][:10])
    return train(*OF_GAME["ganomaly"], *HELD_OUT)


def test_what_is_scored_sets_neither_score_nor_threshold(
    scored: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with zipfile.ZipFile(tmp_path / "in.zip", "w") as archive:
        for file in sorted((tmp_path / "in").rglob("*.png")):
            archive.write(file, file.relative_to(tmp_path / "in"))
    for name, given in (("whole", "in"), ("zipped", "in.zip"), ("few", "in/four")):
        verb(monkeypatch, tmp_path, "anomaly", f"run={scored}", f"input={given}", f"output={name}")
    whole, zipped, few = (rows_of(tmp_path / name) for name in ("whole", "zipped", "few"))
    assert whole == zipped and len(whole) == 40
    assert {row["label"]: row["anomalous"] for row in whole} == {"normal": "0", "four": "1"}
    assert "no areas" in capsys.readouterr().out and {row["anomalous"] for row in few} == {""}
    scores = {row["name"]: row for row in whole}
    for row in few:
        for key in list(row)[4:]:
            assert float(row[key]) == pytest.approx(float(scores[f"four/{row['name']}"][key]), rel=1e-4)
    limits = [
        json.loads((tmp_path / name / "anomaly.json").read_text())["threshold"] for name in ("whole", "few")
    ]
    assert limits[0] == limits[1] is not None
    assert (tmp_path / "whole/heat_maps/four/0.png").is_file()
    verb(monkeypatch, tmp_path, "anomaly", f"run={scored}", "input=in", "output=whole", "anomalous=[normal]")
    assert {row["label"]: row["anomalous"] for row in rows_of(tmp_path / "whole")} == {
        "normal": "1",
        "four": "0",
    }


def test_what_is_refused(
    scored: Path,
    train: Verb,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    plain = train(*TINY, "max_steps=1", name="plain")
    every = train(*OF_GAME["ganomaly"], "max_steps=1", name="every")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/scores.csv").write_text("mine")
    cases = {
        (f"run={plain}",): "GAN gives no anomaly score",
        (f"run={every}",): "no held-out split",
        (f"run={scored}", "output=mine"): "it has other files than scores",
        (f"run={scored}", "input=nowhere"): "there is no such file",
        (f"run={scored}", "anomalous=[12]"): "anomalous=12: no such class",
        (f"run={scored}", "split=val"): "no such split",
        (f"run={scored}", "input=in", "anomalous=[five]"): "anomalous=five: no such class",
        (f"run={scored}", "false_alarms=1"): "should be less than 1",
    }
    for words, line in cases.items():
        assert line in told(capsys, lambda w=words: verb(monkeypatch, tmp_path, "anomaly", *w))
    assert (tmp_path / "mine/scores.csv").read_text() == "mine"
    verb(monkeypatch, tmp_path, "anomaly", f"run={scored}", "false_alarms=0.001", "heat_maps=false")
    assert "too few for false_alarms=0.001" in capsys.readouterr().out


def test_a_run_whose_data_are_gone_scores_files_still(
    train: Verb, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("train/a", "test/a"):
        write(tmp_path / "data" / name, np.random.default_rng(0).integers(0, 255, (8, 1, 8, 8), np.uint8))
    own = ["data=folder", f"data.root={tmp_path / 'data'}", "data.channels=1", "data.resolution=8"]
    run = train(*OF_GAME["ganomaly"], *own, "batch_size=4", "max_steps=1")
    (tmp_path / "data").rename(tmp_path / "moved")
    verb(monkeypatch, tmp_path, "anomaly", f"run={run}", "input=moved/test", "output=out")
    said = capsys.readouterr().out
    assert "PCA-32 reconstruction error is left out" in said and "no threshold" in said
    assert len(rows_of(tmp_path / "out")) == 8


def product(folder: Path, kinds: dict[str, int]) -> None:
    """Different images [8, 8], ``train/good``, ``test/good``, ``test/<defect>``: a set of products."""
    for number, (name, count) in enumerate(kinds.items()):
        rng = np.random.default_rng(number)
        write(folder / name, rng.integers(0, 255, (count, 1, 8, 8), np.uint8))


def test_a_set_of_products_with_unknown_defects(
    train: Verb, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Classes that training does not have are the anomalies, and set no threshold."""
    product(tmp_path / "data", {"train/good": 24, "test/good": 40, "test/crack": 9, "test/scratch": 7})
    own = ["data=folder", f"data.root={tmp_path / 'data'}", "data.channels=1", "data.resolution=8"]
    run = train(*OF_GAME["ganomaly"], *own, "data.split=train", "batch_size=4", "max_steps=1")
    capsys.readouterr()
    verb(monkeypatch, tmp_path, "anomaly", f"run={run}", "output=all")
    assert ", of 20 held-out normal images" in capsys.readouterr().out
    labels = [(row["label"], row["anomalous"]) for row in rows_of(tmp_path / "all")]
    assert sorted(set(labels)) == [("crack", "1"), ("good", "0"), ("scratch", "1")] and len(labels) == 36
    verb(monkeypatch, tmp_path, "anomaly", f"run={run}", "anomalous=[crack]", "output=crack")
    assert ", of 20 held-out normal images" in capsys.readouterr().out
    found = [row["label"] for row in rows_of(tmp_path / "crack")]
    assert sorted(set(found)) == ["crack", "good"], "what is neither normal nor asked for is not scored"
    verb(monkeypatch, tmp_path, "anomaly", f"run={run}", "input=data/test", "output=files")
    said = capsys.readouterr().out
    assert "no threshold: all held-out normal images are scored" in said, "scored images set none"
    (tmp_path / "some").mkdir()
    for part in ("good", "crack"):
        (tmp_path / "some" / part).mkdir()
    for number in range(10):
        (tmp_path / f"some/good/{number}.png").write_bytes(
            (tmp_path / f"data/test/good/{number}.png").read_bytes()
        )
    (tmp_path / "some/crack/0.png").write_bytes((tmp_path / "data/test/crack/0.png").read_bytes())
    verb(monkeypatch, tmp_path, "anomaly", f"run={run}", "input=some", "output=some_scores")
    assert ", of 30 held-out normal images" in capsys.readouterr().out
    verb(monkeypatch, tmp_path, "anomaly", f"run={run}", "input=some", "output=some_scores", "heat_maps=false")
    assert not (tmp_path / "some_scores/heat_maps").exists(), "those of an earlier call"


def test_trained_networks_have_seen_the_same_images(train: Verb, capsys: pytest.CaptureFixture[str]) -> None:
    every = train(*TINY, "max_steps=1", name="every")
    encoder = ["recipe=none", "data.resolution=8", "game=fanogan", "loss=none", "arch=fanogan_mlp"]
    line = told(capsys, lambda: train(*encoder, f"start_from={every}", *HELD_OUT, name="encoder"))
    assert "its data.leave_out is None, and this run's [4]" in line
