"""Fast style transfer: Gram matrices, the three terms by hand, the style image and where it is kept."""

from collections import OrderedDict
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from conftest import OF_GAME, STYLE_IMAGE, Verb, asked_to_stop, composed, differences_between_processes, verb
from omegaconf import OmegaConf
from PIL import Image
from torch import Tensor

from ganexp.data.batches import Batch
from ganexp.data.style_image import read_style_image
from ganexp.errors import UserError
from ganexp.games.style import Style, total_variation
from ganexp.games.style_features import RandomStyleFeatures, VGG16StyleFeatures
from ganexp.nets.fixed_convolutions import Levels, gram, random_levels
from ganexp.nets.layers import count_weights
from ganexp.runs.bitwise import differences
from ganexp.system import tensor_file
from ganexp.system.signals import Stopped
from ganexp.train import player_step
from ganexp.training.build import build, build_game
from ganexp.training.precision import Precision


def picture(seed: int, *shape: int) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def game_of(*overrides: str) -> Style:
    torch.manual_seed(0)
    game = cast(Style, build_game(composed(*OF_GAME["style"], *overrides)))
    game.prepare_training()
    game.begin_run()
    return game


# --- Gram matrices


def test_a_gram_matrix_by_hand() -> None:
    features = torch.tensor([[1.0, 2.0, 0.0, -1.0], [0.5, 0.0, 3.0, 1.0]]).view(1, 2, 2, 2).requires_grad_()
    found = gram(features)
    assert torch.allclose(found[0], torch.tensor([[6.0, -0.5], [-0.5, 10.25]]) / 8)
    found[0, 0, 1].backward()
    assert features.grad is not None
    other = features.detach().flip(1) / 8
    assert torch.allclose(features.grad, other), "d (sum a b / 8) / da = b / 8"


def test_a_gram_matrix_is_of_float32_under_autocast() -> None:
    features = 3 + picture(1, 1, 4, 64, 64)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = gram(features)
    assert found.dtype == torch.float32 and torch.equal(found, gram(features))


def test_a_gram_matrix_knows_no_places_and_is_symmetric_and_positive() -> None:
    features = picture(1, 2, 5, 4, 6)
    found = gram(features)
    order = torch.randperm(24, generator=torch.Generator().manual_seed(2))
    assert torch.allclose(gram(features.flatten(2)[:, :, order].view(2, 5, 4, 6)), found, atol=1e-6)
    assert torch.equal(found, found.mT)
    assert torch.linalg.eigvalsh(found.double()).min() > -1e-9
    assert not torch.allclose(found[0], found[1])


def test_the_gram_matrix_of_a_tiled_texture_does_not_depend_on_its_size() -> None:
    features = picture(3, 1, 4, 5, 5)
    assert torch.allclose(gram(features.repeat(1, 1, 3, 2)), gram(features), atol=1e-6)


# --- The terms of the loss


def test_the_terms_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """A network of one level, whose outputs are w x where that is positive, and photos that G only scales."""
    game = game_of("game.content_level=1", "game.content_weight=3", "game.style_weight=5", "game.tv_weight=7")
    only_centre = torch.zeros(2, 1, 3, 3)
    only_centre[:, 0, 1, 1] = torch.tensor([2.0, 1.0])
    game.network = Levels([(only_centre, torch.zeros(2))], [1], None)
    game.style_gram(0)[:2, :2] = torch.tensor([[0.5, 0.25], [0.25, 0.0]])
    game._buffers["style_gram0"] = game.style_gram(0)[:2, :2]
    x = torch.tensor([0.5, 1.0, 0.25, 0.0]).view(1, 1, 2, 2)
    scale = torch.tensor(0.5, requires_grad=True)
    monkeypatch.setattr(game.generator, "forward", lambda source: scale * source)
    losses, logs = game.turn(Batch(x, torch.zeros(1)))
    mean = x.square().mean()  # 0.328125
    content = 3 * 2.5 * mean * 0.25  # the mean over 2 channels of (w x / 2)^2, w = 2 and 1
    products = torch.tensor([[4.0, 2.0], [2.0, 1.0]]) * mean / 2  # / (C H W)
    target = torch.tensor([[0.5, 0.25], [0.25, 0.0]])
    style = 5 * (0.25 * products - target).square().mean()
    tv = 7 * 0.5 * ((0.25 + 1.0) / 2 + (0.5 + 0.25) / 2)
    expected = {"content": content, "style": style, "tv": torch.tensor(tv)}
    assert {name: value.item() for name, value in losses.items()} == pytest.approx(
        {name: value.item() for name, value in expected.items()}
    )
    left = (0.25 * products - target).square().mean() / (products - target).square().mean()
    assert logs["style_left"].item() == pytest.approx(left.item()) and not logs["style_left"].requires_grad
    slopes = {
        "content": 3 * 2.5 * mean * 2 * (0.5 - 1),
        "style": 5 * (2 * (0.25 * products - target) * products).mean(),  # d (scale^2) = 2 scale = 1
        "tv": torch.tensor(2 * tv),
    }
    for name, loss in losses.items():
        (slope,) = torch.autograd.grad(loss, scale, retain_graph=True)
        assert slope.item() == pytest.approx(slopes[name].item(), rel=1e-5), name


