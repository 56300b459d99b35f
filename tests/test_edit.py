"""``ganexp edit``: images as points of a run's latents, and what it writes."""

import csv
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import TINY, Verb, tiny, verb
from PIL import Image

from ganexp.cli import edit_direction
from ganexp.cli.directions import directions
from ganexp.config.sample_values import check_strength
from ganexp.errors import UserError
from ganexp.latents.directions import directions_of, save_directions
from ganexp.latents.space import space_of
from ganexp.metrics.neighbours import ranks_of_own
from ganexp.metrics.paired import psnr_of_each
from ganexp.training.load import OpenedRun, open_run

QUICK = [
    *["inversion.encoder.steps=3", "inversion.encoder.batch_size=8", "inversion.encoder.width=4"],
    *["inversion.steps=5", "inversion.drawn=8", "features=random", "among=20"],
]


@pytest.fixture(name="run")
def trained_run(train: Verb) -> Path:
    return train(*TINY, "max_steps=2")


def edit(monkeypatch: pytest.MonkeyPatch, folder: Path, run: Path, *overrides: str) -> None:
    verb(monkeypatch, folder, "edit", f"run={run}", *QUICK, *overrides)


def told(monkeypatch: pytest.MonkeyPatch, folder: Path, capfd: Any, run: Path, *overrides: str) -> str:
    """The one line of a mistake."""
    capfd.readouterr()
    with pytest.raises(SystemExit) as ended:
        edit(monkeypatch, folder, run, *overrides)
    line = str(capfd.readouterr().err)
    assert ended.value.code == 2 and line.count("\n") == 1, line
    return line


