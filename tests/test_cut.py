"""CUT and FastCUT: the contrastive loss by hand, what it moves, mirrored sources, networks, what is refused."""

import json
import math
from pathlib import Path
from typing import cast

import pytest
import torch
from conftest import OF_GAME, Verb, composed, differences_between_processes, verb
from PIL import Image
from torch import Tensor, nn
from torch.nn.functional import conv2d, cross_entropy, normalize, pad

from ganexp.data.batches import Batch
from ganexp.errors import UserError
from ganexp.games.cut import CUT
from ganexp.games.game import StepProgress
from ganexp.games.patch_nce import at_places, patch_nce, random_places
from ganexp.nets.blurred_patch import BlurredHalve, BlurredPatchDiscriminator
from ganexp.nets.layers import count_weights
from ganexp.nets.patch import PatchDiscriminator
from ganexp.nets.projector import Projector
from ganexp.train import player_step
from ganexp.training.build import build, build_game
from ganexp.training.precision import Precision

CPU = torch.device("cpu")
ALL_PLACES = "game.patches=1000"


def game_of(*overrides: str, game: str = "cut") -> CUT:
    torch.manual_seed(0)
    return cast(CUT, build_game(composed(*OF_GAME[game], *overrides)).double())


def images(seed: int, count: int = 4) -> Tensor:
    rng = torch.Generator().manual_seed(seed)
    return torch.rand(count, 1, 8, 8, generator=rng, dtype=torch.float64) * 2 - 1


def batch() -> Batch:
    return Batch(images(1), torch.zeros(4, dtype=torch.int64), images(2))


def in_float32(given: Batch) -> Batch:
    assert given.source is not None
    return given._replace(x=given.x.float(), source=given.source.float())


# --- the loss


def test_features_that_are_all_different_and_features_that_are_all_alike() -> None:
    different = torch.eye(256)[None]
    assert patch_nce(different, different, 0.07).item() == pytest.approx(1.6e-4, rel=0.01)
    longer = patch_nce(3 * different, 0.5 * different, 0.07)
    assert longer.item() == pytest.approx(1.6e-4, rel=0.01), "they are made of unit length"
    alike = torch.ones(2, 256, 8)
    assert patch_nce(alike, alike, 0.07).item() == pytest.approx(math.log(256), abs=1e-5)


def test_a_case_by_hand() -> None:
    """Two places; similarities over a temperature of 0.5 are (1.2, 1.6) and (0, 2)."""
    queries = torch.tensor([[[3.0, 4.0], [0.0, 2.0]]], dtype=torch.float64, requires_grad=True)
    keys = torch.tensor([[[7.0, 0.0], [0.0, 0.1]]], dtype=torch.float64, requires_grad=True)
    loss = patch_nce(queries, keys, 0.5)
    wrong = [1 / (1 + math.exp(-0.4)), 1 / (1 + math.exp(2))]  # the shares of the other place
    assert loss.item() == pytest.approx(-sum(math.log(1 - share) for share in wrong) / 2, rel=1e-9)
    loss.backward()
    # of unit vectors (1 / (S tau)) * share * (other - own), of which the part along the vector is taken away
    first, second = wrong
    along = first * (0.8 - 0.6)
    expected = [[(-first - 0.6 * along) / 5, (first - 0.8 * along) / 5], [second / 2, 0.0]]
    assert queries.grad is not None
    assert torch.allclose(queries.grad[0], queries.new_tensor(expected), atol=1e-12)
    assert keys.grad is None


def test_places_may_come_in_any_order_but_in_one() -> None:
    queries, keys = torch.randn(2, 3, 10, 5, dtype=torch.float64)
    order = torch.randperm(10)
    loss = patch_nce(queries, keys, 0.07)
    assert torch.allclose(patch_nce(queries[:, order], keys[:, order], 0.07), loss)
    assert not torch.allclose(patch_nce(queries, keys[:, order], 0.07), loss)


