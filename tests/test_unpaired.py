"""Unpaired domains: layouts on disk, two classes of a labelled set, independent orders, and what is refused."""

import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import command, composed
from PIL import Image

from ganexp.data.degradations.pixel_art import PixelArt
from ganexp.data.degradations.unpaired import Classes
from ganexp.data.held_out import evaluated
from ganexp.data.reference import reference
from ganexp.data.source import Source
from ganexp.data.store import store
from ganexp.data.unpaired import Unpaired
from ganexp.errors import UserError
from ganexp.games.game import Game
from ganexp.training.build import build, build_game, build_source
from ganexp.training.evaluation import Evaluator
from ganexp.training.experiment_data import make_loader

CPU = torch.device("cpu")


def write(folder: Path, shades: list[int], side: int = 8) -> None:
    """An image of one shade each."""
    folder.mkdir(parents=True, exist_ok=True)
    for index, shade in enumerate(shades):
        Image.new("RGB", (side, side), (shade, shade, shade)).save(folder / f"{index:03}.png")


def source_of(*overrides: str) -> Unpaired:
    source: Unpaired = build(composed("data=unpaired", "degrade=none", *overrides).data)
    return source


def shades(images: np.ndarray | None) -> list[int]:
    assert images is not None
    return [int(image[0, 0, 0]) for image in images]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write(tmp_path / "trainA", [1, 2, 3])
    write(tmp_path / "trainB", [101, 102, 103, 104, 105])
    write(tmp_path / "testA", list(range(10, 22)))
    write(tmp_path / "testB", list(range(110, 119)))
    return tmp_path


def test_the_layout_of_cyclegan(folder: Path) -> None:
    source = source_of(f"data.root={folder}")
    arrays = source.load()
    assert shades(arrays.sources) == [1, 2, 3] and shades(arrays.samples) == [101, 102, 103, 104, 105]
    assert arrays.samples.shape[2:] == (8, 8), "as far as the images fill it"
    held_out = source.held_out()["test"].load()
    assert shades(held_out.sources) == list(range(10, 22)) and len(held_out.samples) == 9
    back = source_of(f"data.root={folder}", "data.direction=BtoA").load()
    assert shades(back.samples) == [1, 2, 3] and back.fingerprint != arrays.fingerprint


def test_two_folders_of_any_names_and_zips(folder: Path) -> None:
    write(folder / "photos", [5, 6], side=16)
    write(folder / "art/train", [50, 51, 52], side=16)
    write(folder / "art/test", [60], side=16)
    with zipfile.ZipFile(folder / "art.zip", "w") as archive:
        for file in sorted((folder / "art").rglob("*.png")):
            archive.write(file, file.relative_to(folder / "art"))
    for b in ("art", "art.zip"):
        source = source_of(f"data.a={folder}/photos", f"data.b={folder}/{b}")
        arrays = source.load()
        assert shades(arrays.sources) == [5, 6] and shades(arrays.samples) == [50, 51, 52]
        assert arrays.samples.shape[2:] == (16, 16) and source.held_out() == {}, "photos have no test"


def test_settings_that_do_not_name_both_domains_are_refused(folder: Path) -> None:
    for wrong in ([], [f"data.a={folder}/trainA"], [f"data.root={folder}", f"data.b={folder}/trainB"]):
        with pytest.raises(UserError, match=r"data\.root=.* or both data\.a and data\.b"):
            source_of(*wrong)
    (folder / "one").mkdir()
    write(folder / "one/trainA", [1])
    with pytest.raises(UserError, match="no image of domain B: it needs folders trainA and trainB"):
        source_of(f"data.root={folder}/one")


def test_damaged_images_are_left_out_of_their_domain(folder: Path) -> None:
    (folder / "trainA/001.png").write_bytes(b"nothing")
    with pytest.raises(UserError, match=r"001\.png.*on_error=skip"):
        source_of(f"data.root={folder}").load()
    arrays = source_of(f"data.root={folder}", "data.on_error=skip").load()
    assert shades(arrays.sources) == [1, 3] and len(arrays.samples) == len(arrays.labels) == 5


def digits() -> Source:
    source: Source = build(composed("data=digits").data)
    return source


def classes(a: str | int | None, b: str | int | None) -> Source:
    return Classes(source_shape=[1, 8, 8], output_shape=[1, 8, 8], a=a, b=b).domains(digits())


def test_two_classes_of_a_labelled_set() -> None:
    every = digits().load()
    for a, b in ((3, 5), ("3", "5")):
        arrays = classes(a, b).load()
        assert np.array_equal(arrays.sources, every.samples[every.labels == 3])  # type: ignore[arg-type]
        assert np.array_equal(arrays.samples, every.samples[every.labels == 5])
        assert arrays.classes == ("5",) and len(set(arrays.labels.tolist())) == 1
    assert np.array_equal(classes(None, None).load().samples, every.samples[every.labels == 1])
    assert classes(3, 5).load().fingerprint not in (classes(5, 3).load().fingerprint, every.fingerprint)
    for a, b, told in (
        (3, 3, "both the class 3"),
        ("x", 1, "degrade.a=x: no such class"),
        (1, 10, "degrade.b=10"),
    ):
        with pytest.raises(UserError, match=told):
            classes(a, b).load()


