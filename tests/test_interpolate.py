"""``ganexp interpolate`` and ``ganexp mix``: ways between points, walks, their smoothness, what is refused."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import TINY, Verb, tiny, verb
from PIL import Image, ImageSequence
from test_latents import IMAGES, STYLED, game_of, rng

from ganexp.cli import main
from ganexp.cli.mix import mixed
from ganexp.cli.out_file import picture_file
from ganexp.data.moving_picture import save_film
from ganexp.errors import UserError
from ganexp.latents.paths import BySpace, Linear, Spherical, spherical
from ganexp.latents.smoothness import smoothness
from ganexp.latents.space import space_of
from ganexp.latents.walks import along_numbers, between_points


def run(monkeypatch: pytest.MonkeyPatch, where: Path, name: str, *overrides: str) -> None:
    main._report_errors(lambda: verb(monkeypatch, where, name, *overrides))


def test_an_arc_keeps_the_length() -> None:
    a, b = torch.randn(2, 5, 512, generator=rng())
    b = b / b.norm(dim=1, keepdim=True) * a.norm(dim=1, keepdim=True)
    shares = torch.linspace(0, 1, 11)
    arc, lengths = spherical(a, b, shares), a.norm(dim=1)
    assert torch.allclose(arc.norm(dim=2), lengths.expand(11, 5), rtol=1e-5)
    steps = arc.diff(dim=0).norm(dim=2)
    assert torch.allclose(steps, steps[:1].expand_as(steps), rtol=1e-4), "equal steps"
    assert torch.allclose(arc[0], a) and torch.allclose(arc[-1], b, atol=1e-6)


def test_an_arc_by_hand() -> None:
    quarter = spherical(torch.tensor([2.0, 0]), torch.tensor([0, 4.0]), torch.tensor([0.5]))
    assert torch.allclose(quarter[0], torch.tensor([3.0, 3.0]) / math.sqrt(2))
    same = torch.tensor([[1.0, 2.0], [0, 0]])
    assert torch.allclose(spherical(same, 3 * same, torch.tensor([0.5]))[0], 2 * same)
    opposite = spherical(same[:1], -same[:1], torch.tensor([0.0, 0.5, 1.0]))
    assert torch.allclose(opposite[:, 0], torch.stack([same[0], 0 * same[0], -same[0]]), atol=1e-6)


def test_the_way_follows_from_the_prior() -> None:
    a, b = torch.randn(2, 3, 16, generator=rng())
    half = torch.tensor([0.5])
    for overrides, kind in (
        ([*TINY, "arch.generator.latent=16", "game.noise=normal"], Spherical()),
        ([*TINY, "arch.generator.latent=16", "game.noise=uniform"], Linear()),
        ([*IMAGES, "arch=progressive_small", "arch.generator.latent=16", "game.noise=uniform"], Spherical()),
    ):
        game = game_of(*overrides)
        space = space_of(game, game.generator, "z")
        assert torch.equal(BySpace()(space, a, b, half), kind(space, a, b, half))
    assert not torch.allclose(Spherical()(space, a, b, half), Linear()(space, a, b, half))


def test_codes_stay_between_samples_and_go_straight() -> None:
    game = game_of(*TINY, "game=infogan", "arch.generator.latent=20", "game.noise=normal")
    space = space_of(game, game.generator)
    keys = space.draw_with_one_code(3, rng(), codes={0: torch.full((3,), 4)})
    codes = keys[:, space.noise_size :]
    assert torch.equal(codes, codes[:1].expand_as(codes)) and codes[0, 4] == 1
    assert keys[:, : space.noise_size].std(0).min() > 0
    walk = between_points(space, keys[None], BySpace(), 4, loop=True)
    assert torch.allclose(walk.points[0, :, space.noise_size :], codes[:1].expand(12, -1))


@pytest.mark.parametrize("loop", [True, False])
def test_a_walk_visits_its_points(loop: bool) -> None:
    game = game_of(*TINY)
    space = space_of(game, game.generator)
    keys = space.draw(6, rng()).unflatten(0, (2, 3))
    walk = between_points(space, keys, BySpace(), 4, loop=loop)
    assert walk.points.shape[:2] == (2, 12 if loop else 9) and walk.closed == loop
    assert torch.allclose(walk.points[:, ::4], keys, atol=1e-6)
    assert walk.ways.shape == (3 if loop else 2, 5)
    for pair, way in enumerate(walk.ways):
        ends = walk.points[:, way[[0, -1]]]
        assert torch.allclose(ends, keys[:, [pair, (pair + 1) % 3]], atol=1e-6)
        middle = BySpace()(space, ends[:, 0], ends[:, 1], torch.tensor([0.5]))[0]
        assert torch.allclose(walk.points[:, way[2]], middle, atol=1e-6)


def test_a_walk_along_a_number_changes_it_alone() -> None:
    points, values = torch.randn(2, 5, generator=rng()), torch.arange(6.0).view(2, 3)
    walk = along_numbers(points, [4, 0], values)
    assert torch.equal(walk.points[0, :, 4], values[0]) and torch.equal(walk.points[1, :, 0], values[1])
    assert torch.equal(walk.points[0, :, :4], points[0, :4].expand(3, -1))
    assert torch.equal(walk.points[1, :, 1:], points[1, 1:].expand(3, -1)) and not walk.closed


def test_smoothness_by_hand() -> None:
    line = np.array([[[0.0, 0], [0, 3], [4, 3]], [[0, 0], [0, 1], [0, 2]]])
    found = smoothness(line, np.array([[0, 1, 2]]), np.array([[0.0, 0], [9, 9], [0, 2], [9, 11]]))
    assert found.step == pytest.approx((3 + 4 + 1 + 1) / 4 / 2**0.5)
    assert found.largest_step == pytest.approx(4 / 2**0.5)
    assert found.random_pair == pytest.approx(2 / 2**0.5)
    assert found.detour == pytest.approx((7 / 5 + 1) / 2)


def test_a_table_of_styles() -> None:
    rows, columns = torch.randn(2, 3, generator=rng()), torch.randn(4, 3, generator=rng(1))
    table = mixed(rows, columns, 2, 5)
    assert table.shape == (3, 5, 5, 3)
    for row in range(2):
        assert torch.equal(table[1 + row, 0], rows[row].expand(5, 3))
        for column in range(4):
            cell = table[1 + row, 1 + column]
            assert torch.equal(cell[:2], rows[row].expand(2, 3))
            assert torch.equal(cell[2:], columns[column].expand(3, 3))
            assert torch.equal(table[0, 1 + column], columns[column].expand(5, 3))


def test_the_verb(
    train: Verb, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = train(*TINY, "max_steps=2", "game=cgan")
    common = [f"run={folder}", "n=3", "frames=5", "device=cpu"]
    run(monkeypatch, tmp_path, "interpolate", *common, "label=[3,8]", "out=a", "seconds=3", "format=gif")
    with Image.open("a.gif") as film:
        assert film.n_frames == 15 and film.info["duration"] == 200  # type: ignore[attr-defined]
        assert len({frame.convert("L").tobytes() for frame in ImageSequence.Iterator(film)}) == 15
        assert film.size == (2 * 80 + 16, 80 + 16)
    side = 80  # of a magnified sample with its gap
    with Image.open("a.png") as picture:
        assert picture.size == (6 * side + 16, 6 * side + 16)
    told = capfd.readouterr().out
    assert "2 walks of 15 samples in z: a.png" in told and "film: a.gif" in told
    assert "times as long as the line" in told and "two random samples differ" in told
    run(
        monkeypatch, tmp_path, "interpolate", *common, "label=3", "out=b", "format=png", "along=0..4", "walks=1"
    )
    with Image.open("b.png") as picture:
        assert picture.size == (6 * side + 16, 5 * side + 16)
    assert not Path("b.webp").exists()
    first = Path("b.png").read_bytes()
    run(monkeypatch, tmp_path, "interpolate", *common, "label=3", "out=b", "format=png", "along=[0,1,2,3,4]")
    assert Path("b.png").read_bytes() == first, "the same seed, the same bytes"


REFUSED = {
    "label=[1,2] walks=3": "label: 2 labels make a walk each, and there are 3 already",
    "along=9 label=1": "along=9: points of z have the numbers 0 to 3",
    "along=code.0": "along=code.0: this run has no codes; train game=infogan",
    "along=[0,1] walks=3": "walks=3: 2 numbers of along make a walk each: leave walks out",
    "along=[0,1,2] label=[1,2]": "label: 2 labels make a walk each, and there are 3 already",
    "along=x": "along=x: should be a number of z or w",
    "code.0=0..3": "code.0=0..3: should be one value; ganexp sample makes rows of several",
    "code.0=1": "code: this run has no codes",
    "label=10": "label=10: this run's labels are 0 to 9",
    "latents=w": "latents=w: this run's generator has no styles: set latents=z",
    "n=1": "n=1: should be greater than or equal to 2",
    "path=arc": "path=arc: no such choice of path; there are auto, linear, spherical",
    "label=0..3 along=0..3": "label: several labels and several numbers of along",
}


def test_what_is_refused(
    train: Verb, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = train(*TINY, "arch.generator.latent=4", "max_steps=1", "game=cgan")
    before = sorted(folder.rglob("*"))
    for overrides, expected in REFUSED.items():
        with pytest.raises(SystemExit):
            run(monkeypatch, tmp_path, "interpolate", f"run={folder}", "device=cpu", *overrides.split())
        assert expected in capfd.readouterr().err
    with pytest.raises(SystemExit):
        run(monkeypatch, tmp_path, "mix", f"run={folder}")
    assert (
        "run: this run's generator has no styles to mix; train one with arch=stylegan2"
        in capfd.readouterr().err
    )
    assert sorted(folder.rglob("*")) == before


def test_codes(
    train: Verb, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = train(*TINY, "arch.generator.latent=20", "max_steps=1", "game=infogan")
    drawn: list[Any] = []
    real = along_numbers

    def watched(points: Any, numbers: Any, values: Any) -> Any:
        drawn.append((points, list(numbers), values))
        return real(points, numbers, values)

    monkeypatch.setattr("ganexp.cli.interpolate.along_numbers", watched)
    common = [f"run={folder}", "device=cpu", "format=png"]
    run(monkeypatch, tmp_path, "interpolate", *common, "along=code.2", "walks=3", "code.0=7", "reach=1.5")
    points, numbers, values = drawn[0]
    assert numbers == [19] * 3 and values[0, 0] == -1.5 and values[2, -1] == 1.5
    assert points[:, 8 + 7].tolist() == [1] * 3
    with pytest.raises(SystemExit):
        run(monkeypatch, tmp_path, "interpolate", *common, "along=code.0")
    assert "this code has categories: ganexp sample code.0=0..9" in capfd.readouterr().err


def test_points_of_the_plane(
    train: Verb, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = train("data=ring", "max_steps=1", "evaluate.every=null")
    run(monkeypatch, tmp_path, "interpolate", f"run={folder}", "device=cpu", "out=way")
    assert "in the plane, a way is" in capfd.readouterr().out and Path("way.webp").is_file()


def test_styles(
    train: Verb, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = train(*STYLED, "max_steps=1", "batch_size=8")
    common = [f"run={folder}", "device=cpu"]
    run(monkeypatch, tmp_path, "interpolate", *common, "format=png", "n=2", "frames=3")
    assert "samples in w" in capfd.readouterr().out
    run(monkeypatch, tmp_path, "mix", *common, "rows=2", "columns=3", "coarse=1", "out=table")
    assert (
        "layers 0 to 0 of the sample on the left, 1 to 5 of the one above: table.png" in capfd.readouterr().out
    )
    with Image.open("table.png") as picture:
        assert picture.size == (4 * 72 + 8, 3 * 72 + 8)
        corner = np.asarray(picture)[8:72, 8:72]
        assert corner.max() == corner.min() == 32
    with pytest.raises(SystemExit):
        run(monkeypatch, tmp_path, "mix", *common, "coarse=6")
    assert "coarse=6: this generator has 6 layers; choose 1 to 5" in capfd.readouterr().err


def test_rows_along_numbers_are_of_one_point(
    train: Verb, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In w a label is a part of the point: all rows have that of the first one."""
    folder = train(*STYLED, "game=cgan", "max_steps=1", "batch_size=8")
    drawn: list[torch.Tensor] = []
    real = along_numbers

    def watched(points: torch.Tensor, *others: Any) -> Any:
        drawn.append(points)
        return real(points, *others)

    monkeypatch.setattr("ganexp.cli.interpolate.along_numbers", watched)
    run(monkeypatch, tmp_path, "interpolate", f"run={folder}", "device=cpu", "format=png", "along=0..3")
    assert len(drawn[0]) == 4 and torch.equal(drawn[0], drawn[0][:1].expand_as(drawn[0]))