def test_negatives_are_of_the_same_image() -> None:
    queries, keys = torch.randn(2, 3, 10, 5, dtype=torch.float64)
    each = [patch_nce(queries[i : i + 1], keys[i : i + 1], 0.07) for i in range(3)]
    assert torch.allclose(patch_nce(queries, keys, 0.07), torch.stack(each).mean())


def test_it_is_computed_in_float32_under_autocast() -> None:
    queries, keys = torch.randn(2, 2, 50, 16).bfloat16()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = patch_nce(queries, keys, 0.07)
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(patch_nce(queries.double(), keys.double(), 0.07).item(), rel=1e-5)


def test_a_vector_of_zeros_has_a_bounded_gradient() -> None:
    queries = torch.zeros(1, 4, 3, requires_grad=True)
    patch_nce(queries, torch.randn(1, 4, 3), 0.07).backward()
    assert queries.grad is not None and 0 < queries.grad.abs().max() < 1e3 / 0.07


def test_places_are_different_ones_of_each_image() -> None:
    maps = torch.arange(2 * 3 * 4 * 5).reshape(2, 3, 4, 5)
    torch.manual_seed(0)
    places = random_places(maps, 7)
    assert places.shape == (2, 7) and all(len(set(row.tolist())) == 7 for row in places)
    assert places.max() < 20 and not torch.equal(places[0], places[1])
    drawn = torch.stack([random_places(maps, 7)[0] for _ in range(2000)]).flatten().bincount(minlength=20)
    assert drawn.min() > 700 - 120 and drawn.max() < 700 + 120, "each place as often"
    found = at_places(maps, places)
    assert found.shape == (2, 7, 3)
    assert all(
        found[n, s, c] == maps[n, c, places[n, s] // 5, places[n, s] % 5]
        for n in range(2)
        for s in range(7)
        for c in range(3)
    )
    before = torch.get_rng_state()
    assert random_places(maps, 20).tolist() == [list(range(20))] * 2
    assert torch.equal(before, torch.get_rng_state()), "all places: nothing is drawn"


# --- the networks


def test_the_sizes_of_the_paper() -> None:
    cfg = composed("game=cut", "arch=cut", "data=celeba", "degrade=noise", "data.resolution=256")
    with torch.device("meta"):
        nets = {name: cast(nn.Module, build(cfg.arch[name])) for name in cfg.arch}
    assert {name: count_weights(net) for name, net in nets.items()} == {
        "generator": 11_378_179,
        "discriminator": 2_764_737,
        "projector": sum(256 * channels + 256 + 256 * 256 + 256 for channels in (3, 128, 256, 256, 256)),
    }
    assert count_weights(nets["projector"]) == 560_384
    assert nets["projector"].channels == nets["generator"].feature_channels
    small = composed("game=cut", "degrade=noise").arch
    assert build(small.projector).channels == build(small.generator).feature_channels == (1, 32, 64, 64, 64)


def test_each_map_has_a_projector_of_its_own() -> None:
    net = Projector([2, 8, 8], 3, [2, 4], 5)
    features = [torch.randn(4, 6, channels) for channels in (2, 6, 12)]
    made = net(features)
    assert [tuple(vectors.shape) for vectors in made] == [(4, 6, 5)] * 3
    first, second = (cast(nn.Linear, cast(nn.Sequential, net.layers[1])[index]) for index in (0, 2))
    by_hand = (features[1] @ first.weight.T + first.bias).relu() @ second.weight.T + second.bias
    assert torch.allclose(made[1], by_hand)


@pytest.mark.parametrize("shape", [(8, 8), (7, 5), (2, 3)])
def test_halving_filters_with_1_2_1(shape: tuple[int, int]) -> None:
    x = torch.randn(2, 3, *shape, dtype=torch.float64)
    taps = torch.tensor([1.0, 2.0, 1.0], dtype=torch.float64)
    kernel = (torch.outer(taps, taps) / 16).expand(3, 1, 3, 3)
    expected = conv2d(pad(x, (1, 1, 1, 1), mode="reflect"), kernel, stride=2, groups=3)
    assert torch.allclose(BlurredHalve()(x), expected)
    assert torch.allclose(BlurredHalve()(torch.ones(1, 1, 8, 8)), torch.ones(1, 1, 4, 4))


@pytest.mark.parametrize(("layers", "out", "field"), [(1, 62, 18), (2, 30, 40), (3, 14, 84)])
def test_the_filtered_critic_of_patches(layers: int, out: int, field: int) -> None:
    with torch.device("meta"):
        ours = BlurredPatchDiscriminator([3, 256, 256], 64, layers, "instance", affine=False)
        plain = PatchDiscriminator([3, 256, 256], 64, layers, "instance", affine=False)
    assert count_weights(ours) == count_weights(plain)
    critic = BlurredPatchDiscriminator([1, 128, 128], 2, layers, "none", affine=False).double()
    x = torch.randn(1, 1, 128, 128, dtype=torch.float64, requires_grad=True)
    logits = critic(x)
    assert logits.shape == (1, out, out)
    logits[0, out // 2, out // 2].backward()
    assert x.grad is not None
    rows = x.grad[0, 0].abs().sum(1).nonzero().flatten()
    assert int(rows.max() - rows.min()) + 1 == field
    with pytest.raises(UserError, match="layers=3: too many for 16 x 64 pixels"):
        BlurredPatchDiscriminator([1, 16, 64], 2, 3, "none", affine=False)


# --- the game


def nce_by_hand(game: CUT, made: Tensor, image: Tensor) -> Tensor:
    """The loss at all places, image by image and layer by layer, as the paper writes it."""
    layers = []
    encode, projector = game.generator.net.encode, game.projector
    for query, key, layer in zip(encode(made), encode(image), projector.layers, strict=True):  # type: ignore[operator]
        terms = []
        for one, other in zip(query, key, strict=True):
            # G's outputs may be as good as 0, see patch_nce.py
            v = normalize(layer(one.flatten(1).T), dim=1, eps=1e-3)
            k = normalize(layer(other.flatten(1).T), dim=1, eps=1e-3).detach()
            terms.append(cross_entropy(v @ k.T / 0.07, torch.arange(len(v))))
        layers.append(torch.stack(terms).mean())
    return torch.stack(layers).mean()


def gradients(loss: Tensor, game: CUT) -> list[Tensor]:
    net = game.players["g"].net
    found = torch.autograd.grad(loss, list(net.parameters()), allow_unused=True, retain_graph=True)
    assert any(gradient is not None for gradient in found)
    return [torch.zeros(1) if gradient is None else gradient for gradient in found]


@pytest.mark.parametrize(
    ("overrides", "weights"),
    [
        ([], {"nce": 0.5, "nce_identity": 0.5}),
        (["game.nce_weight=3"], {"nce": 1.5, "nce_identity": 1.5}),
        (["game.nce_weight=3", "game.identity=false"], {"nce": 3.0}),
    ],
)
def test_the_terms_and_their_gradients(overrides: list[str], weights: dict[str, float]) -> None:
    game, given = game_of(ALL_PLACES, *overrides), batch()
    assert given.source is not None
    (source,) = game.training_inputs(given)
    assert source is given.source, "no image is mirrored"
    fake = game.generator(source)
    losses = game.content(fake, given)
    by_hand = {"nce": nce_by_hand(game, fake, given.source)}
    by_hand["nce_identity"] = nce_by_hand(game, game.generator(given.x), given.x)
    assert set(losses) == set(weights)
    for name, weight in weights.items():
        assert losses[name].item() == pytest.approx(weight * by_hand[name].item(), rel=1e-9)
        for mine, other in zip(
            gradients(losses[name], game), gradients(weight * by_hand[name], game), strict=True
        ):
            assert torch.allclose(mine, other, atol=1e-12)


def test_recipes_are_the_papers() -> None:
    cut, fast = composed("game=cut", "degrade=noise").game, composed("game=fastcut", "degrade=noise").game
    assert (cut.nce_weight, cut.identity, cut.flip) == (1, True, False)
    assert (fast.nce_weight, fast.identity, fast.flip) == (10, False, True)
    assert cut.patches == fast.patches == 256 and cut.temperature == fast.temperature == 0.07


def test_keys_get_no_gradient() -> None:
    game, made, image = game_of(), images(1), images(2)
    made.requires_grad_(), image.requires_grad_()
    game.nce(made, image).backward()
    assert image.grad is None and made.grad is not None and made.grad.abs().max() > 0


def test_the_encoder_learns_under_autocast_too() -> None:
    """Of an output that needs no gradient: the queries are the only use of the encoder that has one."""
    game = game_of().float()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = game.nce(images(1).float(), images(2).float())
    loss.backward()
    for net in (game.generator.net.first, game.projector):
        for name, weight in net.named_parameters():  # type: ignore[union-attr]
            assert weight.grad is not None, name


def test_one_player_trains_the_generator_and_the_projector() -> None:
    game = game_of()
    trained = {id(weight) for weight in game.players["g"].net.parameters()}
    expected = [*game.generator.net.parameters(), *game.projector.parameters()]
    assert trained == {id(weight) for weight in expected} and list(game.players) == ["d", "g"]
    assert not any(id(weight) in trained for weight in game.discriminator.parameters())
    game.discriminator_turn(batch()).losses["adversarial"].backward()
    assert all(weight.grad is None for weight in expected), "the critic's turn moves neither"
    turn = game.generator_turn(batch())
    assert set(turn.losses) == {"adversarial", "nce", "nce_identity"}
    sum(turn.losses.values(), torch.zeros(())).backward()
    assert all(weight.grad is not None for weight in expected)


def test_the_critic_judges_images_of_the_second_domain() -> None:
    game = game_of("degrade=edges").float()
    judged: list[Tensor] = []
    game.discriminator.register_forward_pre_hook(lambda _, given: judged.append(given[0]))
    made: list[Tensor] = []
    game.generator.register_forward_pre_hook(lambda _, given: made.append(given[0]))
    given = in_float32(batch())
    game.discriminator_turn(given)
    assert given.source is not None
    assert torch.equal(judged[0][:4], given.x)
    assert torch.equal(made[0], game.degrade(given.source)), "of other images than those"


# --- mirrored sources


def symmetric(game: CUT) -> CUT:
    """Its kernels mirrored are themselves, so that features of mirrored images are mirrored features."""
    with torch.no_grad():
        for layer in game.generator.net.modules():
            if isinstance(layer, nn.Conv2d):
                layer.weight.copy_((layer.weight + layer.weight.flip(3)) / 2)
    return game


@pytest.mark.parametrize("mirrored", [[True] * 4, [True, False, False, True]])
def test_mirroring_input_and_features_changes_nothing(mirrored: list[bool]) -> None:
    game = symmetric(game_of(ALL_PLACES, "arch.generator.resample=blurred", game="fastcut"))
    made, image = images(1), images(2)
    plain = game.nce(made, image)
    chosen = torch.tensor(mirrored)
    given = torch.where(chosen[:, None, None, None], made.flip(3), made)
    assert not torch.allclose(game.nce(given, image), plain)
    game._mirrored = chosen
    assert torch.allclose(game.nce(given, image), plain, rtol=1e-12)


def test_half_of_the_sources_are_mirrored() -> None:
    game = game_of(game="fastcut")
    given = batch()._replace(x=images(1, 400), source=images(2, 400))
    assert given.source is not None
    (source,) = game.training_inputs(given)
    assert game._mirrored is not None and 160 < int(game._mirrored.sum()) < 240
    for index, mirrored in enumerate(game._mirrored):
        expected = given.source[index].flip(2) if mirrored else given.source[index]
        assert torch.equal(source[index], expected)
    (other,) = game.training_inputs(given)
    assert not torch.equal(source, other), "drawn anew"


def test_a_reused_fake_is_compared_as_it_was_mirrored() -> None:
    game = game_of("game.reuse_fake=true", ALL_PLACES, "degrade=edges", game="fastcut").float()
    given = in_float32(batch())
    made: list[Tensor] = []
    game.generator.register_forward_pre_hook(lambda _, given: made.append(given[0]))
    game.discriminator_turn(given)
    mirrored = game._mirrored
    turn = game.generator_turn(given)
    assert len(made) == 1 and game._mirrored is mirrored
    source = game.with_source(given).source
    assert source is not None
    expected = game.nce(game.generator(made[0]), source).item()
    assert turn.losses["nce"].item() == pytest.approx(expected, rel=1e-5)


# --- whole runs


def test_two_processes_compute_what_one_does(tmp_path: Path) -> None:
    """Places are drawn for each image, and so is what is mirrored: a process's part of the numbers of all."""
    cases = {
        "cut": composed(*OF_GAME["cut"], "batch_size=8", "game.reuse_fake=true"),
        "mirrored": composed(*OF_GAME["fastcut"], "batch_size=8", "game.identity=true"),
        "all places": composed(*OF_GAME["cut"], "batch_size=8", ALL_PLACES),
    }
    for process in differences_between_processes(tmp_path, cases):
        for case in cases:
            assert process[case]["gradient"] < 1e-12 and process[case]["weight"] < 1e-12


def test_the_contrastive_loss_falls() -> None:
    wide = ["arch.generator.norm=instance", "arch.projector.dimensions=32"]
    game = game_of("game.adversarial_weight=0", "game.identity=false", *wide).float()
    given = in_float32(batch())
    optimisers = {
        name: torch.optim.Adam(player.net.parameters(), 2e-3) for name, player in game.players.items()
    }
    game.begin_step(StepProgress(0, 0, 0.0))
    losses = []
    for _ in range(60):
        losses.append(float(player_step(game, "g", optimisers, given, Precision("fp32", CPU))["nce"]))
    assert sum(losses[-10:]) < 0.7 * sum(losses[:10])


def test_two_classes_become_each_other_and_files_are_translated(
    train: Verb, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = train(*OF_GAME["cut"], "degrade=classes", "degrade.a=3", "degrade.b=8", "max_steps=2", "epochs=1")
    made_from = json.loads((run / "run.json").read_text())["made_from"]
    assert made_from == "images of class 3, to become images of class 8"
    Image.new("L", (13, 10), 200).save(tmp_path / "three.png")
    verb(monkeypatch, tmp_path, "translate", f'run="{run}"', f"input={tmp_path}/three.png", "output=made")
    assert Image.open(tmp_path / "made/three.png").size == (13, 10)


def test_a_degradation_has_scores_of_pairs(train: Verb) -> None:
    scored = [*OF_GAME["cut"], "data.resolution=12", "evaluate.every=1", "evaluate.count=40", "features=pixels"]
    run = train(*scored, "metrics=[fid,psnr,ssim]", "max_steps=2", "epochs=1")
    told = (run / "train.log").read_text()
    assert "by source: fid_pixels" in told and "psnr" in told, "the scores of the sources stand beside"


def test_what_does_not_fit_is_refused() -> None:
    colours = ["game=cut", "data=celeba"]
    for degrade in ("gray", "edges", "holes", "lowres"):
        with pytest.raises(UserError, match=r"different shapes: .*; choose game=cyclegan"):
            composed(*colours, f"degrade={degrade}")
    with pytest.raises(UserError, match="CUT makes images from images: choose what they are made from"):
        composed("game=cut")
    with pytest.raises(UserError, match=r"arch\.projector is missing: CUT needs the networks"):
        composed("game=cut", "degrade=noise", "arch=unet_small")
    with pytest.raises(UserError, match="loss=none: this game is adversarial"):
        game_of("loss=none")
    with pytest.raises(UserError, match=r"takes maps of \[1, 4, 4, 4, 4\] channels, and ResnetTr"):
        game_of("arch.projector.multiples=[2,2,2,2]")
    cfg = composed(*OF_GAME["cut"])
    cfg.arch.generator = composed(*OF_GAME["pix2pix"]).arch.generator
    with pytest.raises(UserError, match="UNet has no encode that gives them: choose arch=cut"):
        build_game(cfg)