def test_the_total_variation_by_hand() -> None:
    image = torch.tensor([[0.0, 1.0, 3.0], [2.0, 2.0, 2.0]]).view(1, 1, 2, 3).requires_grad_()
    found = total_variation(image)
    found.backward()
    assert found.item() == pytest.approx((2 + 1 + 1) / 3 + (1 + 2 + 0 + 0) / 4)
    assert image.grad is not None
    assert image.grad[0, 0, 0].tolist() == pytest.approx(
        [-1 / 3 - 1 / 4, -1 / 3 + 1 / 4 - 1 / 4, 1 / 3 + 1 / 4]
    )


def test_an_image_is_no_distance_from_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    game = game_of("game.tv_weight=1")
    photos = picture(4, 1, 1, 8, 8)
    for level, matrix in enumerate(game.grams(photos)):
        game.style_gram(level).copy_(matrix[0])
    monkeypatch.setattr(game.generator, "forward", lambda source: source)
    losses, logs = game.turn(Batch(photos, torch.zeros(1)))
    assert losses["style"].item() == 0 and losses["content"].item() == 0 and losses["tv"].item() > 0
    assert logs["style_left"].isfinite()
    losses, _ = game.turn(Batch(-photos, torch.zeros(1)))
    assert losses["style"].item() > 0 and losses["content"].item() == 0


@pytest.mark.parametrize("level", [1, 2])
def test_contents_are_compared_at_the_chosen_level(level: int) -> None:
    game = game_of(f"game.content_level={level}", "game.content_weight=2")
    photos = picture(5, 3, 1, 8, 8)
    assert game.network is not None
    with torch.no_grad():
        made, wanted = (game.network.levels(x)[level - 1] for x in (game.generator(photos), photos))
        found = game.turn(Batch(photos, torch.zeros(3))).losses["content"]
    assert found.item() == pytest.approx(2 * (made - wanted).square().mean().item(), rel=1e-5)
    with pytest.raises(UserError, match=r"game\.content_level=3: these features have levels 1 to 2"):
        game_of("game.content_level=3")


# --- Features


def test_features_are_fixed_in_float32_and_in_no_checkpoint() -> None:
    game = game_of()
    assert game.network is not None and not list(game.network.parameters()) and not game.network.state_dict()
    plain = build_game(composed(*OF_GAME["style"]))
    assert plain.state_dict().keys() == game.state_dict().keys(), "a run is read without the network"
    with torch.autocast("cpu", torch.bfloat16):
        levels = game.network.levels(picture(6, 2, 1, 8, 8).bfloat16())
        turn = game.turn(Batch(picture(6, 2, 1, 8, 8), torch.zeros(2)))
    assert {features.dtype for features in levels} == {loss.dtype for loss in turn.losses.values()}
    assert levels[0].dtype == torch.float32
    before = [value.clone() for value in game.network.buffers()]
    matrices = [game.style_gram(level).clone() for level in range(2)]
    optimisers = {"g": build(composed().optim)(game.generator.parameters(), "g")}
    player_step(game, "g", optimisers, Batch(picture(7, 4, 1, 8, 8), torch.zeros(4)), FP32)
    assert all(map(torch.equal, before, game.network.buffers()))
    assert all(torch.equal(old, game.style_gram(level)) for level, old in enumerate(matrices))


FP32 = Precision("fp32", torch.device("cpu"))


def test_random_features_are_always_the_same() -> None:
    torch.manual_seed(5)
    before, x = torch.get_rng_state(), picture(8, 2, 3, 8, 8)
    one, two, other = (random_levels(3, [4, 6], [1, 2], seed) for seed in (1, 1, 2))
    assert torch.equal(before, torch.get_rng_state()), "no number of the run's is drawn"
    assert [tuple(f.shape) for f in one.levels(x)] == [(2, 4, 8, 8), (2, 6, 4, 4)] and one.channels == (4, 6)
    assert all(map(torch.equal, one.levels(x), two.levels(x)))
    assert not torch.equal(one.levels(x)[0], other.levels(x)[0])
    assert one.levels(x)[1].min() == 0, "behind the ReLU"


