"""Labels and codes: how networks take them, what ACGAN and InfoGAN minimise, and what ignores them."""

import math
from dataclasses import replace
from typing import Any, cast

import numpy as np
import pytest
import torch
from conftest import composed
from torch import Tensor, nn

from ganexp.data.batches import Batch
from ganexp.errors import UserError
from ganexp.games.acgan import ACGAN, classification_loss
from ganexp.games.game import Game
from ganexp.games.influence import ignored_conditions, influences
from ganexp.games.infogan import InfoGAN
from ganexp.games.request import Request
from ganexp.metrics.codes import best_matching, slant_and_width
from ganexp.nets.conditional_norm import ConditionalNorm, norm_layer
from ganexp.nets.heads import LinearHead, MapHead, ProjectionHead
from ganexp.nets.layers import FLAT_NORMS, IMAGE_NORMS
from ganexp.train import player_step
from ganexp.training.build import build, build_game
from ganexp.training.precision import Precision

SMALL = ["arch=mlp", "data.resolution=8", "arch.generator.widths=[12]", "arch.discriminator.widths=[12]"]
SMALL_MAPS = ["arch=dcgan", "data.resolution=16", "arch.generator.width=4", "arch.discriminator.width=4"]
CPU = torch.device("cpu")
FP32 = Precision("fp32", CPU)


def game_of(*overrides: str, small: list[str] = SMALL) -> Game:
    cfg = composed(*small, *overrides)
    torch.manual_seed(0)
    return build_game(cfg)


def batch(resolution: int = 8) -> Batch:
    return Batch(torch.rand(6, 1, resolution, resolution) * 2 - 1, torch.arange(6))


def gradient_norm(loss: Tensor, net: nn.Module) -> float:
    found = torch.autograd.grad(loss, list(net.parameters()), allow_unused=True, retain_graph=True)
    return sum(float(gradient.abs().sum()) for gradient in found if gradient is not None)


@pytest.mark.parametrize("small", [SMALL, SMALL_MAPS])
@pytest.mark.parametrize("generator", ["joined", "norm"])
@pytest.mark.parametrize("critic", ["joined", "projection"])
def test_every_condition_matters_in_every_image_architecture(
    critic: str, generator: str, small: list[str]
) -> None:
    game = game_of(
        "game=cgan",
        f"arch.discriminator.condition={critic}",
        f"arch.generator.condition={generator}",
        small=small,
    )
    resolution = 16 if small is SMALL_MAPS else 8
    step = {name: torch.optim.Adam(player.net.parameters(), 1e-2) for name, player in game.players.items()}
    for _ in range(2):  # a conditional norm starts as the plain norm
        for name in game.players:
            player_step(game, name, step, batch(resolution), FP32)
    game.eval()
    z, x = torch.randn(2, 100), batch(resolution).x[:2]
    zeros, ones = torch.zeros(2, dtype=torch.int64), torch.ones(2, dtype=torch.int64)
    assert not torch.equal(game.generator(z, zeros), game.generator(z, ones))
    critic_net = game.parts.nets["discriminator"]
    assert not torch.equal(critic_net(x, zeros), critic_net(x, ones))


@pytest.mark.parametrize("features", [torch.randn(5, 7), torch.randn(5, 7, 4, 4)])
def test_a_projection_adds_the_product_of_embedding_and_features(features: Tensor) -> None:
    logit = LinearHead(7) if features.dim() == 2 else MapHead(7, 4)
    head = ProjectionHead(logit, 7, 3)
    a, b = torch.tensor([0, 1, 2, 0, 1]), torch.tensor([1, 2, 2, 2, 0])
    pooled = features if features.dim() == 2 else features.sum((2, 3))
    v = head.embedding.weight.T
    torch.testing.assert_close(head(features, a) - head(features, b), ((v[a] - v[b]) * pooled).sum(1))
    order = torch.tensor([2, 0, 1])  # the new number of each class
    moved = ProjectionHead(logit, 7, 3)
    moved.embedding.weight.data[:, order] = head.embedding.weight.data
    torch.testing.assert_close(moved(features, order[a]), head(features, a))
    nn.init.zeros_(head.embedding.weight)
    assert torch.equal(head(features, a), logit(features))


