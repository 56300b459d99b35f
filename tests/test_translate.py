"""``ganexp translate``: every file of any size comes out under its own name; tiles and padding do not show."""

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import Verb, verb
from PIL import Image
from torch import Tensor, nn

from ganexp.data.degradations.holes import Holes
from ganexp.data.degradations.low_resolution import LowResolution
from ganexp.errors import UserError
from ganexp.games.tiling import Tiles, translated
from ganexp.games.translation import Restored

SMALL = [
    "game=pix2pix",
    "recipe=none",
    "arch.generator.width=8",
    "arch.discriminator.width=8",
    "batch_size=8",
    "max_steps=1",
    "evaluate.every=null",
]


class Local(nn.Module):
    """The mean of 5 x 5 pixels, then enlarged; it counts its calls and checks what it is given."""

    def __init__(self, scale: int = 1, multiple: int = 8) -> None:
        super().__init__()
        self.scale, self.multiple, self.calls = scale, multiple, 0

    def forward(self, source: Tensor) -> Tensor:
        self.calls += 1
        assert not any(side % self.multiple for side in source.shape[2:])
        mean = nn.functional.avg_pool2d(nn.functional.pad(source, (2, 2, 2, 2), mode="reflect"), 5, 1)
        return nn.functional.interpolate(mean, scale_factor=float(self.scale))


def restored(net: nn.Module, scale: int = 1) -> Restored:
    small, large = [3, 16, 16], [3, 16 * scale, 16 * scale]
    return Restored(net, LowResolution(source_shape=small, output_shape=large, factor=max(2, scale)))


@pytest.mark.parametrize("scale", [1, 2])
@pytest.mark.parametrize(("height", "width"), [(96, 96), (50, 131), (33, 20)])
def test_tiles_of_a_local_generator_are_the_whole(scale: int, height: int, width: int) -> None:
    source = torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(0)) * 2 - 1
    whole, cut = Local(scale), Local(scale)
    expected = translated(restored(whole, scale), source, Tiles(1000, 8), "x")
    found = translated(restored(cut, scale), source, Tiles(32, 8), "x")
    assert whole.calls == 1 and cut.calls > 1
    assert found.shape == expected.shape == (1, 3, scale * height, scale * width)
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=0)


def test_tiles_fade_linearly_into_each_other() -> None:
    """Each tile gives the number of its call: over 8 pixels 2 of each side are not used, and 4 are linear."""

    class Number(Local):
        def forward(self, source: Tensor) -> Tensor:
            self.calls += 1
            return torch.full_like(source, float(self.calls))

    found = translated(restored(Number()), torch.zeros(1, 3, 16, 56), Tiles(32, 8), "x")[0, 0, 0]
    assert (found[:26] == 1).all() and (found[30:] == 2).all()
    torch.testing.assert_close(found[26:30], torch.tensor([1.125, 1.375, 1.625, 1.875]))


def test_images_are_padded_by_reflection_or_else_by_repetition() -> None:
    seen: list[Tensor] = []

    class Spy(Local):
        def forward(self, source: Tensor) -> Tensor:
            seen.append(source)
            return source

    row = torch.arange(5.0).expand(1, 3, 3, 5)
    assert torch.equal(translated(restored(Spy()), row, Tiles(64, 8), "x"), row)
    assert seen[0][0, 0, 0].tolist() == [0, 1, 2, 3, 4, 3, 2, 1]
    translated(restored(Spy()), row.transpose(2, 3), Tiles(64, 8), "x")
    assert seen[1][0, 0, :, 0].tolist() == [0, 1, 2, 3, 4, 3, 2, 1] and seen[1].shape == (1, 3, 8, 8)
    translated(restored(Spy()), row[:, :, :, :2], Tiles(64, 8), "x")
    assert seen[2][0, 0, 0].tolist() == [0, 1, 1, 1, 1, 1, 1, 1]


def test_what_is_added_to_a_hole_is_known_and_smooth() -> None:
    degrade = Holes(source_shape=[4, 8, 8], output_shape=[3, 8, 8], kind="centre", size=0.5)
    mask = torch.zeros(1, 1, 6, 6)
    mask[..., 3:] = 1
    source = degrade.from_image(torch.full((1, 3, 6, 6), 0.5), mask)
    padded = degrade.pad(source, 2, 2)
    assert torch.equal(padded[:, :, :6, :6], source)
    assert not padded[:, 3, 6:].any() and not padded[:, 3, :, 6:].any(), "no hole in what is added"
    assert torch.allclose(padded[:, :3, :, 6:], torch.tensor(0.5), atol=0.02), "nor the zeros of one"