def test_the_file_of_a_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert picture_file("walk.v2") == Path("walk.v2.png") and picture_file("walk.webp") == Path("walk.png")
    assert picture_file(None) is None
    for folder in (".", "/", str(tmp_path)):
        with pytest.raises(UserError, match="it should be a file"):
            picture_file(folder)


@pytest.mark.parametrize("name", ["interpolate", "mix"])
def test_what_has_no_latents(
    name: str, train: Verb, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = train(*tiny("pix2pix"), "max_steps=1")
    with pytest.raises(SystemExit):
        run(monkeypatch, tmp_path, name, f"run={folder}")
    assert "Pix2Pix makes images from images and has no latents; ganexp translate" in capfd.readouterr().err


def test_an_mp4_needs_its_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ganexp.data.moving_picture.find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"format=mp4 needs imageio-ffmpeg: pip install -e '\.\[film\]'"):
        save_film([Image.new("RGB", (8, 8))] * 2, [20, 20], "mp4", tmp_path / "a.mp4")
    assert not list(tmp_path.iterdir())


def test_an_mp4(tmp_path: Path) -> None:
    reader = pytest.importorskip("imageio_ffmpeg")
    colours = [(200, 0, 0), (0, 200, 0), (0, 0, 200)]
    frames = [Image.new("RGB", (63, 48), colour) for colour in colours]
    save_film(frames, [100, 100, 300], "mp4", tmp_path / "a.mp4")
    about, *found = reader.read_frames(str(tmp_path / "a.mp4"))
    assert about["size"] == (64, 48) and len(found) == 5
    means = [np.frombuffer(frame, np.uint8).reshape(48, 64, 3)[10:30, 10:50].mean((0, 1)) for frame in found]
    for mean, colour in zip(means, [*colours, colours[2], colours[2]], strict=True):
        assert np.abs(mean - colour).max() < 20
