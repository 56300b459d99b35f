"""Sources: what they read, what they refuse, and that nothing in a file can lead them astray."""

import gzip
import io
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import composed
from PIL import Image

from ganexp.data import cifar10, download
from ganexp.data.arrays import Arrays
from ganexp.data.decode import Recipe
from ganexp.data.decode import decode as decode_one
from ganexp.data.images import to_uint8
from ganexp.data.source import Source
from ganexp.errors import UserError
from ganexp.training.build import build


def load(*overrides: str) -> Arrays:
    source: Source = build(composed(*overrides).data)
    return source.load()


def encoded(picture: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, kind, **options)
    return stream.getvalue()


def decode(raw: bytes, name: str, channels: int, resolution: int) -> np.ndarray:
    return decode_one(raw, name, Recipe(channels, resolution, "centre"))


def flat(value: int, side: int = 20) -> bytes:
    return encoded(Image.new("RGB", (side, side), (value, 0, 0)))


# --- what comes with the program


def test_digits() -> None:
    digits = load("data=digits")
    assert digits.samples.shape == (1797, 1, 16, 16) and digits.samples.dtype == np.uint8
    assert np.bincount(digits.labels).min() > 170 and len(digits.classes) == 10
    assert load("data=digits", "data.resolution=32").samples.shape == (1797, 1, 32, 32)


@pytest.mark.parametrize(("name", "modes", "spread"), [("ring", 8, 0.01), ("grid", 25, 0.05)])
def test_the_plane(name: str, modes: int, spread: float) -> None:
    source = build(composed(f"data={name}").data)
    points = source.load()
    assert points.samples.shape == (100_000, 2) and points.samples.dtype == np.float32
    assert len(np.unique(points.labels)) == modes == len(points.classes)
    distance = points.samples - source.centres[points.labels]
    assert distance.std() == pytest.approx(spread, rel=0.02)
    assert np.bincount(points.labels).min() > 0.9 * 100_000 / modes


def test_the_true_density_integrates_to_one() -> None:
    source = build(composed("data=grid").data)
    axis = np.arange(-6, 6, 0.02)
    lattice = np.stack(np.meshgrid(axis, axis), -1).reshape(-1, 2)
    assert source.density(lattice).sum() * 0.02**2 == pytest.approx(1, rel=1e-3)


def test_points_get_an_mlp_without_being_asked() -> None:
    assert composed("data=ring").arch.generator._target_ == "ganexp.nets.mlp.Generator"
    assert composed("data=digits", "recipe=none").arch.generator._target_ == "ganexp.nets.dcgan.Generator"


# --- MNIST


def idx(array: np.ndarray) -> bytes:
    return bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes() + array.tobytes()


def make_mnist(root: Path, folder: str = "MNIST", packed: bool = False) -> np.ndarray:
    raw = root / folder / "raw"
    raw.mkdir(parents=True)
    images = np.random.default_rng(0).integers(256, size=(30, 28, 28), dtype=np.uint8)
    for name, array in (("images-idx3", images), ("labels-idx1", np.arange(30, dtype=np.uint8) % 10)):
        content = idx(array)
        file = raw / f"train-{name}-ubyte"
        (file.with_name(file.name + ".gz") if packed else file).write_bytes(
            gzip.compress(content) if packed else content
        )
    return images


@pytest.mark.parametrize("packed", [False, True])
def test_mnist(tmp_path: Path, packed: bool) -> None:
    images = make_mnist(tmp_path, packed=packed)
    found = load("data=mnist", f"data.root={tmp_path}")
    assert (found.samples[:, 0] == images).all()
    assert found.labels.tolist() == [label % 10 for label in range(30)]