@pytest.mark.parametrize("name", ["batch", "layer", "group", "instance"])
def test_a_conditional_norm_is_the_norm_with_a_gain_and_a_bias_for_each_class(name: str) -> None:
    x, y = torch.randn(4, 3, 5, 5), torch.tensor([0, 1, 1, 2])
    norm = cast(ConditionalNorm, norm_layer(IMAGE_NORMS, name, 3, 3))
    plain = IMAGE_NORMS[name](3)
    torch.testing.assert_close(norm(x, y), plain(x))
    norm.gain.weight.data = torch.randn(3, 3)
    norm.bias.weight.data = torch.randn(3, 3)
    gain, bias = norm.gain.weight.T[y], norm.bias.weight.T[y]
    torch.testing.assert_close(norm(x, y), (1 + gain)[:, :, None, None] * plain(x) + bias[:, :, None, None])
    with pytest.raises(UserError, match="condition=norm needs a norm"):
        norm_layer(FLAT_NORMS, "none", 3, 3)


def test_the_loss_of_a_classifier_is_of_logits() -> None:
    labels = torch.tensor([3, 7])
    assert classification_loss(torch.zeros(2, 10), labels).item() == pytest.approx(math.log(10))
    sure = 20.0 * nn.functional.one_hot(labels, 10).float()
    assert classification_loss(sure, labels).item() < 1e-6, "a softmax before it would leave 1.461"
    attributes = torch.tensor([[1, 0], [0, 1]])
    assert classification_loss(torch.zeros(2, 2), attributes).item() == pytest.approx(math.log(2))
    assert classification_loss(40.0 * attributes - 20, attributes).item() < 1e-6


def test_acgan_classifies_real_and_fake_samples_in_the_discriminators_turn_only_fakes_in_the_generators() -> (
    None
):
    game = cast(ACGAN, game_of("game=acgan"))
    turn = game.discriminator_turn(batch())
    assert set(turn.losses) == {"adversarial", "class_real", "class_fake"}
    assert all(loss.item() == pytest.approx(math.log(10), abs=0.6) for loss in list(turn.losses.values())[1:])
    assert gradient_norm(turn.losses["class_real"], game.discriminator) > 0
    assert gradient_norm(turn.losses["class_fake"], game.discriminator) > 0
    assert gradient_norm(sum(turn.losses.values(), torch.zeros(())), game.generator) == 0
    turn = game.generator_turn(batch())
    assert set(turn.losses) == {"adversarial", "class"}
    label_weights = game.generator.hidden[0].weight[:, 100:]  # type: ignore[index, union-attr]
    (gradient,) = torch.autograd.grad(turn.losses["class"], game.generator.hidden[0].weight)  # type: ignore[index, union-attr]
    assert label_weights.shape[1] == 10 and gradient[:, 100:].abs().sum() > 0


def test_acgans_loss_of_real_samples_does_not_depend_on_the_fakes() -> None:
    losses = []
    for seed in (1, 2):
        game = cast(ACGAN, game_of("game=acgan"))
        x = batch().x
        torch.manual_seed(seed)
        losses.append(game.discriminator_turn(Batch(torch.zeros_like(x), torch.arange(6))).losses)
    assert losses[0]["class_real"] == losses[1]["class_real"]
    assert losses[0]["class_fake"] != losses[1]["class_fake"]


def test_acgans_weights_scale_each_players_classification() -> None:
    plain, scaled = (
        cast(ACGAN, game_of("game=acgan", f"game.critic_weight={d}", f"game.generator_weight={g}"))
        for d, g in ((1, 1), (0.5, 0.1))
    )
    x, found = batch(), []
    for game in (plain, scaled):
        torch.manual_seed(5)
        found.append((game.discriminator_turn(x).losses, game.generator_turn(x).losses))
    (d, g), (d_scaled, g_scaled) = found
    assert d_scaled["class_real"].item() == pytest.approx(0.5 * d["class_real"].item())
    assert d_scaled["class_fake"].item() == pytest.approx(0.5 * d["class_fake"].item())
    assert g_scaled["class"].item() == pytest.approx(0.1 * g["class"].item())


def infogan(*overrides: str) -> InfoGAN:
    return cast(InfoGAN, game_of("game=infogan", *overrides))