def vgg_weights(file: Path) -> "OrderedDict[str, Tensor]":
    """Random weights of torchvision's VGG16 without its dense layers, written to a file."""
    from torchvision.models import vgg16

    torch.manual_seed(0)
    with torch.device("meta"):
        names = [(key, value.shape) for key, value in vgg16().features.state_dict().items()]
    state = OrderedDict((f"features.{key}", torch.randn(shape) * 0.02) for key, shape in names)
    torch.save(state, file)
    return state


def test_vgg16_is_torchvisions(tmp_path: Path) -> None:
    from torchvision.models import vgg16

    state = vgg_weights(tmp_path / "vgg.pth")
    with torch.device("meta"):
        theirs = vgg16().features
    theirs.load_state_dict({k.removeprefix("features."): v for k, v in state.items()}, assign=True)
    settings = VGG16StyleFeatures(shape=[3, 16, 16], weights=str(tmp_path / "vgg.pth"))
    x = picture(9, 2, 3, 16, 16)
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]))
    seen, found = ((x + 1) / 2 - mean) / std, settings.network().levels(x)
    assert [len(features[0]) for features in found] == list(settings.channels)
    for last, features in zip((4, 9, 16, 23), found, strict=True):  # relu1_2, relu2_2, relu3_3, relu4_3
        with torch.no_grad():
            wanted = theirs[:last](seen)
        assert torch.allclose(features, wanted, rtol=1e-4, atol=1e-7) and wanted.abs().max() > 0
    grey = VGG16StyleFeatures(shape=[1, 16, 16], weights=str(tmp_path / "vgg.pth")).network()
    assert torch.equal(grey.levels(x[:, :1])[0], grey.levels(x[:, :1].expand(-1, 3, -1, -1))[0])


def test_weights_that_cannot_be_had_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(*_: object, **__: object) -> None:
        raise OSError("no network")

    monkeypatch.setattr(torch.hub, "download_url_to_file", offline)

    def network(weights: str | None, *shape: int) -> Levels:
        return VGG16StyleFeatures(shape=list(shape), weights=weights).network()

    with pytest.raises(
        UserError, match=r"VGG16.*\(no network\).*style_features\.weights=<file of vgg16-.*random"
    ):
        network(None, 3, 32, 32)
    with pytest.raises(UserError, match=r"game\.style_features\.weights=nowhere: there is no such file"):
        network("nowhere", 3, 32, 32)
    for content in (b"nothing", None):
        if content is None:
            torch.save({"features.0.weight": torch.zeros(1)}, tmp_path / "other.pth")
        else:
            (tmp_path / "other.pth").write_bytes(content)
        with pytest.raises(UserError, match="does not hold torchvision's weights of VGG16") as caught:
            network(str(tmp_path / "other.pth"), 3, 32, 32)
        assert "\n" not in str(caught.value)
    with pytest.raises(UserError, match=r"1 or 3 channels, and these have 4; style_features=random takes any"):
        network(None, 4, 32, 32)
    with pytest.raises(UserError, match=r"4 levels need images of 8 pixels or more, and these are 4 x 4"):
        network(None, 3, 4, 4)
    with pytest.raises(UserError, match="2 levels need images of 2 pixels"):
        RandomStyleFeatures(shape=[3, 1, 1], seed=0, widths=[4, 4]).network()
    cfg = composed(*OF_GAME["style"])
    OmegaConf.update(cfg, "game.style_features", {"_target_": "ganexp.losses.Hinge"}, merge=False)
    with pytest.raises(UserError, match=r"game\.style_features: .*choose it with style_features="):
        build_game(cfg)


# --- The style image


