"""``ganexp sample``: the same seed, the same bytes; each format; what it refuses."""

from pathlib import Path

import numpy as np
import pytest
from conftest import TINY, Verb, verb
from PIL import Image

from ganexp.cli import main, requested_labels
from ganexp.system.tensor_file import read, write


def take(monkeypatch: pytest.MonkeyPatch, where: Path, folder: Path, *overrides: str) -> None:
    main._report_errors(lambda: verb(monkeypatch, where, "sample", f'run="{folder}"', *overrides))


def test_same_seed_same_bytes(train: Verb, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = train(*TINY, "max_steps=3")
    for overrides, name in (([], "a"), (["batch_size=7"], "b"), (["seed=1"], "c")):
        take(monkeypatch, tmp_path, folder, "n=16", f"out={name}.png", *overrides)
    one, two, other = ((tmp_path / f"{name}.png").read_bytes() for name in "abc")
    assert one == two != other
    assert Image.open(tmp_path / "a.png").size == (4 * 80 + 16, 4 * 80 + 16)


def test_samples_come_from_the_averaged_generator(
    train: Verb, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = train(*TINY, "epochs=1", "ema.halflife=100000", "ema.rampup=1")
    file = folder / "checkpoints/last.pt"
    content = read(file)
    take(monkeypatch, tmp_path, folder, "out=averaged.png")
    content["ema"] = {
        name.removeprefix("generator."): w for name, w in content["game"].items() if "generator." in name
    }
    write(content, file)
    take(monkeypatch, tmp_path, folder, "out=live.png")
    assert (tmp_path / "averaged.png").read_bytes() != (tmp_path / "live.png").read_bytes()


def test_formats(train: Verb, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = train(*TINY, "max_steps=3")
    take(monkeypatch, tmp_path, folder, "n=5", "format=npz")
    take(monkeypatch, tmp_path, folder, "n=5", "format=png")
    arrays = np.load(folder / "samples/sample_5_seed_0.npz")
    assert arrays.files == ["images"] and arrays["images"].dtype == np.uint8
    assert arrays["images"].shape == (5, 8, 8, 1)
    files = sorted((folder / "samples/sample_5_seed_0").iterdir())
    assert len(files) == 5
    for file, image in zip(files, arrays["images"], strict=True):
        assert (np.asarray(Image.open(file)) == image[:, :, 0]).all()
    take(monkeypatch, tmp_path, folder, "n=5", "format=files", "out=own")
    own = sorted((tmp_path / "own").iterdir())
    assert [file.read_bytes() for file in own] == [file.read_bytes() for file in files]


def test_labels(
    train: Verb, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = train(*TINY, "max_steps=3", "game=cgan")
    take(monkeypatch, tmp_path, folder, "n=3", "label=7", "format=npz")
    take(monkeypatch, tmp_path, folder, "n=20", "format=npz")
    assert np.load(folder / "samples/sample_3_seed_0_label_7.npz")["labels"].tolist() == [7] * 3
    assert np.load(folder / "samples/sample_20_seed_0.npz")["labels"].tolist() == [n // 2 for n in range(20)]
    with pytest.raises(SystemExit) as ended:
        take(monkeypatch, tmp_path, folder, "label=10")
    assert ended.value.code == 2 and "labels are 0 to 9" in capfd.readouterr().err


def test_labels_by_name(
    train: Verb, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    rng = np.random.default_rng(0)
    for name in ("ant", "bee", "cat", "8"):
        (tmp_path / "set" / name).mkdir(parents=True)
        for number in range(8):
            picture = Image.fromarray(rng.integers(0, 256, (8, 8), np.uint8))
            picture.save(tmp_path / "set" / name / f"{number}.png")
    folder = train(
        *TINY, "data=folder", f"data.root={tmp_path}/set", "batch_size=8", "game=cgan", "max_steps=2"
    )
    by_number = {"8": 0, "ant": 1, "bee": 2, "cat": 3}
    for name, number in by_number.items():
        for label in (f"'{name}'", number):
            take(monkeypatch, tmp_path, folder, "n=3", f"label={label}", "format=npz", "out=taken.npz")
            assert np.load(tmp_path / "taken.npz")["labels"].tolist() == [number] * 3
    take(monkeypatch, tmp_path, folder, "n=3", "label=cat")
    assert (folder / "samples/sample_3_seed_0_label_3.png").is_file()
    capfd.readouterr()
    with pytest.raises(SystemExit) as ended:
        take(monkeypatch, tmp_path, folder, "label=cut")
    told = "ganexp: label=cut: no such class; did you mean cat? (8, ant, bee, cat)\n"
    assert ended.value.code == 2 and capfd.readouterr().err == told
    monkeypatch.setattr(requested_labels, "_MAX_NAMES", 3)
    for label, hint in (("cut", "did you mean cat? (cat)"), ("xyz", "the data has 4")):
        with pytest.raises(SystemExit):
            take(monkeypatch, tmp_path, folder, f"label={label}")
        assert capfd.readouterr().err == f"ganexp: label={label}: no such class; {hint}\n"


def test_points(
    train: Verb, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = train("data=grid", "data.count=200", "arch.generator.widths=[8]", "max_steps=3")
    take(monkeypatch, tmp_path, folder, "n=50", "format=npz")
    points = np.load(folder / "samples/sample_50_seed_0.npz")["points"]
    assert points.shape == (50, 2) and points.dtype == np.float32
    take(monkeypatch, tmp_path, folder, "n=50")
    assert Image.open(folder / "samples/sample_50_seed_0.png").size == (512, 512)
    for form in ("png", "files"):
        with pytest.raises(SystemExit):
            take(monkeypatch, tmp_path, folder, f"format={form}")
        assert f"format={form}: this data has no files of single samples" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        (["label=3"], "knows no labels; train one with game=cgan"),
        (["n=0"], "n=0: should be greater than or equal to 1"),
        (["format=gif"], "format=gif: should be 'grid', 'classes', 'ranked', 'files', 'png' or 'npz'"),
        (["format=film"], "format=film: ganexp film run=<folder> makes one"),
        (["format=neighbours"], "format=neighbours: ganexp neighbours run=<folder> draws"),
        (["format=interpolation"], "format=interpolation: ganexp interpolate run=<folder> draws ways"),
        (["label=-1"], "label=-1: should be a class's number, from 0, or its name"),
        (["label=true"], "label=True: should be a class's number"),
        (["label=1.5"], "label=1.5: should be a class's number"),
        (["label=cat"], "label: this run knows no labels; train one with game=cgan"),
        (["out=/proc/nowhere/x.png"], "out=/proc/nowhere/x.png: cannot be written"),
    ],
)
def test_mistakes(
    train: Verb,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    overrides: list[str],
    told: str,
) -> None:
    folder = train(*TINY, "max_steps=3")
    with pytest.raises(SystemExit) as ended:
        take(monkeypatch, tmp_path, folder, *overrides)
    lines = capfd.readouterr().err.strip().splitlines()
    assert ended.value.code == 2 and len(lines) == 1 and told in lines[0]


def test_a_folder_that_is_no_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        take(monkeypatch, tmp_path, tmp_path)
    assert "is not a run: it has no config.yaml" in capfd.readouterr().err