def test_infogans_bound_is_between_0_for_a_blind_and_the_entropy_for_a_perfect_posterior() -> None:
    game = infogan("game.categories=[10,3]")
    torch.manual_seed(0)
    z = game.prior(64)
    codes = z[:, game.prior.noise_size :]
    blind = game.information(torch.zeros(64, 15), z)
    assert blind.logs["information"].item() == pytest.approx(0, abs=1e-5)
    assert blind.losses["categorical"].item() == pytest.approx(math.log(30), abs=1e-5)
    perfect = torch.cat([40 * codes[:, :13], codes[:, 13:]], 1)
    found = game.information(perfect, z)
    assert found.logs["information"].item() == pytest.approx(math.log(30), abs=1e-5)
    assert found.losses["categorical"].item() == pytest.approx(0, abs=1e-5)
    assert found.losses["continuous"].item() == 0
    shifted = game.information(torch.cat([perfect[:, :13], codes[:, 13:] + 2], 1), z)
    assert shifted.losses["continuous"].item() == pytest.approx(2 * 0.5 * 4), "half the square, of both codes"


def test_infogans_information_moves_the_posterior_in_one_turn_and_the_generator_in_the_other() -> None:
    game = infogan()
    turn = game.discriminator_turn(batch())
    information = turn.losses["categorical"] + turn.losses["continuous"]
    posterior = cast(Any, game.discriminator.head).outputs
    assert gradient_norm(information, posterior) > 0 and gradient_norm(information, game.generator) == 0
    turn = game.generator_turn(batch())
    assert gradient_norm(turn.losses["categorical"], game.generator) > 0
    assert gradient_norm(turn.losses["continuous"], game.generator) > 0
    optim = build(composed(*SMALL).optim)
    optimisers = {name: optim(player.net.parameters(), name) for name, player in game.players.items()}
    before = [weight.clone() for weight in posterior.parameters()]
    player_step(game, "g", optimisers, batch(), FP32)
    assert all(map(torch.equal, before, posterior.parameters())), "the generator's step leaves Q as it is"
    player_step(game, "d", optimisers, batch(), FP32)
    assert not all(map(torch.equal, before, posterior.parameters()))


def test_codes_that_are_asked_for_are_in_the_latents() -> None:
    game = infogan()
    rng = torch.Generator().manual_seed(0)
    asked = {0: torch.tensor([3, 4]), 2: torch.tensor([0.5, -2.0])}
    inputs = game.inputs(Request(2, codes=asked, shared=2), rng)
    (z,) = inputs.args
    assert inputs.categories is not None and inputs.continuous is not None
    assert inputs.categories.tolist() == [[3], [4]] and inputs.continuous[:, 1].tolist() == [0.5, -2.0]
    assert torch.equal(z[0, :88], z[1, :88]) and z[0, 98] == z[1, 98] == inputs.continuous[0, 0], "shared"
    assert z[:, 88:98].tolist() == nn.functional.one_hot(asked[0], 10).tolist()
    for wrong, told in (({3: torch.zeros(2)}, "codes are 0 to 2"), ({0: torch.tensor([1, 10])}, "code.0=10")):
        with pytest.raises(UserError, match=told):
            game.inputs(Request(2, codes=wrong), rng)
    with pytest.raises(UserError, match="game=infogan"):
        game_of().inputs(Request(2, codes=asked), rng)


def test_an_overview_of_codes_has_a_row_for_each_category() -> None:
    game = infogan()
    request, columns = game.grid(Request(game.preview_count(64)))
    assert request.count == 70 and columns == 7
    assert request.codes[0].tolist() == [row for row in range(10) for _ in range(7)]


def test_latents_too_small_and_heads_without_outputs_are_refused() -> None:
    for overrides, told in (
        (["arch.generator.latent=11"], "arch.generator.latent=11: the codes alone need 12"),
        (["arch.discriminator.outputs=3"], "arch.discriminator.outputs=3: the codes need 12"),
        (["game.categories=[]", "game.continuous=0"], "no codes"),
    ):
        with pytest.raises(UserError, match=told):
            infogan(*overrides)
    with pytest.raises(UserError, match="game=acgan needs a logit for each of 10 classes"):
        game_of("game=acgan", "arch.discriminator.outputs=0")
    with pytest.raises(UserError, match=r"arch\.discriminator takes no labels"):
        game_of("game=cgan", "arch.discriminator.condition=none")


