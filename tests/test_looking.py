"""What is made to be looked at: films, neighbours, grids by class."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import TINY, Verb, composed, tiny, verb
from PIL import Image, ImageSequence

from ganexp.cli.film import _caption
from ganexp.data.images import to_uint8
from ganexp.metrics.neighbours import nearest
from ganexp.nets.mlp import Generator
from ganexp.training.setup import build_experiment


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> None:
    verb(monkeypatch, Path.cwd(), *arguments)


@pytest.mark.parametrize("kind", ["webp", "gif"])
def test_a_film_has_a_frame_for_each_epoch(
    train: Verb, kind: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = train(*TINY, "epochs=4")
    run(monkeypatch, "film", f"run={folder}", f"format={kind}", "seconds=1.6", "width=100")
    with Image.open(folder / f"samples/film.{kind}") as film:
        frames = [frame.convert("L").copy() for frame in ImageSequence.Iterator(film)]
        lasting = []
        for number in range(len(frames)):
            film.seek(number)
            film.load()
            lasting.append(film.info["duration"])
    assert len(frames) == 4 and frames[0].width == 100
    assert len({frame.tobytes() for frame in frames}) == 4
    assert lasting == [400, 400, 400, 2000]
    assert "4 grids" in capfd.readouterr().out


def test_a_film_begins_with_the_grids_within_the_first_epochs(
    train: Verb, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = [*TINY[:-1], "features=pixels", "metrics=swd", "evaluate.count=50", "evaluate.every=2"]
    folder = train(*small, "evaluate.early=1000", "epochs=2")
    (folder / "samples/images_.png").touch()
    told: list[str] = []

    def caption(epoch: int | None, row: dict[str, Any]) -> str:
        told.append(_caption(epoch, row))
        return told[-1]

    monkeypatch.setattr("ganexp.cli.film._caption", caption)
    run(monkeypatch, "film", f"run={folder}")
    assert [text.partition(", swd")[0] for text in told] == [
        "1,024 images",
        "epoch 1, 1,856 images",
        "2,048 images",
        "epoch 2, 3,648 images",
    ]
    (folder / "metrics.jsonl").unlink()
    told.clear()
    run(monkeypatch, "film", f"run={folder}", "out=without.webp")
    assert told == ["epoch 1", "epoch 2", "1,024 images", "2,048 images"], "without records, epochs come first"


def test_a_long_run_makes_no_longer_film(train: Verb, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = train(*TINY, "epochs=2")
    grid = folder / "samples/epoch_0001.png"
    for epoch in range(3, 30):
        (folder / f"samples/epoch_{epoch:04d}.png").write_bytes(grid.read_bytes())
    with Image.open(grid) as first:
        first.transpose(Image.Transpose.FLIP_TOP_BOTTOM).save(folder / "samples/epoch_0030.png")
    run(monkeypatch, "film", f"run={folder}", "frames=5", "out=short.webp")
    with Image.open("short.webp") as film:
        frames = [np.array(frame.convert("L"), np.float64)[:-22] for frame in ImageSequence.Iterator(film)]
    assert len(frames) == 5
    unlike = [np.abs(frame - frames[0]).mean() > 10 for frame in frames]
    assert unlike == [False] * 4 + [True], "the last epoch, whose grid stands on its head, is among them"


def test_nearest_agrees_with_sorting_everything() -> None:
    rng = np.random.default_rng(0)
    among, queries = rng.normal(size=(50, 3)), rng.normal(size=(7, 3))
    queries[2] = among[33]
    everything = np.linalg.norm(queries[:, None] - among, axis=2)
    distances, rows = nearest(queries, np.split(among, [3, 20, 21]), 4)
    assert np.array_equal(rows, np.argsort(everything, 1)[:, :4])
    assert np.allclose(distances, np.sort(everything, 1)[:, :4])
    assert distances[2, 0] == 0, "exactly: it is the same point"


def test_a_translator_is_given_images_that_it_did_not_see(
    train: Verb, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """What it makes of its training images is near to them by design, and says nothing of copies."""
    for split, level in (("train", 0), ("test", 255)):
        for number in range(8):
            pair = np.full((8, 16, 3), level, np.uint8)
            pair[number, :, 1] = 100
            (tmp_path / "set" / split).mkdir(parents=True, exist_ok=True)
            Image.fromarray(pair).save(tmp_path / "set" / split / f"{number}.png")
    chosen = [setting for setting in tiny("pix2pix") if not setting.startswith("degrade")]
    folder = train(*chosen, "data=pairs", f"data.root={tmp_path / 'set'}", "batch_size=8", "max_steps=1")
    monkeypatch.setattr("ganexp.games.image_to_image.Restored.forward", lambda _, source: source)
    run(monkeypatch, "neighbours", f"run={folder}", "n=3", "k=2", "count=8")
    assert "0 are copies" in capfd.readouterr().out, "the sources of training images would all be copies"


def test_a_generator_that_remembers_is_found_out(
    train: Verb, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = train(*TINY, "epochs=1")
    data = build_experiment(composed(*TINY)).data.arrays.samples
    arguments = ["neighbours", f"run={folder}", "n=3", "k=2", "count=50"]
    run(monkeypatch, *arguments)
    honest = capfd.readouterr().out
    assert "0 are copies" in honest
    with Image.open(folder / "samples/neighbours.png") as picture:
        assert picture.size == ((4 * 10 + 2) * 8, (3 * 10 + 2) * 8)
    import torch

    def remembers(net: Generator, z: torch.Tensor, y: None = None) -> torch.Tensor:
        return torch.from_numpy(data[100 : 100 + len(z)].copy()).float() / 127.5 - 1

    monkeypatch.setattr(Generator, "forward", remembers)
    run(monkeypatch, *arguments)
    told = capfd.readouterr().out
    assert "lie 0.00 times as far" in told and "50 are copies" in told
    with Image.open(folder / "samples/neighbours.png") as picture:
        pixels = np.asarray(picture)[16::80, :][:3]
        assert np.array_equal(pixels[:, 16:80], pixels[:, 176:240]), "each is its own nearest neighbour"


def test_a_grid_by_class_shows_what_is_missing(
    train: Verb, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = train(*TINY, "epochs=1")
    experiment = build_experiment(composed(*TINY))
    rows = np.flatnonzero(np.isin(experiment.data.arrays.labels, [2, 5]))[:40]
    import torch

    def two_classes(net: Generator, z: torch.Tensor, y: None = None) -> torch.Tensor:
        return torch.from_numpy(experiment.data.arrays.samples[rows]).float() / 127.5 - 1

    monkeypatch.setattr(Generator, "forward", two_classes)
    run(monkeypatch, "sample", f"run={folder}", "n=40", "format=classes", "out=classes.png")
    told = capfd.readouterr().out.splitlines()[-2]
    counts = {words.split()[0]: int(words.split()[1]) for words in told.partition(": ")[2].split(", ")}
    assert "on real images, at most 4 of each are shown: 0 " in told
    assert counts["2"] + counts["5"] >= 38 and counts["0"] <= 1
    with Image.open("classes.png") as picture:
        band = np.asarray(picture).reshape(-1, picture.width)
    assert to_uint8(np.array([-0.75]))[0] == 32
    assert band[8 * (2 + 10 * 2) + 4].max() > 32 and (band[8 * 4] == 32).all(), "no 0 was made: its row is dark"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["film"], "a film needs at least two sample grids; samples/ has 1"),
        (["film", "format=avi"], "format=avi: should be 'webp', 'gif' or 'mp4'"),
        (["neighbours", "k=5000"], "k=5000: should be below the number of training images, 1797"),
        (["sample", "format=classes", "n=5"], "10 classes make too many rows for 5 samples"),
    ],
)
def test_mistakes(
    train: Verb,
    arguments: list[str],
    told: str,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    folder = train(*TINY, "max_steps=2")
    with pytest.raises(BaseException) as ended:
        run(monkeypatch, arguments[0], f"run={folder}", *arguments[1:])
    from ganexp.config.messages import explain

    text = capfd.readouterr().err + str(explain(ended.value)[0])
    assert told in text and "Traceback" not in text