def test_a_network_of_one_size_refuses_others() -> None:
    net = restored(nn.Identity())
    assert translated(net, torch.zeros(1, 3, 16, 16), Tiles(64, 8), "x").shape == (1, 3, 16, 16)
    with pytest.raises(UserError, match=r"x\.png is 17 x 16, and this run's network takes only 16 x 16"):
        translated(net, torch.zeros(1, 3, 16, 17), Tiles(64, 8), "x.png")


def photo(file: Path, width: int, height: int, mode: str = "RGB") -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    rows, columns = np.mgrid[:height, :width]
    pixels = np.stack([rows * 255 // height, columns * 255 // width, (rows + columns) % 256], 2)
    Image.fromarray(pixels.astype(np.uint8)).convert(mode).save(file)


def photos(folder: Path, count: int = 8) -> None:
    for number in range(count):
        photo(folder / f"{number}.png", 16 + number, 16)


def sizes(folder: Path) -> dict[str, tuple[int, int]]:
    found = {}
    for file in sorted(path for path in folder.rglob("*.*") if not path.name.startswith(".")):
        with Image.open(file) as picture:
            found[file.relative_to(folder).as_posix()] = picture.size
    return found


def error(monkeypatch: pytest.MonkeyPatch, folder: Path, capfd: Any, *overrides: str) -> str:
    capfd.readouterr()
    with pytest.raises(SystemExit) as ended:
        verb(monkeypatch, folder, "translate", *overrides)
    told = str(capfd.readouterr().err)
    assert ended.value.code == 2 and told.count("\n") == 1
    return told


@pytest.fixture
def gray(train: Verb, tmp_path: Path) -> Path:
    photos(tmp_path / "set")
    return train(*SMALL, "data=folder", f"data.root={tmp_path}/set", "degrade=gray", "data.resolution=16")


def test_names_folders_and_sizes_are_kept(
    gray: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    shown = {
        "a/1.jpg": (75, 101),
        "a/2.png": (16, 16),
        "b/c/3.bmp": (3, 5),
        "4.png": (40, 9),
        "4.jpg": (20, 20),
    }
    for name, size in shown.items():
        photo(tmp_path / "in" / name, *size)
    photo(tmp_path / "in/5.png", 30, 20, "L")
    made = {
        "4.jpg.png": (20, 20), "4.png.png": (40, 9), "5.png": (30, 20),
        "a/1.png": (75, 101), "a/2.png": (16, 16), "b/c/3.png": (3, 5),
    }  # fmt: skip
    run = f"run={gray}"
    verb(monkeypatch, tmp_path, "translate", run, "input=in", "output=out")
    assert sizes(tmp_path / "out") == made and "6 images: out" in capfd.readouterr().out
    with zipfile.ZipFile(tmp_path / "in.zip", "w") as archive:
        for file in (tmp_path / "in").rglob("*.*"):
            archive.write(file, file.relative_to(tmp_path / "in").as_posix())
    verb(monkeypatch, tmp_path, "translate", run, "input=in.zip", "output=zipped", "sheet=true")
    assert sizes(tmp_path / "zipped").keys() == {*made, "sheet.png"}
    for name in made:
        assert (tmp_path / "zipped" / name).read_bytes() == (tmp_path / "out" / name).read_bytes()
    grey, coloured = (
        np.asarray(Image.open(tmp_path / place).convert("L")) for place in ("in/5.png", "out/5.png")
    )
    assert abs(grey.astype(int) - coloured).mean() < 12, "the lightness is that of the file"
    verb(monkeypatch, tmp_path, "translate", run, "input=in/5.png", "output=one", "format=jpg")
    assert sizes(tmp_path / "one") == {"5.jpg": (30, 20)}


def test_only_what_translate_wrote_is_replaced(
    gray: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    run = f"run={gray}"
    call = [run, "input=set", "output=out"]
    (tmp_path / "out").mkdir()
    verb(monkeypatch, tmp_path, "translate", *call)
    verb(monkeypatch, tmp_path, "translate", *call)
    photo(tmp_path / "own/0.png", 4, 4)
    told = error(monkeypatch, tmp_path, capfd, run, "input=set", "output=own")
    assert "output=own: it has files that translate did not write" in told and "overwrite=true" in told
    assert sizes(tmp_path / "own") == {"0.png": (4, 4)}
    for _ in range(2):  # it does not become translate's folder by that
        verb(monkeypatch, tmp_path, "translate", run, "input=set", "output=own", "overwrite=true")
    assert len(sizes(tmp_path / "own")) == 8 and sizes(tmp_path / "own")["0.png"] == (16, 16)
    assert "did not write" in error(monkeypatch, tmp_path, capfd, run, "input=set", "output=own")
    assert "inside of the input" in error(monkeypatch, tmp_path, capfd, run, "input=set", "output=set/out")


def test_mistakes_are_one_line_and_leave_nothing(
    gray: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    with zipfile.ZipFile(tmp_path / "bad.zip", "w") as archive:
        archive.write(tmp_path / "set/0.png", "../0.png")
    (tmp_path / "empty").mkdir()
    (tmp_path / "notes.txt").write_text("no image")
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged/1.png").write_text("no image")
    Image.new("L", (16, 16)).save(tmp_path / "mask.png")
    for overrides, told in (
        (["input=set", "direction=AtoB"], "direction=AtoB: this run has one direction, from the lightness"),
        (["input=set/0.png", "mask=mask.png"], "mask: this run does not fill holes"),
        (["input=bad.zip"], "../0.png would be written outside of the output folder"),
        (["input=nowhere"], "input=nowhere: there is no such file or folder"),
        (["input=notes.txt"], "input=notes.txt: it is no image, folder or zip"),
        (["input=damaged"], "input=damaged: 1.png is no readable image: its format is unknown; repair"),
        (["input=empty"], "input=empty: there is no image in it"),
        (["input=set", "tile=64"], "overlap=32: should be less than half of tile=64"),
    ):
        assert told in error(monkeypatch, tmp_path, capfd, f"run={gray}", "output=out", *overrides)
    assert not (tmp_path / "out").exists()


def test_a_run_from_noise_is_refused(
    train: Verb, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    photos(tmp_path / "set", 1)
    run = train("recipe=none", "arch=mlp", "data.resolution=8", "evaluate.every=null", "max_steps=1")
    told = error(monkeypatch, tmp_path, capfd, f"run={run}", "input=set", "output=out")
    assert "run: GAN makes images from noise" in told


def test_masks_are_matched_by_name_and_what_is_known_stays(
    train: Verb, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    photos(tmp_path / "set")
    data = ["data=folder", f"data.root={tmp_path}/set", "data.resolution=16"]
    run = f"run={train(*SMALL, *data, 'degrade=holes')}"
    for number in range(8):
        pixels = np.zeros((16, 16 + number), np.uint8)
        pixels[number : number + 4, 2:9] = 255
        (tmp_path / "masks").mkdir(exist_ok=True)
        Image.fromarray(pixels).save(tmp_path / f"masks/{number}.bmp")
    verb(monkeypatch, tmp_path, "translate", run, "input=set", "output=out", "mask=masks")
    for number in range(8):
        before, after = (
            np.asarray(Image.open(tmp_path / f"{place}/{number}.png")).astype(int) for place in ("set", "out")
        )
        changed = (before != after).any(2)
        assert changed[number : number + 4, 2:9].mean() > 0.9 and changed.sum() <= 28
    call = [run, "input=set", "output=no"]
    assert "mask is missing" in error(monkeypatch, tmp_path, capfd, *call)
    assert "mask 0.bmp is 16 x 16, and 1.png is 17 x 16" in error(
        monkeypatch, tmp_path, capfd, *call, "mask=masks/0.bmp", "overwrite=true"
    )
    Image.new("L", (16, 16), 100).save(tmp_path / "masks/0.bmp")
    assert "values such as 100" in error(monkeypatch, tmp_path, capfd, *call, "mask=masks")
    (tmp_path / "masks/3.bmp").unlink()
    assert "no mask of the name of 3.png" in error(monkeypatch, tmp_path, capfd, *call, "mask=masks")
    verb(monkeypatch, tmp_path, "translate", run, "input=set", "output=degraded", "degrade_input=true")
    assert sizes(tmp_path / "degraded") == sizes(tmp_path / "set")


def test_low_resolution_is_enlarged_and_a_sharp_photo_keeps_its_size(
    train: Verb, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(8):
        photo(tmp_path / f"set/HR/{number}.png", 32, 32)
        photo(tmp_path / f"set/LR/{number}.png", 8, 8)
    photo(tmp_path / "in/a.png", 13, 9)
    pairs = train(*SMALL, "data=pairs", f"data.root={tmp_path}/set", name="pairs")
    verb(monkeypatch, tmp_path, "translate", f"run={pairs}", "input=in", "output=one")
    assert sizes(tmp_path / "one") == {"a.png": (52, 36)}
    hr = ["data=folder", f"data.root={tmp_path}/set/HR", "degrade=lowres", "data.resolution=32"]
    lowres = train(*SMALL, *hr, name="lowres")
    verb(monkeypatch, tmp_path, "translate", f"run={lowres}", "input=in", "output=two", "degrade_input=true")
    assert sizes(tmp_path / "two") == {"a.png": (13, 9)}