class LastPart(nn.Module):
    """Its last argument, and ``noise`` times the latents."""

    def __init__(self, noise: float) -> None:
        super().__init__()
        self.noise = noise

    def forward(self, z: Tensor, *labels: Tensor) -> Tensor:
        last = (labels or (z,))[-1].float().reshape(len(z), -1)[:, -1:]
        return last + self.noise * z[:, :1]


def conditional_game(label_kind: str) -> Game:
    game = game_of("game=cgan")
    game.parts = replace(game.parts, label_kind=cast(Any, label_kind))
    return game


@pytest.mark.parametrize(("noise", "influence"), [(0.0, 1.0), (1e4, 0.0)])
@pytest.mark.parametrize("condition", ["label", "label_9", "code_2"])
def test_influence_is_1_of_a_condition_that_decides_all_and_0_of_one_that_is_ignored(
    condition: str, noise: float, influence: float
) -> None:
    game = (
        infogan()
        if condition == "code_2"
        else conditional_game("classes" if condition == "label" else "attributes")
    )
    pairs = game.condition_pairs(2000, torch.Generator().manual_seed(0))
    found = influences(LastPart(noise), {condition: pairs[condition]}, 100, CPU)
    assert found[f"influence/{condition}"] == pytest.approx(influence, abs=0.05)
    assert (ignored_conditions(found) is not None) == (influence == 0.0)


@pytest.mark.parametrize(("game", "names"), [("cgan", {"label"}), ("infogan", {"code_0", "code_1", "code_2"})])
def test_pairs_differ_in_one_condition_only(game: str, names: set[str]) -> None:
    played = game_of(f"game={game}")
    pairs = played.condition_pairs(20, torch.Generator().manual_seed(0))
    assert set(pairs) == names
    for name, inputs in pairs.items():
        first, second = (
            torch.cat([part.float().view(40, -1) for part in inputs.args], 1).view(20, 2, -1).unbind(1)
        )
        changed = (first != second).any(0).nonzero().flatten().tolist()
        allowed = {"label": range(100, 101), "code_0": range(88, 98), "code_1": [98], "code_2": [99]}[name]
        assert set(changed) <= set(allowed)
        assert bool((first != second).any()), "independent values"


def test_categories_are_matched_with_classes_one_to_one() -> None:
    classes = np.repeat(np.arange(4), 5)
    accuracy, matched = best_matching((classes + 1) % 4, classes)
    assert accuracy == 1.0 and matched == {1: 0, 2: 1, 3: 2, 0: 3}
    assert best_matching(np.zeros(20, np.int64), classes)[0] == 0.25, (
        "one category cannot stand for all classes"
    )


def test_slant_and_width_are_measured_from_moments() -> None:
    rows = np.arange(20)
    images = np.zeros((3, 1, 20, 20), np.uint8)
    images[0, 0, rows, 10] = 255  # upright
    images[1, 0, rows, rows] = 255  # a diagonal
    images[2, 0, :, 5:16] = 255  # a block
    slant, width = slant_and_width(images)
    assert slant == pytest.approx([0, 1, 0], abs=1e-6)
    assert width == pytest.approx([0, math.sqrt(399 / 12), math.sqrt(120 / 12)], abs=1e-3)


def test_pairs_of_attributes_differ_in_one_of_them() -> None:
    cfg = composed(*SMALL, "game=cgan")
    game = build_game(cfg)
    game.parts = replace(game.parts, label_kind="attributes")
    pairs = game.condition_pairs(20, torch.Generator().manual_seed(0))
    assert list(pairs) == [f"label_{number}" for number in range(10)]
    for number, inputs in enumerate(pairs.values()):
        z, labels = (part.view(20, 2, -1) for part in inputs.args)
        assert torch.equal(z[:, 0], z[:, 1])
        assert (labels[:, 1] != labels[:, 0]).any(0).tolist() == [k == number for k in range(10)]


@pytest.mark.parametrize("game", ["cgan", "acgan"])
def test_data_of_one_class_have_no_labels_to_learn(game: str) -> None:
    with pytest.raises(UserError, match="needs labels, and this data has one class only"):
        build_game(composed("data=ring", "arch=mlp", f"game={game}", "data.modes=1"))
