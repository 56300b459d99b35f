"""Pairs on disk: which files belong together, that both are cut alike, and what is refused."""

import zipfile
from pathlib import Path

import numpy as np
import pytest
from conftest import command, composed
from PIL import Image

from ganexp.data.arrays import Arrays
from ganexp.data.held_out import evaluated
from ganexp.data.pairs import Pairs
from ganexp.errors import UserError
from ganexp.training.build import build


def source_of(root: Path, *overrides: str) -> Pairs:
    chosen = ("data=pairs", "degrade=none", f"data.root={root}", *overrides)
    source: Pairs = build(composed(*chosen).data)
    return source


def load(root: Path, *overrides: str) -> Arrays:
    return source_of(root, *overrides).load()


def ramp(value: int, width: int = 16, height: int = 16) -> Image.Image:
    """Red is ``value``, green falls from left to right, blue from top to bottom."""
    rows, columns = np.mgrid[:height, :width]
    green, blue = (255 - 255 * columns // width, 255 - 255 * rows // height)
    return Image.fromarray(np.stack([np.full_like(rows, value), green, blue], 2).astype(np.uint8))


def save(file: Path, picture: Image.Image) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    picture.save(file)


def beside(a: Image.Image, b: Image.Image) -> Image.Image:
    both = Image.new("RGB", (a.width + b.width, a.height))
    both.paste(a, (0, 0))
    both.paste(b, (a.width, 0))
    return both


def red(images: np.ndarray | None) -> list[int]:
    assert images is not None
    return [int(image[0].mean()) for image in images]


def test_a_file_with_a_pair_is_cut_into_left_and_right(tmp_path: Path) -> None:
    for number in range(3):
        save(tmp_path / f"{number}.png", beside(ramp(number), ramp(100 + number)))
    there, back = load(tmp_path), load(tmp_path, "data.direction=BtoA")
    assert red(there.sources) == red(back.samples) == [0, 1, 2]
    assert red(there.samples) == red(back.sources) == [100, 101, 102]
    assert there.sources is not None
    assert np.array_equal(there.samples[:, 1:], there.sources[:, 1:]), "the ramps begin anew in the middle"
    assert there.fingerprint != back.fingerprint


FOLDERS = (
    ("A", "B"),
    ("trainA", "trainB"),
    ("LR", "HR"),
    ("lr", "hr"),
    ("lq", "gt"),
    ("input", "target"),
    ("train/A", "train/B"),
    ("A/train", "B/train"),
)


@pytest.mark.parametrize(("a", "b"), FOLDERS)
def test_two_folders_are_joined_by_name_and_never_cut(tmp_path: Path, a: str, b: str) -> None:
    """Side by side they would be halves, as the images are twice as wide as high."""
    for number in range(3):
        save(tmp_path / a / "x" / f"{number}.png", ramp(number, 32))
        save(tmp_path / b / "x" / f"{number}.bmp", ramp(100 + number, 32))
    found = load(tmp_path, "data.crop=none")
    assert red(found.sources) == [0, 1, 2] and red(found.samples) == [100, 101, 102]
    assert found.samples[0, 1, 0, -1] < 20, "the right edge is there"
    with zipfile.ZipFile(tmp_path.with_suffix(".zip"), "w") as archive:
        for file in tmp_path.rglob("*.*"):
            archive.write(file, file.relative_to(tmp_path).as_posix())
    assert load(tmp_path.with_suffix(".zip"), "data.crop=none").fingerprint == found.fingerprint


def test_source_and_target_have_the_same_crop_each_at_its_own_scale(tmp_path: Path) -> None:
    for number in range(2):
        save(tmp_path / f"HR/{number}.png", ramp(7, 96, 64))
        save(tmp_path / f"LR/{number}.png", ramp(7, 24, 16))
    source = source_of(tmp_path)
    assert (source.resolution, source.source_resolution) == (64, 16)
    found = source.load()
    assert found.sources is not None and found.sources.shape == (2, 3, 16, 16)
    enlarged = found.sources.repeat(4, 2).repeat(4, 3).astype(int)
    assert abs(found.samples.astype(int) - enlarged).max() < 20
    assert 200 < found.samples[0, 1, 0, 0] < 225, "a sixth is cut off"
    assert source_of(tmp_path, "data.resolution=32").source_resolution == 8
    turned = source_of(tmp_path, "data.direction=BtoA")
    assert (turned.resolution, turned.source_resolution) == (16, 64)


def test_a_ratio_of_three(tmp_path: Path) -> None:
    save(tmp_path / "HR/1.png", ramp(7, 90, 90))
    save(tmp_path / "LR/1.png", ramp(7, 30, 30))
    source = source_of(tmp_path)
    assert (source.resolution, source.source_resolution) == (48, 16)


def test_channels_of_either(tmp_path: Path) -> None:
    save(tmp_path / "1.png", beside(ramp(3), ramp(4)))
    found = load(tmp_path, "data.source_channels=1")
    assert found.sources is not None and (found.sources.shape[1], found.samples.shape[1]) == (1, 3)


def test_a_test_split_is_what_runs_are_scored_on(tmp_path: Path) -> None:
    for split, first in (("train", 0), ("test", 50)):
        for number in range(8):
            save(tmp_path / split / f"{number}.png", beside(ramp(first + number), ramp(100 + first + number)))
    source = source_of(tmp_path)
    data = source.load()
    assert red(data.sources) == [*range(8)] and [*source.held_out()] == ["test"]
    assert red(evaluated(source, data, "auto").samples) == [*range(150, 158)]
    assert source_of(tmp_path, "data.split=test").held_out() == {}
    with pytest.raises(UserError, match=r"data\.split=val: .*it has test, train"):
        load(tmp_path, "data.split=val", "data.resolution=8", "data.source_resolution=8")


def two_folders_with_mistakes(root: Path) -> None:
    for number in range(5):
        save(root / f"A/{number}.png", ramp(number))
        save(root / f"B/{number}.png", ramp(100 + number))
    (root / "B/1.png").unlink()
    save(root / "B/3.png", ramp(9, 16, 32))
    (root / "B/4.png").write_bytes(b"no image")


def test_what_has_no_partner_is_named_or_left_out(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    two_folders_with_mistakes(tmp_path)
    with pytest.raises(UserError) as raised:
        load(tmp_path)
    assert str(raised.value).startswith(
        "2 of 5 pairs cannot be used, the first: A/1.png has no partner of that name in B/ (in "
    )
    assert str(raised.value).endswith("data.on_error=skip leaves such files out")
    source = source_of(tmp_path, "data.on_error=skip")
    found = source.load()
    assert red(found.sources) == [0, 2] and red(found.samples) == [100, 102] and len(found.labels) == 2
    reasons = source.entry().meta["left_out"]
    assert len(reasons) == 3 and "same proportions" in reasons[1] and "B/4.png" in reasons[2]
    assert "3 of 5 pairs cannot be used and are left out:" in capfd.readouterr().err


NO_PAIRS = {
    "1.png of 16 x 20 is not a pair of images side by side: it is not wider than high; single": {
        "1.png": (16, 20)
    },
    "1.png of 20 x 20 is not a pair of images side by side: it is not wider than high; single": {
        "1.png": (20, 20)
    },
    "1.png of 33 x 16 is not a pair of images side by side: its width is odd": {"1.png": (33, 16)},
    "there is no pair in it; A/1.png has no partner of that name in B/": {"A/1.png": (16, 16)},
    "A/1.bmp and A/1.png have the same name": dict.fromkeys(
        ["A/1.png", "A/1.bmp", "B/1.png", "A/2.png", "B/2.png"], (16, 16)
    ),
    "A/1.png is one image of a pair, and 2.png is not": dict.fromkeys(
        ["A/1.png", "B/1.png", "2.png"], (32, 16)
    ),
    "as 1 to 2 in LR/1.png, as 1 to 1 in LR/2.png: set data.resolution and data.source_resolution": {
        "HR/1.png": (32, 32),
        "LR/1.png": (16, 16),
        "HR/2.png": (16, 16),
        "LR/2.png": (16, 16),
    },
}


@pytest.mark.parametrize("told", NO_PAIRS)
def test_what_is_no_pair(tmp_path: Path, told: str) -> None:
    for file, size in NO_PAIRS[told].items():
        save(tmp_path / file, ramp(0, *size))
    with pytest.raises(UserError) as raised:
        load(tmp_path)
    assert told in str(raised.value)


def test_a_source_that_is_too_small_is_named_with_its_own_setting(tmp_path: Path) -> None:
    save(tmp_path / "1.png", beside(ramp(3), ramp(4)))
    with pytest.raises(
        UserError, match=r"the left half of 1\.png is only 16 x 16, smaller than data\.source_res"
    ):
        load(tmp_path, "data.source_resolution=32")


def test_a_photo_that_its_camera_turned_has_the_size_that_is_seen(tmp_path: Path) -> None:
    """A without EXIF and B with it are alike, once B is upright."""
    exif = Image.Exif()
    exif[0x0112] = 6
    save(tmp_path / "A/1.png", Image.new("RGB", (32, 48)))
    (tmp_path / "B").mkdir()
    Image.new("RGB", (48, 32)).save(tmp_path / "B/1.jpg", exif=exif)
    assert len(load(tmp_path).samples) == 1


@pytest.mark.parametrize("chosen", ["game=srgan", "experiment=srgan_faces", "experiment=pix2pix_faces"])
def test_a_degrade_that_would_leave_the_sources_unused_is_refused(tmp_path: Path, chosen: str) -> None:
    for number in range(3):
        save(tmp_path / f"HR/{number}.png", ramp(number, 32, 32))
        save(tmp_path / f"LR/{number}.png", ramp(number))
    pairs = [chosen, "data=pairs", f"data.root={tmp_path}"]
    with pytest.raises(UserError, match="does not use: set degrade=pairs"):
        composed(*pairs)
    cfg = composed(*pairs, "degrade=pairs")
    assert cfg.degrade.source_shape[1] * 2 == cfg.data.shape[1]  # as much smaller as the files are


def test_data_info_draws_pairs(tmp_path: Path) -> None:
    for number in range(3):
        save(tmp_path / f"set/HR/{number}.png", Image.new("RGB", (64, 64), (200, 0, 0)))
        save(tmp_path / f"set/LR/{number}.png", Image.new("RGB", (16, 16), (0, 0, 200)))
    told = command(tmp_path, "data", "info", "data=pairs", "data.root=set", "out=pairs.png").stdout
    assert "samples      3 of 3 x 64 x 64\nsources      3 of 3 x 16 x 16\n" in told
    with Image.open(tmp_path / "pairs.png") as picture:
        row = np.asarray(picture)[30]
    assert [tuple(map(int, row[2 + 66 * place + 30])) for place in range(6)] == 3 * [(0, 0, 200), (200, 0, 0)]