def photo(file: Path, width: int, height: int) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    rows, columns = np.mgrid[:height, :width]
    Image.fromarray((rows * 200 // height + columns * 55 // width).astype(np.uint8)).save(file)


def rows_of(folder: Path) -> list[dict[str, str]]:
    with (folder / "edit.csv").open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def pixels(file: Path) -> np.ndarray:
    with Image.open(file) as picture:
        return np.asarray(picture)


def keep_direction(run: Path) -> None:
    """Two directions of SeFa's name in the run's folder, so that nothing has to be found."""
    opened = opened_run(run)
    loaded = opened.generator("last")
    space = space_of(loaded.game, loaded.net)
    save_directions(directions_of("sefa", space, torch.eye(space.size)[:2]), run, {})


def opened_run(run: Path) -> OpenedRun:
    from omegaconf import OmegaConf

    from ganexp.config.targets import conf_folder

    device = OmegaConf.load(conf_folder() / "device/cpu.yaml")
    return open_run(OmegaConf.create({"run": str(run), "trust": False, "device": device}))


def test_files_are_inverted_and_edited(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    keep_direction(run)
    photo(tmp_path / "in/a/1.png", 30, 20)
    photo(tmp_path / "in/2.jpg", 8, 8)
    call = ["direction=1", "strength=[-40,0,40]", "out=made"]
    edit(monkeypatch, tmp_path, run, "input=in", *call)
    said = capfd.readouterr().out
    assert "2 reconstructions and 3 edits of each along direction 1 of sefa" in said and "PSNR" in said
    made = tmp_path / "made"
    assert [row["image"] for row in rows_of(made)] == ["2", "a/1"]
    assert pixels(made / "sheet.png").shape == (2 * (64 + 16) + 16, 5 * (64 + 16) + 16)
    for name in ("2", "a/1"):
        reconstruction = pixels(made / f"{name}_reconstruction.png")
        assert np.array_equal(reconstruction, pixels(made / f"{name}_sefa_1_+0.png")), (
            "strength 0 changes nothing"
        )
        ends = [pixels(made / f"{name}_sefa_1_{strength}.png") for strength in ("-40", "+40")]
        assert not np.array_equal(ends[0], ends[1]) and not np.array_equal(reconstruction, ends[0])
    # 30 x 20 is cropped to its middle, then resized, as by a data set of folders
    with Image.open(tmp_path / "in/a/1.png") as picture:
        square = picture.crop((5, 0, 25, 20)).resize((8, 8), Image.Resampling.BICUBIC)
    assert np.abs(pixels(made / "a/1_input.png").astype(int) - np.asarray(square)).max() <= 1
    for row in rows_of(made):
        shown = [pixels(made / f"{row['image']}_{name}.png")[None] for name in ("reconstruction", "input")]
        assert float(row["psnr"]) == pytest.approx(psnr_of_each(shown[0], shown[1])[0], abs=1e-3)
        assert 1 <= int(row["identity_rank"]) <= 21 and row["start"] in ("mean", "encoder", "drawn")
    with zipfile.ZipFile(tmp_path / "in.zip", "w") as archive:
        archive.write(tmp_path / "in/2.jpg", "2.jpg")
    edit(monkeypatch, tmp_path, run, "input=in.zip", *call[:2], "out=zipped")
    edit(monkeypatch, tmp_path, run, "input=in/2.jpg", *call[:2], "out=one")
    for other in ("zipped", "one"):
        assert np.array_equal(
            pixels(tmp_path / other / "2_reconstruction.png"), pixels(made / "2_reconstruction.png")
        )


def test_images_of_the_data_and_an_attribute(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """The boundary is not there: it is found first, once. Its classifier tells what became of the images."""
    calls: list[Any] = []

    def quickly(cfg: Any) -> None:
        calls.append(cfg)
        cfg.method.samples, cfg.method.share = 300, 0.1
        directions(cfg)

    monkeypatch.setattr(edit_direction, "directions", quickly)
    call = ["held_out=3", "attribute=4", "strength=-2..2", "columns=3", "features=classifier"]
    edit(monkeypatch, tmp_path, run, *call)
    said = capfd.readouterr().out
    assert "3 training images: PSNR" in said and "probability of 4, by the same" in said
    folder = run / "samples/edit_4"
    found = rows_of(folder)
    assert len(found) == 3 and all(row["image"].startswith("training_") for row in found)
    probabilities = [key for key in found[0] if key.startswith("probability_")]
    assert probabilities == [f"probability_{name}" for name in ("image", "reconstruction", "-2", "+0", "+2")]
    assert all(row["probability_+0"] == row["probability_reconstruction"] for row in found)
    assert calls[0].checkpoint == "last" and calls[0].method.attributes is None
    edit(monkeypatch, tmp_path, run, *call, "out=again")
    assert len(calls) == 1, "the boundaries are kept"
    file = run / "directions/boundary.json"
    kept = json.loads(file.read_text())
    assert len(kept["weights"]) == 64
    for changed, said in (
        (kept | {"weights": "0" * 64}, "was found with other weights of this run"),
        (kept | {"directions": kept["directions"][:2]}, "boundary.json has 0, 1 only"),
    ):
        file.write_text(json.dumps(changed))
        line = told(monkeypatch, tmp_path, capfd, run, *call)
        assert said in line and "ganexp directions" in line and json.loads(file.read_text()) == changed
    assert (tmp_path / "again/edit.csv").read_bytes() == (folder / "edit.csv").read_bytes()
    with np.load(folder / "latents.npz", allow_pickle=False) as latents:
        assert latents["points"].shape[0] == 3 and list(latents["names"]) == [row["image"] for row in found]


def test_sorted_sheets(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for key, sign in (("psnr", -1), ("identity_rank", 1)):
        out = tmp_path / key
        edit(monkeypatch, tmp_path, run, "held_out=7", f"sort={key.split('_')[0]}", "rows=3", f"out={out}")
        values = [sign * float(row[key]) for row in rows_of(out)]
        assert values == sorted(values) and len(values) == 7
        rows = rows_of(out)
        sheet = pixels(out / "sheet.png")
        assert sheet.shape == (3 * 80 + 16, 2 * 80 + 16)
        for place, row in enumerate((rows[0], rows[3], rows[6])):  # the best, the middle, the worst
            shown = sheet[80 * place + 16 : 80 * place + 80 : 8, 16:80:8]
            assert np.array_equal(shown, pixels(out / f"{row['image']}_input.png"))


def test_without_a_direction_and_without_data(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    photo(tmp_path / "me.png", 9, 9)

    def missing(self: OpenedRun) -> Any:
        raise UserError("the data set is gone")

    monkeypatch.setattr(OpenedRun, "data", missing)
    assert "data set is gone" in told(monkeypatch, tmp_path, capfd, run, "input=me.png")
    edit(monkeypatch, tmp_path, run, "input=me.png", "among=0")
    said = capfd.readouterr().out
    assert "1 reconstruction, with sheet.png" in said and "nearest" not in said
    assert rows_of(run / "samples/edit")[0]["identity_rank"] == ""


def test_labels_are_asked_for_the_datas_or_guessed(
    train: Verb, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    run = train(*TINY, "game=cgan", "max_steps=2")
    photo(tmp_path / "me.png", 9, 9)
    for given, said in (
        (["input=me.png"], "conditioned on labels by a classifier that is right on"),
        (["held_out=2"], "conditioned on the data's labels"),
        (["input=me.png", "label=3"], "conditioned on label\n"),
    ):
        edit(monkeypatch, tmp_path, run, *given)
        assert said in capfd.readouterr().out
    made: list[np.ndarray] = []
    for label in (3, 4):
        edit(monkeypatch, tmp_path, run, "input=me.png", f"label={label}", "inversion.steps=0", "out=l")
        made.append(pixels(tmp_path / "l/me_reconstruction.png"))
    assert not np.array_equal(made[0], made[1])
    assert "label=10" in told(monkeypatch, tmp_path, capfd, run, "input=me.png", "label=10")


def test_mistakes_are_one_line(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    photo(tmp_path / "me.png", 9, 9)
    photo(tmp_path / "tiny.png", 4, 4)
    (tmp_path / "no.png").write_text("no image")
    me = "input=me.png"
    for given, said in (
        ([], "set input=<image, folder or zip>, or held_out=20"),
        ([me, "held_out=2"], "set input=<image, folder or zip>, or held_out=20"),
        (["input=none.png"], "input=none.png: there is no such file or folder"),
        (["input=tiny.png"], "tiny.png is only 4 x 4, smaller than the run's data.resolution=8"),
        (["input=no.png"], "input=no.png: no.png is no readable image"),
        ([me, "attribute=11"], "attribute=11: no such class"),
        ([me, "attribute=Smilin"], "attribute=Smilin: no such class; there are 0, 1"),
        ([me, "attribute=1", "direction=1"], "attribute=1 and direction=1: give one of them"),
        ([me, "direction=1"], "sefa.json is not there; ganexp directions method=sefa makes it"),
        ([me, "strength=much"], "strength=much: should be a number, a list of numbers, or a range"),
        ([me, "label=1"], "label: this run knows no labels; train one with game=cgan"),
        ([me, "latents=w"], "generator has no styles"),
        ([me, "inversion.per_layer=true"], "inversion.per_layer=true: only w has layers"),
        ([me, "sort=identity", "among=0"], "sort=identity: among=0 does not find it: take sort=psnr"),
        ([me, "inversion.clamp=-1"], "inversion.clamp=-1"),
    ):
        assert said in told(monkeypatch, tmp_path, capfd, run, *given)
    for late in (["held_out=1797"], [me, "out=no.png"], [me, "features=inception", "features.weights=no.png"]):
        assert told(monkeypatch, tmp_path, capfd, run, *late)
    assert not (run / "samples/edit").exists() and not (run / "encoders").exists(), "nothing is computed first"


@pytest.mark.parametrize("game", ["pix2pix", "points"])
def test_runs_that_cannot_be_inverted(
    game: str, train: Verb, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    photo(tmp_path / "me.png", 9, 9)
    points = [
        "recipe=none",
        "data=ring",
        "arch=mlp",
        "arch.generator.widths=[8]",
        "arch.discriminator.widths=[8]",
    ]
    run = train(*(points if game == "points" else tiny(game)), "max_steps=1", "evaluate.every=null")
    said = "this run's samples are not images" if game == "points" else "has no latents; ganexp translate"
    assert said in told(monkeypatch, tmp_path, capfd, run, "input=me.png")


def test_the_place_of_the_own_image() -> None:
    queries = np.array([[0.0, 0.0], [5.0, 5.0]])
    own = np.array([[0.0, 2.0], [5.0, 5.0]])
    others = np.array([[1.0, 0.0], [0.0, -1.0], [0.0, -2.0], [9.0, 9.0], [0.0, 2.0], [5.0, 5.0]])
    assert ranks_of_own(queries, own, others).tolist() == [3, 1]
    with pytest.raises(UserError):
        ranks_of_own(queries, own * np.nan, others)


def test_psnr_of_each_image() -> None:
    one = np.full((3, 1, 2, 2), 100, np.uint8)
    two = one.copy()
    two[1] += 10
    two[2, 0, 0, 0] += 20
    assert psnr_of_each(one, two) == pytest.approx([100, 20 * np.log10(25.5), 20 * np.log10(25.5)])


def test_strengths() -> None:
    for right in (2, -1.5, [-1, 0, 1], "-3..3"):
        assert check_strength(right) == right
    for wrong in ("x", [], None, True, [1, "a"], 1e9, [1, 1], "1..", float("nan")):
        with pytest.raises(UserError, match="strength="):
            check_strength(wrong)