def test_a_split_without_a_class_is_scored_by_the_classes_that_were_trained(tmp_path: Path) -> None:
    for shade, name in (
        (10, "train/cat"),
        (20, "train/dog"),
        (30, "train/horse"),
        (40, "test/dog"),
        (50, "test/horse"),
    ):
        write(tmp_path / name, [shade] * 8)
    of: Source = build(composed("data=folder", f"data.root={tmp_path}").data)
    for a, b in ((1, 2), ("dog", "horse")):
        made = Classes(source_shape=[3, 8, 8], output_shape=[3, 8, 8], a=a, b=b).domains(of)
        arrays = made.held_out()["test"].load()
        assert shades(arrays.sources) == [40] * 8 and shades(arrays.samples) == [50] * 8
    first = Classes(source_shape=[3, 8, 8], output_shape=[3, 8, 8], a=None, b=None).domains(of)
    with pytest.raises(UserError, match=r"degrade\.a=cat: no such class"):
        first.held_out()["test"].load()


def test_the_domains_of_a_batch_are_drawn_independently() -> None:
    cfg = composed("data=digits", "batch_size=32")
    source, arrays = digits(), digits().load()
    orders = []
    for unpaired in (True, False):
        made = make_loader(cfg, source, arrays, store(arrays.samples, CPU), CPU, unpaired=unpaired)
        orders.append(next(made.epoch()))
    assert orders[1].source is None and orders[0].source is not None
    assert torch.equal(orders[0].x, orders[1].x), "the samples' order is that of every game"
    assert not torch.equal(orders[0].x, orders[0].source)


def test_sources_to_look_at_are_each_shown_once(folder: Path) -> None:
    source = source_of(f"data.root={folder}", "data.split=test")
    shown = reference(source, source.load(), np.arange(9)).source
    assert shown is not None and len({round(float(image.mean()), 4) for image in shown}) == 9


def test_paths_are_stored_as_absolute_ones(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    cfg = composed("data=unpaired", "degrade=none", "data.a=trainA", "data.b=trainB")
    assert (cfg.data.a, cfg.data.b, cfg.data.root) == (f"{folder}/trainA", f"{folder}/trainB", None)


SCORED = ["game=cyclegan", "features=pixels", "recipe=none", "evaluate.split=training", "evaluate.count=10"]
SCORED += ["arch.discriminator.layers=1", "arch.generator.width=2"]


def evaluator_of(*overrides: str) -> tuple[Evaluator, Game]:
    cfg = composed(*SCORED, *overrides)
    source = build_source(cfg)
    return Evaluator(source, source.load(), cfg, CPU), build_game(cfg)


def test_held_out_labels_are_numbered_as_in_training(tmp_path: Path) -> None:
    for shade, name in enumerate(("train/cat", "train/dog", "train/horse", "test/cat", "test/horse"), start=1):
        write(tmp_path / name, [10 * shade] * 8)
    source: Source = build(composed("data=folder", f"data.root={tmp_path}").data)
    found = evaluated(source, source.load(), "auto")
    assert len(found.samples) == 16 and np.bincount(found.labels).tolist() == [8, 0, 8], "cats and horses"


def test_the_smaller_domain_limits_the_scores(folder: Path) -> None:
    evaluator, game = evaluator_of("data=unpaired", f"data.root={folder}", "data.split=test")
    source = source_of(f"data.root={folder}", "data.split=test", "data.direction=BtoA")
    assert evaluator.count == 4 and len(evaluator.inputs(game, source.load()).args[0]) == 4
    write(folder / "wide/A", [1, 2, 3])
    write(folder / "wide/B", list(range(20, 40)))
    evaluator, game = evaluator_of("data=unpaired", f"data.root={folder}/wide")
    arrays = source_of(f"data.root={folder}/wide").load()
    assert evaluator.count == 10 and len(evaluator.inputs(game, arrays).args[0]) == 3, "each source once"


def test_outputs_are_compared_with_what_degrade_makes_of_images() -> None:
    evaluator, game = evaluator_of("degrade=pixelart", "degrade.reverse=true", "degrade.block=4")
    found = evaluator.score_baseline(game, evaluator.inputs(game, digits().load()))
    assert found is not None and found[1]["fid_pixels"] > 1, "photos are no pixel art"
    assert isinstance(game.parts.degrade, PixelArt)
    art = game.parts.degrade.art
    images = torch.from_numpy(evaluator.real.samples).float() / 127.5 - 1
    assert torch.allclose(art(images), images, atol=1e-2), "the real samples are"


def test_paired_games_refuse_unpaired_domains(tmp_path: Path, folder: Path) -> None:
    for given in ([f"data.root={folder}"], ["data=digits", "degrade=classes"]):
        data = given if given[0].startswith("data=") else ["data=unpaired", *given]
        told = command(tmp_path, "train", *data, "game=pix2pix", "recipe=none", "max_steps=1")
        assert told.returncode == 2 and "two unpaired domains: choose" in told.stderr, told.stderr
        assert len(told.stderr.strip().splitlines()) == 1