def test_mnist_at_other_sizes(tmp_path: Path) -> None:
    images = make_mnist(tmp_path)
    padded = load("data=mnist", f"data.root={tmp_path}", "data.resolution=32").samples
    assert (padded[:, 0, 2:-2, 2:-2] == images).all() and padded[:, :, :2].max() == 0
    assert load("data=mnist", f"data.root={tmp_path}", "data.resolution=16").samples.shape == (30, 1, 16, 16)
    for wrong in (30, 64):
        with pytest.raises(UserError, match=f"data.resolution={wrong}.*32"):
            load("data=mnist", f"data.root={tmp_path}", f"data.resolution={wrong}")


def test_fashion_mnist(tmp_path: Path) -> None:
    make_mnist(tmp_path, "FashionMNIST")
    assert load("data=fashion_mnist", f"data.root={tmp_path}").classes[9] == "ankle boot"


@pytest.mark.parametrize("damage", [b"", b"\0\0\x08\x03", b"not an idx file at all"])
def test_a_damaged_idx_file_is_named(tmp_path: Path, damage: bytes) -> None:
    make_mnist(tmp_path)
    (tmp_path / "MNIST/raw/train-images-idx3-ubyte").write_bytes(damage)
    with pytest.raises(UserError, match="train-images-idx3-ubyte is damaged"):
        load("data=mnist", f"data.root={tmp_path}")


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist", "cifar10", "celeba"])
def test_what_cannot_be_fetched_says_where_it_belongs(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def offline(what: str, where: str, folder: Path, call: Any) -> None:
        def refuse() -> None:
            folder.mkdir(parents=True)
            (folder / "part").touch()
            raise OSError("no network")

        download.fetch(what, where, folder, refuse)

    for module in ("mnist", "cifar10", "celeba"):
        monkeypatch.setattr(f"ganexp.data.{module}.fetch", offline)
    with pytest.raises(UserError, match=r"no network.*put .* into .*data=digits, which needs nothing"):
        load(f"data={name}", f"data.root={tmp_path}/missing/data")
    assert list(tmp_path.iterdir()) == [], "nothing half-made is left"


def test_a_failed_download_removes_only_the_folders_that_it_made(tmp_path: Path) -> None:
    def refuse() -> None:
        (tmp_path / "MNIST/raw").mkdir(parents=True, exist_ok=True)
        raise OSError("no network")

    def attempt() -> list[str]:
        with pytest.raises(UserError, match="no network"):
            download.fetch("MNIST", "files", tmp_path / "MNIST/raw", refuse)
        return sorted(file.name for file in tmp_path.rglob("*"))

    (tmp_path / "other").mkdir()
    assert attempt() == ["other"]
    (tmp_path / "MNIST").mkdir()
    (tmp_path / "MNIST/mine").touch()
    assert attempt() == ["MNIST", "mine", "other"]
    (tmp_path / "MNIST/raw").mkdir()
    (tmp_path / "MNIST/raw/train").touch()
    assert attempt() == ["MNIST", "mine", "other", "raw", "train"]


def test_stacked_mnist(tmp_path: Path) -> None:
    digits = make_mnist(tmp_path)
    found = load("data=stacked_mnist", f"data.root={tmp_path}", "data.count=200")
    assert found.samples.shape == (200, 3, 28, 28) and len(found.classes) == 1000
    for image, label in zip(found.samples[:20], found.labels, strict=False):
        rows = [int(np.flatnonzero((digits == plane).all((1, 2)))[0]) % 10 for plane in image]
        assert label == 100 * rows[0] + 10 * rows[1] + rows[2]


def test_medmnist(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for subset, channels in (("bloodmnist", (3,)), ("octmnist", ())):
        images = rng.integers(256, size=(6, 28, 28, *channels), dtype=np.uint8)
        labels = np.arange(6)[:, None] % 4
        np.savez(tmp_path / f"{subset}.npz", train_images=images, train_labels=labels)
        found = load("data=medmnist", f"data.subset={subset}", f"data.root={tmp_path}")
        assert found.samples.shape == (6, channels[0] if channels else 1, 28, 28)
        assert (found.samples[2, 0] == (images[2, :, :, 0] if channels else images[2])).all()
        assert found.labels.tolist() == [0, 1, 2, 3, 0, 1]
    with pytest.raises(UserError, match=r"data\.subset=bloodmist.*did you mean bloodmnist"):
        load("data=medmnist", "data.subset=bloodmist", f"data.root={tmp_path}")
    (tmp_path / "octmnist.npz").write_bytes(b"x")
    with pytest.raises(UserError, match=r"octmnist\.npz is damaged"):
        load("data=medmnist", "data.subset=octmnist", f"data.root={tmp_path}")


# --- CIFAR-10


def make_cifar(root: Path) -> np.ndarray:
    folder = root / "cifar-10-batches-bin"
    folder.mkdir(parents=True)
    records = np.random.default_rng(0).integers(256, size=(6, 4, 3073), dtype=np.uint8)
    records[:, :, 0] %= 10
    for part, name in enumerate([*(f"data_batch_{n}.bin" for n in range(1, 6)), "test_batch.bin"]):
        (folder / name).write_bytes(records[part].tobytes())
    return records


def test_cifar10_from_the_folder_and_from_the_archive(tmp_path: Path) -> None:
    records = make_cifar(tmp_path / "folder")
    found = load("data=cifar10", f"data.root={tmp_path}/folder")
    assert found.samples.shape == (20, 3, 32, 32)
    assert found.samples[5, 2, 3, 4] == records[1, 1, 1 + 2 * 1024 + 3 * 32 + 4]
    assert found.labels[5] == records[1, 1, 0]
    (tmp_path / "packed").mkdir()
    with tarfile.open(tmp_path / "packed/cifar-10-binary.tar.gz", "w:gz") as tar:
        tar.add(tmp_path / "folder/cifar-10-batches-bin", "cifar-10-batches-bin")
    packed = load("data=cifar10", f"data.root={tmp_path}/packed")
    assert packed.fingerprint == found.fingerprint
    assert len(load("data=cifar10", f"data.root={tmp_path}/folder", "data.split=test").samples) == 4
    assert load("data=cifar10", f"data.root={tmp_path}/folder", "data.resolution=16").samples.shape[2] == 16


def test_a_damaged_cifar_file_is_named(tmp_path: Path) -> None:
    make_cifar(tmp_path)
    (tmp_path / "cifar-10-batches-bin/data_batch_3.bin").write_bytes(b"x" * 100)
    with pytest.raises(UserError, match=r"data_batch_3\.bin.*damaged"):
        load("data=cifar10", f"data.root={tmp_path}")


def test_cifar10_never_reads_the_pickled_version() -> None:
    assert cifar10._ARCHIVE == "cifar-10-binary.tar.gz"


# --- CelebA


def make_celeba(root: Path) -> None:
    (root / "img_align_celeba").mkdir(parents=True)
    lines = []
    for number in range(1, 7):
        picture = Image.new("RGB", (89, 109), (number * 40, 0, 0))
        picture.save(root / f"img_align_celeba/{number:06d}.jpg", quality=95)
        lines.append(f"{number:06d}.jpg {(number - 1) % 3}")
    (root / "list_eval_partition.txt").write_text("\n".join(lines) + "\n")


def test_celeba_from_the_folder_and_from_the_zip(tmp_path: Path) -> None:
    make_celeba(tmp_path)
    found = load("data=celeba", f"data.root={tmp_path}", "data.split=valid")
    assert found.samples.shape == (2, 3, 64, 64)
    assert found.samples[:, 0].mean(axis=(1, 2)) == pytest.approx([80, 200], abs=3)
    assert len(load("data=celeba", f"data.root={tmp_path}", "data.split=all").samples) == 6
    with zipfile.ZipFile(tmp_path / "img_align_celeba.zip", "w") as packed:
        for file in sorted((tmp_path / "img_align_celeba").iterdir()):
            packed.write(file, f"img_align_celeba/{file.name}")
            file.unlink()
    (tmp_path / "img_align_celeba").rmdir()
    again = load("data=celeba", f"data.root={tmp_path}", "data.split=valid")
    assert again.fingerprint == found.fingerprint
    (tmp_path / "list_eval_partition.txt").unlink()
    with pytest.raises(UserError, match=r"list_eval_partition\.txt.*data\.split=all"):
        load("data=celeba", f"data.root={tmp_path}")


# --- any folder


def make_folder(root: Path, splits: bool = False) -> None:
    for split in ("train", "test") if splits else ("",):
        for number, name in enumerate(("cat", "dog")):
            folder = root / split / name
            folder.mkdir(parents=True)
            for index in range(3):
                (folder / f"{index}.png").write_bytes(flat(100 * number + index))


def packed(root: Path) -> Path:
    file = root.with_suffix(".zip")
    with zipfile.ZipFile(file, "w") as archive:
        for path in sorted(root.rglob("*.png")):
            archive.write(path, path.relative_to(root).as_posix())
    return file


def test_sub_folders_are_classes_and_a_zip_is_a_folder(tmp_path: Path) -> None:
    make_folder(tmp_path / "pets")
    cfg = composed("data=folder", f"data.root={tmp_path}/pets")
    assert (cfg.data.classes, cfg.data.resolution) == (2, 16)
    found = load("data=folder", f"data.root={tmp_path}/pets")
    assert found.classes == ("cat", "dog") and found.labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert found.samples[:, 0, 0, 0].tolist() == [0, 1, 2, 100, 101, 102]
    assert load("data=folder", f"data.root={packed(tmp_path / 'pets')}").fingerprint == found.fingerprint


def test_top_folders_named_train_and_test_are_splits(tmp_path: Path) -> None:
    make_folder(tmp_path / "pets", splits=True)
    root = f"data.root={tmp_path}/pets"
    found = load("data=folder", root)
    assert len(found.samples) == 6 and found.classes == ("cat", "dog")
    assert len(load("data=folder", root, "data.split=test").samples) == 6
    with pytest.raises(UserError, match=r"data\.split=valid.*test, train"):
        load("data=folder", root, "data.split=valid")


def test_a_flat_folder_is_one_class_and_grey_if_asked(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(flat(255))
    (tmp_path / ".hidden.png").write_bytes(b"")
    (tmp_path / "notes.txt").write_text("not an image")
    found = load("data=folder", f"data.root={tmp_path}", "data.channels=1")
    assert found.samples.shape == (1, 1, 16, 16) and found.samples[0, 0, 0, 0] == 76
    assert len(found.classes) == 1


def test_an_image_smaller_than_asked_is_named(tmp_path: Path) -> None:
    make_folder(tmp_path)
    with pytest.raises(
        UserError, match=r"6 of 6 images.*cat/0\.png is only 20 x 20, smaller than data\.resolution=32"
    ):
        load("data=folder", f"data.root={tmp_path}", "data.resolution=32")


@pytest.mark.parametrize("damage", [b"", b"this is text", flat(3)[:60]])
def test_a_damaged_image_is_named(tmp_path: Path, damage: bytes) -> None:
    make_folder(tmp_path)
    (tmp_path / "dog/1.png").write_bytes(damage)
    with pytest.raises(UserError, match=r"1 of 6 images.*dog/1\.png is no readable image.*data\.on_error=skip"):
        load("data=folder", f"data.root={tmp_path}")


def test_nothing_to_read(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no image in it"):
        composed("data=folder", f"data.root={tmp_path}")
    with pytest.raises(UserError, match="no such folder or zip"):
        composed("data=folder", f"data.root={tmp_path}/missing")
    (tmp_path / "fake.zip").write_text("no zip")
    with pytest.raises(UserError, match="neither a folder nor a readable zip"):
        composed("data=folder", f"data.root={tmp_path}/fake.zip")


def test_names_in_a_zip_are_never_paths(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "evil.zip", "w") as archive:
        archive.writestr("../../outside.png", flat(1))
        archive.writestr("/absolute/inside.png", flat(2))
    before = sorted(path.name for path in tmp_path.rglob("*"))
    found = load("data=folder", f"data.root={tmp_path}/evil.zip")
    assert len(found.samples) == 2
    assert sorted(path.name for path in tmp_path.rglob("*")) == before


def test_links_in_circles_end(tmp_path: Path) -> None:
    make_folder(tmp_path / "pets")
    (tmp_path / "pets/cat/again").symlink_to(tmp_path / "pets")
    assert len(load("data=folder", f"data.root={tmp_path}/pets").samples) == 6


# --- decoding


def test_every_kind_of_picture() -> None:
    grey16 = Image.fromarray(np.full((8, 8), 0x8000, np.uint16))
    assert decode(encoded(grey16), "x", 1, 8)[0, 0, 0] == 0x80
    clear = Image.new("RGBA", (8, 8), (255, 0, 0, 0))
    assert decode(encoded(clear), "x", 3, 8)[:, 0, 0].tolist() == [255, 255, 255]
    palette = Image.new("P", (8, 8), 1)
    palette.putpalette([0, 0, 0, 10, 20, 30])
    assert decode(encoded(palette, "GIF"), "x", 3, 8)[:, 0, 0].tolist() == [10, 20, 30]
    printed = Image.new("CMYK", (8, 8), (0, 0, 0, 255))
    assert decode(encoded(printed, "JPEG"), "x", 3, 8).max() < 10


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF"])
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_every_format(kind: str, mode: str, tmp_path: Path) -> None:
    picture = Image.new("RGB", (12, 10), (200, 200, 200)).convert(mode)
    (tmp_path / "nested/deeper").mkdir(parents=True)
    (tmp_path / f"nested/deeper/a.{kind.lower()}").write_bytes(encoded(picture, kind))
    found = load("data=folder", f"data.root={tmp_path}", "data.resolution=8")
    assert found.classes == ("nested/deeper",)
    assert np.abs(found.samples.astype(int) - 200).max() <= 2


def test_upright_and_centred() -> None:
    wide = np.zeros((8, 24, 3), np.uint8)
    wide[:, 8:16] = 200
    assert (decode(encoded(Image.fromarray(wide)), "x", 3, 8) == 200).all()
    sideways = np.zeros((8, 8, 3), np.uint8)
    sideways[:4] = 200
    exif = Image.Exif()
    exif[0x0112] = 3  # taken upside down
    assert (
        decode(encoded(Image.fromarray(sideways), exif=exif), "x", 3, 8)[0, :, 0].tolist()
        == [0] * 4 + [200] * 4
    )


def test_resizing_is_antialiased() -> None:
    board = (np.indices((64, 64)).sum(0) % 2 * 255).astype(np.uint8)
    small = decode(encoded(Image.fromarray(board)), "x", 1, 8)
    assert small.min() > 110 and small.max() < 145, "a checkerboard becomes grey, not noise"


def test_rounding_back_to_uint8() -> None:
    every = np.arange(256, dtype=np.float32)
    assert (to_uint8(every / 127.5 - 1) == every).all()
    assert to_uint8(np.array([-9.0, 9.0])).tolist() == [0, 255]


def test_the_fingerprint_knows_pixels_labels_and_names() -> None:
    def fingerprint(pixel: int = 0, label: int = 0, name: str = "a") -> str:
        return Arrays(np.full((1, 1, 2, 2), pixel, np.uint8), np.array([label]), (name,)).fingerprint

    prints = [fingerprint(), fingerprint(pixel=1), fingerprint(label=1), fingerprint(name="b")]
    assert len(set(prints)) == 4 and fingerprint() == prints[0]
