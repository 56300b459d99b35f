"""Degradations: values by hand and against Pillow, random numbers, and what is restored exactly."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from conftest import composed
from PIL import Image
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

from ganexp.config.targets import conf_folder
from ganexp.data.degradations.blur import Blur
from ganexp.data.degradations.cielab import lab_to_rgb, rgb_to_lab
from ganexp.data.degradations.degradation import Degradation
from ganexp.data.degradations.edges import Edges, sobel, thinned
from ganexp.data.degradations.filters import gaussian_blur, gray
from ganexp.data.degradations.gray import Gray
from ganexp.data.degradations.holes import Holes, laplace_fill, with_hole
from ganexp.data.degradations.identity import Identity
from ganexp.data.degradations.low_resolution import LowResolution
from ganexp.data.degradations.masks import box_masks, stroke_masks
from ganexp.data.degradations.noise import Noise
from ganexp.data.degradations.pixel_art import PixelArt
from ganexp.data.degradations.tint import Tint
from ganexp.errors import UserError
from ganexp.training.build import build_as

RGB = [3, 32, 32]


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def images(count: int, *shape: int, seed: int = 0) -> Tensor:
    """Random 8-bit images in [-1, 1]."""
    levels = torch.randint(0, 256, (count, *(shape or RGB)), generator=seeded(seed))
    return levels / 127.5 - 1


def holes(kind: str, size: float = 0.5) -> Holes:
    return Holes(kind=kind, size=size, source_shape=[4, 32, 32], output_shape=RGB)  # type: ignore[arg-type]


def edges(thin: bool = True, sigma: float = 1.0) -> Edges:
    return Edges(sigma=sigma, thin=thin, source_shape=[1, 32, 32], output_shape=RGB)


def pixel_art(reverse: bool = False, block: int = 4) -> PixelArt:
    return PixelArt(block=block, colours=3, reverse=reverse, source_shape=RGB, output_shape=RGB)


def tint(light: tuple[int, int, int] = (255, 190, 60)) -> Tint:
    return Tint(dark=[0, 30, 110], light=list(light), source_shape=RGB, output_shape=RGB)


EVERY: dict[str, Callable[[], Degradation]] = {
    "gray": lambda: Gray(source_shape=[1, 32, 32], output_shape=[2, 32, 32]),
    "lowres": lambda: LowResolution(factor=4, source_shape=[3, 8, 8], output_shape=RGB),
    "centre": lambda: holes("centre"),
    "box": lambda: holes("box"),
    "boxes": lambda: holes("boxes"),
    "strokes": lambda: holes("strokes"),
    "noise": lambda: Noise(low=5, high=50, source_shape=RGB, output_shape=RGB),
    "blur": lambda: Blur(low=0, high=2, source_shape=RGB, output_shape=RGB),
    "edges": edges,
    "pixelart": pixel_art,
    "pixels": lambda: pixel_art(reverse=True),
    "tint": lambda: tint(),
    "identity": lambda: Identity(source_shape=RGB, output_shape=RGB),
}

RANDOM = {"box", "boxes", "strokes", "noise", "blur"}


@pytest.mark.parametrize("name", EVERY)
def test_random_numbers_and_shapes(name: str) -> None:
    degrade, x = EVERY[name](), images(3)
    source, target = degrade.pair(x, None, seeded(1))
    assert list(source.shape[1:]) == degrade.source_shape and target.shape == x.shape
    assert source.dtype == torch.float32 and source.min() >= -1 and source.max() <= 1
    assert torch.equal(source, degrade.pair(x, None, seeded(1)).source), "one rng gives one source"
    other = degrade.pair(x, None, seeded(2)).source
    assert torch.equal(source, other) == (name not in RANDOM)
    state = torch.get_rng_state()
    degrade.pair(x, None, seeded(1))
    assert torch.equal(torch.get_rng_state(), state), "with an rng the global one is left alone"
    torch.manual_seed(5)
    one, two = (degrade.pair(x, None).source for _ in range(2))
    torch.manual_seed(5)
    assert torch.equal(one, degrade.pair(x, None).source), "without one the global one is used"
    assert torch.equal(one, two) == (name not in RANDOM)


CHOICES = sorted(
    {file.stem for file in (conf_folder() / "degrade").glob("*.yaml")}
    - {"none", "pairs", "unpaired", "classes", "identity"}
)


@pytest.mark.parametrize("name", CHOICES)
def test_every_choice_is_built_with_the_shapes_of_the_data(name: str) -> None:
    cfg = composed("game=pix2pix", "data=cifar10", f"degrade={name}")
    degrade, x = build_as(Degradation, cfg.degrade, "degrade"), images(2)
    source, target = degrade.pair(x, None, seeded(0))
    assert list(source.shape[1:]) == degrade.source_shape and target.shape == x.shape
    output = torch.zeros(2, *degrade.output_shape)
    assert degrade.restore(output, source).shape == x.shape


@pytest.mark.parametrize("name", EVERY)
def test_what_is_shown_and_the_trivial_method_are_images(name: str) -> None:
    degrade, x = EVERY[name](), images(3)
    source = degrade(x, seeded(1))
    shown = degrade.shown(source)
    assert shown.shape[0] == 3 and shown.shape[1] in (1, 3) and degrade.about
    assert degrade.BASELINE and degrade.baseline(source).shape == x.shape


@pytest.mark.parametrize("name", EVERY)
def test_autocast_changes_no_source(name: str) -> None:
    degrade, x = EVERY[name](), images(3)
    expected = degrade.pair(x, None, seeded(1))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = degrade.pair(x, None, seeded(1))
    assert torch.equal(found.source, expected.source) and torch.equal(found.target, expected.target)


@pytest.mark.parametrize("name", EVERY)
def test_nothing_in_a_turn_waits_for_the_device(name: str) -> None:
    """Fake tensors have no values, so that whatever reads one on the host fails."""
    with FakeTensorMode():
        x = torch.empty(2, *RGB)
        degrade = EVERY[name]()
        source, target = degrade.pair(x, None)
        output = torch.empty(2, *degrade.output_shape)
        assert degrade.restore(output, source).shape == target.shape


def test_games_that_learn_from_targets_refuse_the_identity() -> None:
    with pytest.raises(
        UserError, match="Pix2Pix needs sources that differ from images: set degrade=gray or holes"
    ):
        composed("game=pix2pix", "data=cifar10", "degrade=identity")


def test_the_identity_has_a_trivial_method_but_no_target() -> None:
    degrade, x = EVERY["identity"](), images(2)
    source, _ = degrade.pair(x, None)
    assert torch.equal(source, x) and torch.equal(degrade.baseline(source), x) and not degrade.PAIRED


# --- grey


def test_lab_and_back() -> None:
    x = images(4)
    torch.testing.assert_close(lab_to_rgb(rgb_to_lab(x)), x, atol=1e-3, rtol=0)


def test_lab_of_known_colours() -> None:
    """White, mid-grey, and the primaries of sRGB with D65."""
    rgb = torch.tensor([[255.0, 255, 255], [119, 119, 119], [255, 0, 0], [0, 255, 0], [0, 0, 255]])
    lab = rgb_to_lab(rgb[:, :, None, None] / 127.5 - 1)[:, :, 0, 0]
    expected = [
        [100, 0, 0],
        [50.03, 0, 0],
        [53.24, 80.09, 67.20],
        [87.73, -86.18, 83.18],
        [32.30, 79.19, -107.86],
    ]
    torch.testing.assert_close(lab, torch.tensor(expected), atol=0.03, rtol=0)


def test_a_coloured_image_has_the_lightness_of_its_source() -> None:
    degrade, x = EVERY["gray"](), images(4)
    source = degrade(x)
    torch.testing.assert_close((source + 1) * 50, rgb_to_lab(x)[:, :1])
    output = torch.rand(4, 2, 32, 32, generator=seeded(3)) * 0.4 - 0.2
    with torch.autocast("cpu", dtype=torch.bfloat16):
        restored = degrade.restore(output, source)
    torch.testing.assert_close(rgb_to_lab(restored)[:, :1], (source + 1) * 50, atol=2e-3, rtol=0)
    torch.testing.assert_close(rgb_to_lab(restored)[:, 1:], output * 110, atol=5e-3, rtol=0)


def test_grey_images_stay_what_they_are() -> None:
    degrade, x = EVERY["gray"](), images(4, 1, 32, 32).expand(-1, 3, -1, -1)
    found = degrade.baseline(degrade(x))
    torch.testing.assert_close(found, x, atol=1e-3, rtol=0)
    torch.testing.assert_close(found[:, 0], found[:, 2], atol=1e-4, rtol=0)
    torch.testing.assert_close(degrade.from_image(x[:1, :1]), degrade(x[:1]))
    with pytest.raises(UserError, match="needs images in colour"):
        degrade(x[:, :1])


# --- low resolution


@pytest.mark.parametrize("factor", [2, 4])
def test_low_resolution_is_pillows_bicubic(factor: int) -> None:
    side = 32 // factor
    degrade = LowResolution(factor=factor, source_shape=[3, side, side], output_shape=RGB)
    x = torch.cat([images(2), torch.linspace(-1, 1, 32).expand(1, 3, 32, 32)])
    found = (degrade(x) + 1) * 127.5
    torch.testing.assert_close(found, found.round(), atol=1e-3, rtol=0)
    for image, small in zip((x + 1) * 127.5, found, strict=True):
        stored = Image.fromarray(image.round().byte().permute(1, 2, 0).numpy())
        expected = np.asarray(stored.resize((side, side), Image.Resampling.BICUBIC), np.float32)
        assert np.abs(small.permute(1, 2, 0).numpy() - expected).max() <= 1.01


def test_bicubic_enlargement_of_a_constant() -> None:
    degrade, x = EVERY["lowres"](), torch.full((1, 3, 32, 32), 0.2)
    torch.testing.assert_close(degrade.baseline(degrade(x)), x, atol=1 / 255, rtol=0)


# --- holes


@pytest.mark.parametrize("kind", ["centre", "box", "boxes", "strokes"])
def test_outside_of_holes_the_source_is_kept_bit_for_bit(kind: str) -> None:
    degrade, x = holes(kind), images(16)
    source = degrade(x, seeded(4))
    mask = source[:, -1:]
    assert ((mask == 0) | (mask == 1)).all() and (mask.sum((1, 2, 3)) > 0).all()
    assert (source[:, :-1][mask.expand(-1, 3, -1, -1) > 0] == 0).all(), "the hole shows nothing"
    output = images(16, seed=9)
    restored = degrade.restore(output, source)
    assert torch.equal(restored, torch.where(mask > 0, output, x))
    assert torch.equal(degrade.restore(output, with_hole(x, torch.zeros_like(mask))), x)


def test_sizes_of_holes() -> None:
    x = torch.zeros(400, 1, 32, 32)
    centre = holes("centre").mask(x)
    expected = torch.zeros(32, 32)
    expected[8:24, 8:24] = 1
    assert torch.equal(centre, expected.expand(400, 1, 32, 32))
    box = holes("box").mask(x, seeded(0))
    assert (box.sum((1, 2, 3)) == 16 * 16).all()
    assert (box.amax((0, 1)) == 1).all(), "a box reaches every pixel, the corners too"
    places = box.mean((0, 1))
    assert places[16, 16] > 0.8 and places[0, 0] < 0.03, "each of 17 x 17 places is as likely"


def test_one_box_has_sides_from_a_quarter_to_the_whole_of_size() -> None:
    mask = box_masks(torch.zeros(500, 1, 32, 32), seeded(0), most=1, size=0.5)
    high, wide = mask.amax(3).sum((1, 2)), mask.amax(2).sum((1, 2))
    assert torch.equal(mask.sum((1, 2, 3)), high * wide), "a rectangle"
    assert high.min() == wide.min() == 4 and high.max() == wide.max() == 16
    assert float(high.mean()) == pytest.approx(10, abs=0.5) and not torch.equal(high, wide)


def test_several_boxes_cover_more() -> None:
    x = torch.zeros(400, 1, 32, 32)
    shares = [float(box_masks(x, seeded(0), most, 0.5).mean()) for most in (1, 2, 4, 8)]
    assert shares == sorted(shares) and shares[0] == pytest.approx((10 / 32) ** 2, rel=0.1) and shares[3] < 0.6


def test_a_stroke_is_all_within_its_width_of_a_line() -> None:
    """One segment: its hole is a capsule, whose area is length x width + pi (width / 2)^2, within the image."""
    mask = stroke_masks(torch.zeros(300, 1, 64, 64), seeded(0), most=1, vertices=2, length=0.3, width=0.15)
    area = mask.sum((1, 2, 3))
    longest, widest = 0.3 * 64, 0.15 * 64
    assert float(area.max()) <= longest * widest + math.pi * (widest / 2) ** 2 + 12
    middle = longest * 2 / 3 * widest * 2 / 3
    assert 0.6 * middle < float(area.median()) < 1.6 * middle
    rows, columns = mask.amax(3).sum((1, 2)), mask.amax(2).sum((1, 2))
    assert float(torch.hypot(rows, columns).max()) <= math.sqrt(2) * (longest + widest + 2)
    assert (columns > 2 * rows).any() and (rows > 2 * columns).any(), "in all directions"


def test_strokes_grow_with_their_settings() -> None:
    x = torch.zeros(200, 1, 64, 64)

    def share(most: int = 4, vertices: int = 8, length: float = 0.25, width: float = 0.12) -> float:
        return float(stroke_masks(x, seeded(0), most, vertices, length, width).mean())

    usual = share()
    assert 0.05 < usual < 0.4
    assert share(most=1) < usual < share(most=8)
    assert share(vertices=3) < usual and share(length=0.1) < usual and share(width=0.05) < usual
    assert (stroke_masks(x, seeded(0), 4, 8, 0.25, 0.0).sum((1, 2, 3)) > 0).all(), "a hole is never empty"


def test_the_laplace_fill_of_a_ramp_is_the_ramp() -> None:
    down, right = torch.linspace(-0.8, 0.6, 32)[:, None], torch.linspace(-0.2, 0.2, 32)
    ramp = (down + right).expand(2, 3, 32, 32)
    mask = torch.zeros(2, 1, 32, 32)
    mask[0, :, 8:20, 10:24] = mask[1, :, 3:9, 3:9] = 1
    for sweeps, apart in ((40, 0.05), (1000, 1e-4)):
        filled = laplace_fill(ramp * (1 - mask), mask, sweeps)
        torch.testing.assert_close(filled, ramp, atol=apart, rtol=0)
    assert torch.equal(filled * (1 - mask), ramp * (1 - mask))


def test_holes_need_a_mask_and_others_take_none() -> None:
    image, mask = images(1, seed=2), torch.zeros(1, 1, 32, 32)
    mask[..., :4] = 1
    assert torch.equal(holes("centre").from_image(image, mask), with_hole(image, mask))
    with pytest.raises(UserError, match="mask is missing"):
        holes("centre").from_image(image)
    for name in ("noise", "blur", "edges", "pixelart", "lowres", "gray", "tint"):
        with pytest.raises(UserError, match="does not fill holes"):
            EVERY[name]().from_image(image, mask)


# --- tint


def test_grey_values_become_colours_in_proportion() -> None:
    x = torch.tensor([-1.0, 1.0, 0.0]).view(1, 1, 1, 3)
    found = (tint()(x)[0, :, 0] + 1) * 127.5
    assert found.T.round().tolist() == [[0, 30, 110], [255, 190, 60], [128, 110, 85]]
    shades = torch.arange(256.0).view(1, 1, 16, 16) / 127.5 - 1
    assert len({tuple(colour) for colour in tint()(shades)[0].flatten(1).T.tolist()}) == 256, "one to one"
    with pytest.raises(UserError, match="both"):
        tint((0, 30, 110))


# --- noise and blur


def test_noise_has_its_standard_deviation() -> None:
    degrade = Noise(low=20, high=20, source_shape=RGB, output_shape=RGB)
    found = degrade(torch.zeros(20, *RGB), seeded(0)) * 127.5
    assert float(found.std()) == pytest.approx(20, rel=0.02) and abs(float(found.mean())) < 0.5
    levels = found + 127.5
    torch.testing.assert_close(levels, levels.round(), atol=1e-3, rtol=0)


def test_noise_differs_in_strength_from_image_to_image() -> None:
    degrade = Noise(low=5, high=50, source_shape=RGB, output_shape=RGB)
    each = (degrade(torch.zeros(300, *RGB), seeded(0)) * 127.5).std((1, 2, 3))
    assert 4.5 < float(each.min()) < 8 and 46 < float(each.max()) < 52
    assert float(each.mean()) == pytest.approx(27.5, abs=2)


def test_blur_by_hand() -> None:
    x = torch.zeros(1, 1, 31, 31)
    x[..., 15, 15] = 1
    found = gaussian_blur(x, torch.tensor([1.5]), 8)[0, 0]
    places = torch.arange(31.0) - 15
    expected = torch.exp(-(places[:, None] ** 2 + places**2) / (2 * 1.5**2)) / (2 * math.pi * 1.5**2)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)
    torch.testing.assert_close(gaussian_blur(x, torch.tensor([0.0]), 8), x)


def test_each_image_has_its_own_blur() -> None:
    x = images(2)
    both = gaussian_blur(x, torch.tensor([0.7, 2.0]), 6)
    for number, sigma in enumerate((0.7, 2.0)):
        torch.testing.assert_close(
            both[number : number + 1], gaussian_blur(x[number:][:1], torch.tensor([sigma]), 6)
        )


def test_blur_of_a_constant_is_the_constant() -> None:
    x = torch.tensor([-1.0, 51 / 127.5 - 1, 1.0])[:, None, None, None].expand(3, *RGB)
    torch.testing.assert_close(EVERY["blur"]()(x, seeded(0)), x, atol=1e-6, rtol=0)


@pytest.mark.parametrize("kind", [Noise, Blur])
def test_a_range_that_is_empty_is_refused(kind: type[Noise] | type[Blur]) -> None:
    with pytest.raises(UserError, match=r"degrade\.low=3 is more than degrade\.high=2"):
        kind(low=3, high=2, source_shape=RGB, output_shape=RGB)


def test_a_kernel_that_exceeds_the_image_is_refused() -> None:
    with pytest.raises(UserError, match=r"degrade\.high=11: three times that exceeds the image's 32 pixels"):
        Blur(low=0, high=11, source_shape=RGB, output_shape=RGB)
    with pytest.raises(UserError, match=r"degrade\.sigma=11: three times that"):
        edges(sigma=11)


# --- edges


def test_sobel_of_a_ramp_is_its_slope() -> None:
    ramp = 0.02 * torch.arange(16.0)[:, None] - 0.03 * torch.arange(16.0)
    down, right = (part[..., 1:-1, 1:-1] for part in sobel(ramp.expand(1, 1, 16, 16)))
    torch.testing.assert_close(down, torch.full_like(down, 0.02))
    torch.testing.assert_close(right, torch.full_like(right, -0.03))


@pytest.mark.parametrize("thin", [True, False])
def test_no_edges_are_white(thin: bool) -> None:
    assert (edges(thin)(torch.full((2, 3, 32, 32), 0.3)) == 1).all()
    faint = images(2) / 255  # one level of noise
    assert edges(thin)(faint).min() > 0.5


def step(turned: int) -> Tensor:
    """An edge down, across, or diagonal."""
    places = torch.arange(32)
    x = torch.where(places[:, None] + places >= 32 if turned == 2 else (places >= 16).expand(32, 32), 0.8, -0.8)
    return (x.T if turned == 1 else x).expand(1, 3, 32, 32)


@pytest.mark.parametrize("turned", [0, 1, 2])
def test_a_line_is_thin_and_where_the_edge_is(turned: int) -> None:
    found = edges()(step(turned))[0, 0]
    found = found.T if turned == 1 else found
    dark = found < 0
    inner = dark[4:-4]
    assert (inner.sum(1) >= 1).all() and (inner.sum(1) <= (2 if turned == 2 else 1)).all()
    columns = inner.float().argmax(1)
    expected = 32 - torch.arange(4, 28) if turned == 2 else torch.full((24,), 16)
    assert ((columns - expected).abs() <= 1).all()
    soft = edges(thin=False)(step(turned))[0, 0] < 0
    assert soft.sum() > 1.5 * dark.sum()


def test_contrast_and_brightness_do_not_change_lines() -> None:
    x = edges()(images(1) * 0.9)
    assert ((edges()(images(1) * 0.45 + 0.3) - x).abs() <= 2 / 127.5).all()


def test_two_equal_maxima_leave_one() -> None:
    strength = torch.tensor([0.0, 1, 1, 0]).expand(1, 1, 4, 4)
    zero, one = torch.zeros(1, 1, 4, 4), torch.ones(1, 1, 4, 4)
    kept = thinned(strength, zero, one)
    assert torch.equal(kept[0, 0, 0], torch.tensor([0.0, 0, 1, 0]))


def test_a_drawing_is_taken_as_it_is() -> None:
    drawing = images(1, seed=3)
    torch.testing.assert_close(edges().from_image(drawing), gray(drawing))
    weights = torch.tensor([0.299, 0.587, 0.114])
    torch.testing.assert_close(gray(drawing)[0, 0], torch.einsum("c,chw->hw", weights, drawing[0]))
    assert torch.equal(edges().from_image(drawing[:, :1]), drawing[:, :1])


# --- pixel art


def test_pixel_art_by_hand() -> None:
    x = torch.zeros(1, 3, 32, 32)
    x[..., :4, :4] = images(1, 3, 4, 4, seed=1)
    x[0, 0, 4:8, :4] = 0.6  # nearest of -1, 0, 1 is 1
    x[0, 0, 8:12, :4] = 0.4
    art = pixel_art().art(x)
    expected = (x[0, :, :4, :4].mean((1, 2))).round()
    assert torch.equal(art[0, :, 0, 0], expected)
    assert (art[0, 0, 4:8, :4] == 1).all() and (art[0, 0, 8:12, :4] == 0).all()


def test_pixel_art_has_blocks_and_few_colours_and_is_its_own() -> None:
    art = pixel_art().art(images(8))
    blocks = art.unfold(2, 4, 4).unfold(3, 4, 4)
    assert (blocks.amax((4, 5)) == blocks.amin((4, 5))).all()
    assert len(art.permute(0, 2, 3, 1).reshape(-1, 3).unique(dim=0)) <= 27
    assert set(art.unique().tolist()) <= {-1.0, 0.0, 1.0}
    assert torch.equal(pixel_art().art(art), art)


def test_pixel_art_of_any_size_has_that_size() -> None:
    x = images(1, 3, 10, 33)
    art = pixel_art().art(x)
    assert art.shape == x.shape
    assert torch.equal(art[..., :8, :32], pixel_art().art(x[..., :8, :32]))
    assert (art[..., 8:, 32] == art[..., 8:9, 32]).all(), "the last block is cut"


def test_reverse_exchanges_source_and_target() -> None:
    x = images(2)
    one, two = pixel_art().pair(x, None), pixel_art(reverse=True).pair(x, None)
    assert torch.equal(one.target, x) and torch.equal(two.source, x)
    assert torch.equal(one.source, two.target) and not torch.equal(one.source, x)
    assert torch.equal(pixel_art(reverse=True)(x), x) and torch.equal(pixel_art()(x), one.source)


def test_a_block_that_does_not_divide_is_refused() -> None:
    with pytest.raises(UserError, match=r"degrade\.block=5 does not divide images of 32 x 32 pixels"):
        pixel_art(block=5)
