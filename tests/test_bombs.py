"""Data sets made to harm: small files that unpack to gigabytes, labels that contradict each other, noise."""

import gzip
import io
import json
import os
import resource
import tarfile
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest
from conftest import composed
from PIL import Image

from ganexp.data import bounded, cifar10, file_tree, medmnist, mnist
from ganexp.data.arrays import Arrays
from ganexp.data.decode import Recipe, decode
from ganexp.data.file_tree import FileTree
from ganexp.errors import UserError
from ganexp.training.build import build

MUCH = 320 << 20
"""Bytes that the zip unpacks to: more than any image may take."""


def load(*overrides: str) -> Arrays:
    data: Arrays = build(composed(*overrides).data).load()
    return data


def picture() -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (16, 16)).save(stream, "PNG")
    return stream.getvalue()


def images(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(picture())
    return root


def bomb(archive: zipfile.ZipFile, name: str, head: bytes) -> None:
    with archive.open(name, "w", force_zip64=True) as stream:
        stream.write(head)
        for _ in range(MUCH >> 24):
            stream.write(bytes(1 << 24))


def test_a_zip_bomb_is_refused_unread(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "image.zip", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr("a/0.png", picture())
        bomb(archive, "a/1.png", picture())
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(UserError, match=r"1 of 2 images.*a/1\.png holds more than 269,484,032 bytes"):
        load("data=folder", f"data.root={tmp_path}/image.zip")
    found = load("data=folder", f"data.root={tmp_path}/image.zip", "data.on_error=skip")
    assert len(found.samples) == 1
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000, "kB"


def test_a_zip_that_declares_too_little_is_counted() -> None:
    class Endless(io.RawIOBase):
        read_so_far = 0

        def read(self, size: int = -1) -> bytes:
            self.read_so_far += size
            return bytes(size)

    stream = Endless()
    with pytest.raises(UserError, match="a holds more than 5,000,000 bytes"):
        bounded.read_stream(stream, 5_000_000, "a", declared=10)  # type: ignore[arg-type]
    assert stream.read_so_far == 5_000_001


@pytest.mark.parametrize("name", ["labels.csv", "dataset.json"])
def test_labels_as_a_bomb(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_tree, "_TEXT", 100)
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("0.png", picture())
        archive.writestr(name, bytes(2000))
    with pytest.raises(UserError, match=rf"{name} holds more than 1,024 bytes"):
        load("data=folder", f"data.root={tmp_path}/a.zip")


def test_a_gzipped_idx_file_is_not_read_beyond_what_it_declares(tmp_path: Path) -> None:
    file = tmp_path / "images.gz"
    head = bytes([0, 0, 8, 3]) + np.array((2, 28, 28), ">u4").tobytes()
    file.write_bytes(gzip.compress(head + bytes(1 << 24)))
    with pytest.raises(UserError, match=r"images\.gz holds more than 1,568 bytes"):
        mnist.read_idx(file, 3)
    file.write_bytes(gzip.compress(bytes([0, 0, 8, 3]) + b"\xff" * 12))
    with pytest.raises(UserError, match=r"images\.gz is damaged"):
        mnist.read_idx(file, 3)
    torn = bytearray(gzip.compress(head + np.random.default_rng(0).bytes(1568)))
    torn[30:40] = b"\xff" * 10
    file.write_bytes(torn)
    with pytest.raises(UserError, match=r"images\.gz cannot be read"):
        mnist.read_idx(file, 3)


def test_arrays_as_a_bomb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(medmnist, "LARGEST_ARRAY", 1_000_000)

    def npz(**shapes: tuple[int, ...]) -> None:
        with zipfile.ZipFile(tmp_path / "octmnist.npz", "w", zipfile.ZIP_DEFLATED) as archive:
            for name, shape in shapes.items():
                stream = io.BytesIO()
                np.lib.format.write_array_header_1_0(
                    stream, {"descr": "|u1", "fortran_order": False, "shape": shape}
                )
                size = int(np.prod(shape)) if np.prod(shape) < MUCH else 0
                archive.writestr(f"train_{name}.npy", stream.getvalue() + bytes(size))

    overrides = ("data=medmnist", "data.subset=octmnist", f"data.root={tmp_path}")
    npz(images=(10**11, 28, 28), labels=(3, 1))
    with pytest.raises(UserError, match=r"train_images\.npy is not as long as its shape \[100000000000"):
        load(*overrides)
    npz(images=(2_000, 28, 28), labels=(3, 1))
    with pytest.raises(UserError, match=r"train_images\.npy in .* holds more than 1,000,000 bytes"):
        load(*overrides)
    for shape in ((4, 28, 28), (3, 28), (), (3, 28, 28, 7)):
        npz(images=shape, labels=(3, 1))
        with pytest.raises(UserError, match=r"octmnist\.npz is damaged"):
            load(*overrides)
    npz(images=(3, 28, 28), labels=(3, 1))
    assert len(load(*overrides).samples) == 3


def test_an_archive_of_cifar10_as_a_bomb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def packed(*files: tuple[str, int]) -> None:
        with tarfile.open(tmp_path / "cifar-10-binary.tar.gz", "w:gz") as tar:
            for name, size in files:
                member = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
                member.size = size
                tar.addfile(member, io.BytesIO(bytes(size)))

    overrides = ("data=cifar10", f"data.root={tmp_path}")
    packed(("data_batch_1.bin", 40_000_000))
    with pytest.raises(UserError, match=r"data_batch_1\.bin in .* holds more than 30,730,000 bytes"):
        load(*overrides)
    packed(("data_batch_1.bin", 3073))
    with pytest.raises(UserError, match=r"it holds no data_batch_2\.bin"):
        load(*overrides)
    monkeypatch.setattr(cifar10, "_MAX_UNPACKED_BYTES", 1_000_000)
    packed(("readme", 40_000_000), ("data_batch_1.bin", 3073))
    with pytest.raises(UserError, match=r"binary\.tar\.gz holds more than it should"):
        load(*overrides)


def test_a_pipe_among_the_images_is_not_waited_for(tmp_path: Path) -> None:
    root = images(tmp_path / "images", "a/0.png")
    os.mkfifo(root / "a/1.png")
    with pytest.raises(UserError, match=r"a/1\.png cannot be read: it is no regular file"):
        load("data=folder", f"data.root={root}")


def test_a_link_that_leads_nowhere_is_left_out_if_asked(tmp_path: Path) -> None:
    root = images(tmp_path / "images", "a/0.png")
    (root / "a/1.png").symlink_to("/nothing")
    assert len(load("data=folder", f"data.root={root}", "data.on_error=skip").samples) == 1
    with pytest.raises(UserError, match=r"1 of 2 images.*a/1\.png cannot be read: No such file"):
        load("data=folder", f"data.root={root}")


def test_a_program_that_pillow_would_start_is_no_image(tmp_path: Path) -> None:
    root = images(tmp_path / "images", "a/0.png")
    (root / "a/1.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 32 32\nshowpage\n")
    with pytest.raises(UserError, match=r"a/1\.png is no readable image: its format is unknown"):
        load("data=folder", f"data.root={root}")


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_each_image_of_a_zip_counts_once(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for _ in range(3):
            archive.writestr("a/0.png", picture())
    assert FileTree(tmp_path / "a.zip").names == ["a/0.png"]


# --- what a damaged TIFF makes libtiff and Pillow say


def test_a_damaged_tiff_is_told_once(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    stream = io.BytesIO()
    pixels = np.random.default_rng(0).integers(256, size=(16, 16, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(stream, "TIFF", compression="tiff_deflate")
    raw = bytearray(stream.getvalue())
    torn = bytes(raw[:40]) + b"\xff" * 40 + bytes(raw[80:])  # libtiff's own words
    cut = bytes(raw[:-30])  # Pillow's warnings
    with pytest.warns() as told:
        for damaged in (torn, cut):
            with pytest.raises(UserError, match="no readable image"):
                decode(damaged, "x", Recipe(3, 16, "centre"))
        warnings.warn("the only one", stacklevel=1)
    assert [str(warning.message) for warning in told] == ["the only one"]
    assert capfd.readouterr().err == ""


# --- labels


@pytest.mark.parametrize(
    ("file", "text", "told"),
    [
        (
            "labels.csv",
            "a/0.png,7\na/1.png,3\na/0.png,4\n",
            r"labels\.csv in .*, line 3: a/0\.png has the label 4, but 7 in line 1",
        ),
        ("labels.csv", "a/0.png,7\na/1.png\n", r"labels\.csv in .*, line 2: a/1\.png has no label"),
        ("labels.csv", "a/0.png,7\na/1.png, \n", r"labels\.csv in .*, line 2: a/1\.png has no label"),
        ("labels.csv", "a/0.png," + "x" * 200_000, r"labels\.csv in .*, line 1, cannot be understood"),
        (
            "dataset.json",
            [["a/0.png", 1], ["a/1.png", 1e99]],
            r"entry 1: a/1\.png has the label 1e\+99; a label",
        ),
        ("dataset.json", [["a/0.png", -5], ["a/1.png", 1]], r"entry 0: a/0\.png has the label -5; a label is"),
        ("dataset.json", [["a/0.png", True], ["a/1.png", 1]], r"entry 0: a/0\.png has the label true"),
        ("dataset.json", [["a/0.png", 10**20], ["a/1.png", 1]], r"from 0 to 2147483647"),
        ("dataset.json", [["a/0.png"], ["a/1.png", 1]], r"dataset\.json in .*, entry 0: it is no pair"),
        (
            "dataset.json",
            [["a/0.png", 1], ["a/0.png", 2]],
            r"entry 1: a/0\.png has the label 2, but 1 in entry 0",
        ),
        ("dataset.json", 5, r'dataset\.json in .* it has to hold {"labels"'),
        ("dataset.json", '{"labels": ' + "[" * 100_000, r"dataset\.json in .* it is nested too deeply"),
        ("dataset.json", '{"labels": [["a/0.png", ' + "9" * 5000 + "]]}", r"dataset\.json in .* cannot be"),
        ("dataset.json", '{"other": 1}', r'dataset\.json in .* it has to hold {"labels"'),
    ],
)
def test_labels_are_refused_by_file_and_line(tmp_path: Path, file: str, text: object, told: str) -> None:
    root = images(tmp_path, "a/0.png", "a/1.png")
    (root / file).write_text(text if isinstance(text, str) else json.dumps({"labels": text}))
    with pytest.raises(UserError, match=told) as refused:
        load("data=folder", f"data.root={root}")
    assert "Error" not in str(refused.value) and "\n" not in str(refused.value)


@pytest.mark.parametrize("text", ["a/0.png,1\na/1.png,2\na/0.png,1\n", f"a/0.png,{'9' * 5000}\na/1.png,2\n"])
def test_labels_that_are_only_odd_are_taken(tmp_path: Path, text: str) -> None:
    root = images(tmp_path, "a/0.png", "a/1.png")
    (root / "labels.csv").write_text(text)
    assert len(load("data=folder", f"data.root={root}").classes) == 2


@pytest.mark.parametrize("labels", [np.array([0, 200, 1]), np.array([0, 1, 2, 3])])
def test_labels_that_belong_to_no_class_or_image(tmp_path: Path, labels: np.ndarray) -> None:
    def written(array: np.ndarray) -> bytes:
        return bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes() + bytes(array.flat)

    raw = tmp_path / "MNIST/raw"
    raw.mkdir(parents=True)
    (raw / "train-images-idx3-ubyte").write_bytes(written(np.zeros((3, 28, 28), np.uint8)))
    (raw / "train-labels-idx1-ubyte").write_bytes(written(labels))
    with pytest.raises(UserError, match="label"):
        load("data=mnist", f"data.root={tmp_path}")


def test_a_whole_disk_is_no_data_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stranger's run may say that its data are at /: the walk ends, and says what to name."""
    monkeypatch.setattr(file_tree, "_MOST_OTHERS", 20)
    for number in range(30):
        (tmp_path / f"{number % 3}").mkdir(exist_ok=True)
        (tmp_path / f"{number % 3}" / f"{number}.txt").touch()
    (tmp_path / "0" / "one.png").touch()
    with pytest.raises(UserError, match="are images: name the folder that holds them"):
        _ = file_tree.FileTree(tmp_path).names
    for number in range(40):
        (tmp_path / f"{number}.png").touch()
    assert len(file_tree.FileTree(tmp_path).names) == 41, "images with files beside them are one"
    assert "0/one.png" in file_tree.FileTree(tmp_path).names