def test_the_style_image_is_scaled_by_its_shorter_side(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    for ending in ("png", "webp", "tiff", "bmp"):
        Image.fromarray(pixels).save(tmp_path / f"a.{ending}", lossless=True)
        read = read_style_image("game.image", tmp_path / f"a.{ending}", 3, None, 1)
        assert read.dtype == np.float32 and np.array_equal(
            read, pixels.transpose(2, 0, 1) / np.float32(127.5) - 1
        )
    for channels, side, shape in ((3, 20, (3, 20, 30)), (1, 80, (1, 80, 120))):
        assert read_style_image("game.image", tmp_path / "a.png", channels, side, 1).shape == shape


def test_style_images_that_cannot_be_used_are_told(tmp_path: Path) -> None:
    (tmp_path / "damaged.jpg").write_bytes(b"nothing")
    Image.new("RGB", (9, 3)).save(tmp_path / "small.png")
    for name, told in (
        ("none.jpg", r"game\.image=.*none\.jpg: there is no such file"),
        (".", r"game\.image=.*: it is no regular file"),
        ("damaged.jpg", r"game\.image: damaged\.jpg is no readable image"),
        ("small.png", r"game\.image=.*small\.png: it is only 9 x 3, and the features need 4 pixels"),
    ):
        with pytest.raises(UserError, match=told) as caught:
            read_style_image("game.image", tmp_path / name, 3, None, 4)
        assert "\n" not in str(caught.value)


def test_several_images_of_a_style_are_averaged(tmp_path: Path) -> None:
    for name in "ab":
        noise = np.random.default_rng(ord(name)).integers(0, 256, (16, 16), dtype=np.uint8)
        Image.fromarray(noise).save(tmp_path / f"{name}.png")
    a, b, both = (
        [game_of(f"game.image={files}").style_gram(level) for level in range(2)]
        for files in (f"{tmp_path}/a.png", f"{tmp_path}/b.png", f"[{tmp_path}/a.png,{tmp_path}/b.png]")
    )
    for one, other, mean in zip(a, b, both, strict=True):
        assert torch.allclose(mean, (one + other) / 2) and not torch.allclose(one, other)


# --- Runs


def test_a_missing_style_image_ends_a_new_run_in_one_line(
    train: Verb, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        train(*OF_GAME["style"], "game.image=nowhere.jpg")
    assert ended.value.code == 2
    (line,) = capfd.readouterr().err.splitlines()
    assert line == f"ganexp: game.image={tmp_path}/nowhere.jpg: there is no such file"


def test_a_run_is_resumed_sampled_and_applied_without_its_style_image(
    train: Verb, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "style.png"
    file.write_bytes(STYLE_IMAGE.read_bytes())
    overrides = [*OF_GAME["style"], f"game.image={file}", "epochs=1", "max_steps=12"]
    whole = train(*overrides, name="whole")
    with asked_to_stop(after=5), pytest.raises(Stopped):
        train(*overrides, name="cut")
    (cut,) = (whole.parents[1] / "cut").iterdir()
    file.unlink()
    train(f"resume={cut}", name="cut")
    assert list(differences(whole, cut)) == []
    content = tensor_file.read(cut / "checkpoints/last.pt")
    expected = game_of().style_gram(0)
    assert torch.allclose(content["game"]["style_gram0"], expected) and expected.abs().max() > 0
    assert not [name for name in content["game"] if "network" in name]
    verb(monkeypatch, tmp_path, "sample", f'run="{cut}"', "n=4")
    Image.new("RGB", (13, 10), "red").save(tmp_path / "photo.png")
    verb(monkeypatch, tmp_path, "translate", f'run="{cut}"', f"input={tmp_path}/photo.png", "output=painted")
    assert Image.open(tmp_path / "painted/photo.png").size == (13, 10)


def test_which_features_a_run_has_is_in_its_first_lines(train: Verb) -> None:
    run = train(*OF_GAME["style"], "max_steps=2", "epochs=1")
    log = (run / "train.log").read_text()
    assert "style: of acgan.png, by features of a network with random weights (seed 0)" in log
    assert "style_left" in log and "RandomStyleFeatures" in (run / "config.yaml").read_text()


def test_scores_of_held_out_photos(train: Verb) -> None:
    metric = ["metrics=style", "metrics.style.widths=[4,4]", "evaluate.every=1", "evaluate.count=50"]
    run = train(*OF_GAME["style"], *metric, "max_steps=3", "epochs=1")
    log = (run / "train.log").read_text()
    assert "by source: style_distance 1.000, content_distance 0.000" in log
    scores = Path(run / "metrics.jsonl").read_text()
    assert "score/style_distance" in scores and "score/content_distance" in scores


def test_two_processes_compute_what_one_does(tmp_path: Path) -> None:
    cases = {"style": composed(*OF_GAME["style"], "game.tv_weight=1")}
    for process in differences_between_processes(tmp_path, cases):
        assert process["style"]["gradient"] < 1e-12 and process["style"]["weight"] < 1e-12


def test_the_network_has_the_references_weights() -> None:
    """pytorch/examples, fast_neural_style: TransformerNet."""
    composing: Any = ["game=style", "loss=none", f"game.image={STYLE_IMAGE}", "data=celeba", "data.root=."]
    for arch, weights in (("style", 1_679_235), ("style_small", 276_675)):
        cfg = composed(*composing, f"arch={arch}")
        assert (cfg.game.style_weight, cfg.game.content_weight) == (1e4, 1.0)
        with torch.device("meta"):
            assert count_weights(build(cfg.arch.generator)) == weights
    cfg = composed(*composing, "style_features=vgg16")
    assert (cfg.game.style_weight, cfg.game.content_weight) == (1e10, 1e5), "as in the reference"
