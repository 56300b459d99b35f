"""The cache: prepared once, never half, known by its files and settings; ``ganexp data``."""

import signal
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import ENVIRONMENT, TINY, Verb, command, composed
from PIL import Image

from ganexp.data import cache, images, prepare
from ganexp.data.arrays import Arrays
from ganexp.data.prepare import _MIN_PARALLEL
from ganexp.errors import UserError
from ganexp.training.build import build


@pytest.fixture(autouse=True)
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of each test's own."""
    monkeypatch.setenv("GANEXP_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def make_images(root: Path, count: int, side: int = 16) -> Path:
    rng = np.random.default_rng(0)
    (root / "a").mkdir(parents=True)
    for index in range(count):
        pixels = rng.integers(256, size=(side, side, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(root / "a" / f"{index:05d}.png")
    return root


def load(root: Path, *overrides: str) -> Arrays:
    data: Arrays = build(composed("data=folder", f"data.root={root}", *overrides).data).load()
    return data


@pytest.fixture
def prepared(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A list that grows by the number of images with each preparation."""
    counts: list[int] = []
    real = prepare.decode_into

    def counting(*arguments: Any) -> Any:
        counts.append(len(arguments[2]))
        return real(*arguments)

    monkeypatch.setattr(images, "decode_into", counting)
    return counts


def test_prepared_once_and_again_for_other_pixels(tmp_path: Path, prepared: list[int]) -> None:
    root = make_images(tmp_path / "images", 5)
    first = load(root)
    assert isinstance(first.samples, np.memmap)
    assert load(root).fingerprint == first.fingerprint and prepared == [5]
    load(root, "data.mirror=true")
    assert prepared == [5], "mirroring changes no stored pixel"
    for changed in ("data.resolution=8", "data.channels=1", "data.crop=none"):
        assert load(root, changed).fingerprint != first.fingerprint or changed == "data.crop=none"
    assert prepared == [5] * 4
    Image.new("RGB", (16, 16)).save(root / "a/00003.png")
    assert load(root).fingerprint != first.fingerprint and prepared == [5] * 5


def test_a_moved_folder_is_the_same_set(tmp_path: Path, prepared: list[int]) -> None:
    root = make_images(tmp_path / "images", 3)
    first = load(root)
    again = load(root.rename(tmp_path / "elsewhere"))
    assert again.fingerprint == first.fingerprint and prepared == [3]


def test_many_processes_decode_what_one_does(tmp_path: Path) -> None:
    root = make_images(tmp_path / "images", _MIN_PARALLEL + 70, side=8)
    found = load(root)
    for index in (0, 127, 128, _MIN_PARALLEL + 69):
        pixels = np.asarray(Image.open(root / "a" / f"{index:05d}.png")).transpose(2, 0, 1)
        assert (found.samples[index] == pixels).all()


def test_what_is_broken_is_left_out_if_asked(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    root = make_images(tmp_path / "images", 6)
    whole = np.array(load(root).samples)
    (root / "a/00002.png").write_bytes(b"")
    (root / "a/00004.png").write_bytes((root / "a/00004.png").read_bytes()[:100])
    with pytest.raises(UserError, match=r"2 of 6 images.*first: a/00002\.png.*it is empty.*on_error=skip"):
        load(root)
    found = load(root, "data.on_error=skip")
    assert (found.samples == whole[[0, 1, 3, 5]]).all() and len(found.labels) == 4
    told = capfd.readouterr().err
    assert "2 of 6 images cannot be used and are left out" in told and "a/00004.png" in told
    for file in (root / "a").iterdir():
        file.write_bytes(b"no image")
    with pytest.raises(UserError, match="6 of 6 images cannot be used"):
        load(root, "data.on_error=skip", "data.resolution=16")


def test_an_absurdly_large_image_is_not_unpacked(tmp_path: Path) -> None:
    root = make_images(tmp_path / "images", 1)
    Image.new("1", (30_000, 30_000)).save(root / "a/bomb.png")
    with pytest.raises(UserError, match=r"a/bomb\.png is no readable image: it is too large once decompressed"):
        load(root)


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("dataset.json", '{"labels": [["a/00000.png", 7], ["a/00001.png", 10], ["a/00002.png", 7]]}'),
        ("labels.csv", "a/00000.png,7\na/00001.png,10\na/00002.png,7\n"),
    ],
)
def test_labels_from_a_file_beside_the_images(tmp_path: Path, file: str, text: str) -> None:
    root = make_images(tmp_path / "images", 3)
    (root / file).write_text(text)
    found = load(root)
    assert found.classes == ("7", "10") and found.labels.tolist() == [0, 1, 0]


def test_labels_that_are_not_there_or_not_readable(tmp_path: Path) -> None:
    root = make_images(tmp_path / "images", 2)
    (root / "labels.csv").write_text("a/00000.png,7\n")
    with pytest.raises(UserError, match=r"a/00001\.png has no label"):
        load(root)
    other = make_images(tmp_path / "other", 2)
    (other / "dataset.json").write_text("{]")
    with pytest.raises(UserError, match=r"dataset\.json in .* cannot be understood"):
        load(other)


def test_celeba_by_attribute(tmp_path: Path) -> None:
    (tmp_path / "img_align_celeba").mkdir()
    for number in (1, 2, 3):
        Image.new("RGB", (80, 90)).save(tmp_path / f"img_align_celeba/{number:06d}.jpg")
    rows = ["3", "Smiling Eyeglasses", "000001.jpg  1 -1", "000002.jpg -1 -1", "000003.jpg  1  1"]
    (tmp_path / "list_attr_celeba.txt").write_text("\n".join(rows) + "\n")
    base = ["data=celeba", f"data.root={tmp_path}", "data.split=all"]
    found: Arrays = build(composed(*base, "data.attribute=Smiling").data).load()
    assert found.classes == ("not Smiling", "Smiling") and found.labels.tolist() == [1, 0, 1]
    with pytest.raises(UserError, match=r"data\.attribute=Smilling.*did you mean Smiling"):
        build(composed(*base, "data.attribute=Smilling").data).load()


def test_killed_in_the_middle_leaves_nothing_that_looks_whole(tmp_path: Path, empty: Path) -> None:
    """SIGKILL while it prepares, then again: the same fingerprint, and no process is left behind."""
    root = make_images(tmp_path / "images", 3000, side=40)
    arguments = [sys.executable, "-m", "ganexp", "data", "prepare", "data=folder", f"data.root={root}"]
    whole = load(root).fingerprint
    cache.clear()
    process = subprocess.Popen(arguments, cwd=tmp_path, env=ENVIRONMENT | {"GANEXP_CACHE": str(empty)})
    deadline = time.monotonic() + 60
    while not list(empty.glob("*.part/samples.npy")) and time.monotonic() < deadline:
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert cache.entries() == [] and list(empty.glob("*.part"))
    assert load(root).fingerprint == whole
    assert not list(empty.glob("*.part"))


def test_two_at_once_prepare_it_once(tmp_path: Path, empty: Path) -> None:
    root = make_images(tmp_path / "images", 1500, side=32)
    arguments = [sys.executable, "-m", "ganexp", "data", "prepare", "data=folder", f"data.root={root}"]
    both = [
        subprocess.Popen(arguments, cwd=tmp_path, env=ENVIRONMENT | {"GANEXP_CACHE": str(empty)})
        for _ in range(2)
    ]
    assert [process.wait(timeout=120) for process in both] == [0, 0]
    (entry,) = cache.entries()
    assert entry.meta["shape"] == [1500, 3, 32, 32]


def test_a_script_without_a_main_guard_does_not_wait_for_itself(tmp_path: Path, empty: Path) -> None:
    """The workers that decode images import the script, and with it the call that started them."""
    root = make_images(tmp_path / "set", _MIN_PARALLEL + 1, side=8)
    script = tmp_path / "script.py"
    script.write_text(
        "from ganexp.data.folder import Folder\n"
        f"Folder(root={str(root)!r}, split=None, channels=1, resolution=8, shape=[1, 8, 8], "
        "crop='centre', on_error='raise', classes=1, bounded=True, mirror=False).load()\n"
    )
    done = subprocess.run(
        [sys.executable, str(script)],
        env=ENVIRONMENT | {"GANEXP_CACHE": str(empty)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode and "under if __name__ == '__main__':" in done.stderr.splitlines()[-1]


def test_a_cache_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("GANEXP_CACHE", str(tmp_path / "file"))
    with pytest.raises(UserError, match="GANEXP_CACHE=<folder>"):
        load(make_images(tmp_path / "images", 1))


def test_data_verbs(tmp_path: Path, empty: Path) -> None:
    root = make_images(tmp_path / "images", 4)
    known = {"GANEXP_CACHE": str(empty)}
    told = command(tmp_path, "data", "info", "data=folder", f"data.root={root}", **known).stdout
    assert "4 of 3 x 16 x 16" in told and "1: a 4" in told and load(root).fingerprint in told
    assert Image.open(tmp_path / "outputs/data/folder.png").width > 64
    pixels = np.array(load(root).samples) / 255
    assert ", ".join(f"{value:.4f}" for value in pixels.mean((0, 2, 3))) in told
    assert ", ".join(f"{value:.4f}" for value in pixels.std((0, 2, 3))) in told
    listed = command(tmp_path, "data", "list", **known).stdout
    assert "4 x 3 x 16 x 16" in listed and "1 prepared set," in listed
    assert "freed" in command(tmp_path, "data", "clear", **known).stdout
    assert cache.entries() == [] and list(empty.iterdir()) == []
    wrong = command(tmp_path, "data", "inof", **known)
    assert wrong.returncode == 2 and "did you mean info?" in wrong.stderr


def test_mirrored_training_resumes_bit_for_bit(train: Verb) -> None:
    from test_run import assert_same

    whole = train(*TINY, "data.mirror=true", "epochs=3", name="whole")
    short = train(*TINY, "data.mirror=true", "epochs=2", name="short")
    train(f"resume={short}", "epochs=3", name="short")
    assert_same(whole, short)
    plain = train(*TINY, "epochs=3", name="plain")
    assert (plain / "metrics.jsonl").read_bytes() != (whole / "metrics.jsonl").read_bytes()


def test_the_cache_folder_is_the_users_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GANEXP_CACHE")
    assert cache.cache_folder().name == "ganexp" and cache.cache_folder().is_relative_to(Path.home())


@dataclass(frozen=True, kw_only=True)
class Pairs(images.ImageArrays):
    """Images with sources of another size."""

    count: int

    def files(self) -> list[Path]:
        return []

    def read(self) -> Arrays:
        rng = np.random.default_rng(0)
        samples = rng.integers(0, 256, (5, 1, 4, 4), np.uint8)
        sources = rng.integers(0, 256, (self.count, 3, 2, 2), np.uint8)
        return Arrays(samples, np.zeros(5, np.int64), ("all",), sources=sources)


def test_sources_are_kept_with_their_samples(empty: Path) -> None:
    pairs = Pairs(shape=[1, 4, 4], bounded=True, classes=1, mirror=False, resolution=4, count=5)
    found, given = pairs.load(), pairs.read()
    assert isinstance(found.sources, np.memmap) and given.sources is not None
    assert np.array_equal(found.sources, given.sources) and found.fingerprint == given.fingerprint
    with pytest.raises(UserError, match="5 samples, but 4 sources for them"):
        replace(pairs, count=4).load()
