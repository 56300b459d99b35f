"""game=fanogan, bigan, ganomaly, and the scores of these and of autoencoders."""

from typing import Any

import pytest
import torch
from conftest import OF_GAME, TINY, Verb, composed
from torch import Tensor, nn

from ganexp.config.combinations import check_combinations
from ganexp.config.start import with_nets_from_run
from ganexp.data.batches import Batch
from ganexp.errors import UserError
from ganexp.games.anomaly import AnomalyScorer, absolute_sum, heat_map, squared_error
from ganexp.games.posterior import PointAutoencoder, Reconstructor
from ganexp.games.request import Request
from ganexp.nets import bigan, encoder, ganomaly
from ganexp.nets.layers import count_weights
from ganexp.system.tensor_file import read
from ganexp.train import player_step
from ganexp.training.build import build, build_game
from ganexp.training.precision import Precision

FP32 = Precision("fp32", torch.device("cpu"))
SCORERS = ("fanogan", "bigan", "ganomaly", "vae", "vaegan")
ALONE = {"fanogan": ["loss=none"], "vae": ["loss=none"]}


def game_of(game: str, *overrides: str) -> Any:
    torch.manual_seed(0)
    return build_game(composed(*OF_GAME[game], *ALONE.get(game, []), *overrides))


def batch_of(count: int = 6, side: int = 8) -> Batch:
    values = torch.rand(count, 1, side, side, generator=torch.Generator().manual_seed(1))
    return Batch(2 * values - 1, torch.zeros(count, dtype=torch.long))


def test_parts_of_a_score_by_hand() -> None:
    x, other = torch.zeros(2, 2, 1, 2), torch.zeros(2, 2, 1, 2)
    other[1] = torch.tensor([[[1.0, -2.0]], [[3.0, 0.0]]])
    assert squared_error(x, other).tolist() == [0, 3.5]
    assert absolute_sum(x, other).tolist() == [0, 6]
    assert heat_map(x, other).tolist() == [[[0, 0]], [[2, 1]]]


@pytest.mark.parametrize("game", SCORERS)
def test_a_score_is_of_one_image(game: str) -> None:
    scorer = game_of(game).eval()
    assert isinstance(scorer, AnomalyScorer)
    x = batch_of().x
    with torch.no_grad():
        whole = scorer.anomaly(x)
        alone = [scorer.anomaly(x[row : row + 1]) for row in range(len(x))]
    assert whole.score.shape == (6,) and whole.heat_map.shape == (6, 8, 8)
    assert whole.reconstruction.shape == x.shape and (whole.score > 0).all()
    torch.testing.assert_close(torch.cat([one.score for one in alone]), whole.score, rtol=1e-5, atol=1e-7)
    torch.testing.assert_close(whole.heat_map, heat_map(x, whole.reconstruction))


class Keeps(nn.Module):
    """An exact encoder or decoder: each value is its own code."""

    latent, classes = 64, 0

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.shape = shape

    def forward(self, x: Tensor) -> Tensor:
        return x.reshape(-1, *self.shape)


@pytest.mark.parametrize("game", SCORERS)
def test_an_exact_reconstruction_scores_0_and_noise_more(game: str) -> None:
    scorer, x = game_of(game).eval(), batch_of().x
    code, image = Keeps((64,)), Keeps((1, 8, 8))
    kind = PointAutoencoder
    if game == "ganomaly":
        net = scorer.generator
        net.encoder, net.decoder, net.encoder_again = code, image, code
    elif game == "fanogan":
        scorer.generator = Reconstructor(kind(code, image))  # type: ignore[arg-type]
    else:
        scorer.generator = kind(code, image)  # type: ignore[arg-type]
    if game == "bigan":
        scorer.discriminator = bigan.FlatDiscriminator([1, 8, 8], 64, [16])
    with torch.no_grad():
        exact = scorer.anomaly(x)
        assert not exact.score.any() and not exact.heat_map.any()
        noise = 0.3 * torch.randn(x.shape, generator=torch.Generator().manual_seed(2))
        image.register_forward_hook(lambda net, given, made: made + noise)
        assert (scorer.anomaly(x).score > 0).all()


def test_izi_f_reaches_the_encoder_through_both_terms() -> None:
    game, batch = game_of("fanogan", "game.kappa=0.5"), batch_of()
    turn = game.turn(batch)
    weights = list(game.generator.autoencoder.encoder.parameters())
    for term in ("reconstruction", "features"):
        found = torch.autograd.grad(turn.losses[term], weights, retain_graph=True)
        assert all(gradient.abs().max() > 0 for gradient in found), term
    whole = sum(turn.losses.values())
    assert torch.allclose(game.anomaly(batch.x).score.mean(), torch.as_tensor(whole)), "the score is the loss"
    twice = game_of("fanogan", "game.kappa=1").turn(batch).losses
    assert torch.allclose(twice["features"], 2 * turn.losses["features"])
    assert torch.equal(twice["reconstruction"], turn.losses["reconstruction"])


def test_the_encoders_step_leaves_the_other_networks_bit_for_bit() -> None:
    """With batch norm in both, whose statistics a forward pass in training mode would change."""
    norms = ["arch=fanogan_small", "data.resolution=16", "arch.generator.width=2", "arch.discriminator.width=2"]
    small = [*norms, "arch.encoder.width=2", "arch.generator.latent=3", "arch.discriminator.norm=batch"]
    torch.manual_seed(0)
    game: Any = build_game(composed("game=fanogan", "loss=none", "start_from=null", *small))
    game.train()
    frozen = {name: game.parts.nets[name] for name in ("generator", "discriminator")}
    assert any("running_mean" in key for net in frozen.values() for key in net.state_dict())
    before = {n: {k: v.clone() for k, v in net.state_dict().items()} for n, net in frozen.items()}
    encoder_before = [weight.clone() for weight in game.parts.nets["encoder"].parameters()]
    optimisers = {"e": torch.optim.Adam(game.players["e"].net.parameters())}
    for _ in range(2):
        player_step(game, "e", optimisers, batch_of(side=16), FP32)
    for name, net in frozen.items():
        assert not net.training
        for key, value in net.state_dict().items():
            assert torch.equal(value, before[name][key]), f"{name}.{key}"
    weights = game.parts.nets["encoder"].parameters()
    assert not any(torch.equal(*pair) for pair in zip(encoder_before, weights, strict=True))


def test_an_encoder_for_another_run(train: Verb) -> None:
    """Networks of the other run, of other sizes than this run's preset, and the averaged weights."""
    first = train(*TINY, "max_steps=4", "ema.halflife=100", "arch.generator.latent=5", name="first")
    second = train(
        *["game=fanogan", "loss=none", "arch=fanogan_mlp", f"start_from={first}", "arch.encoder.widths=[9]"],
        *["recipe=none", "data.resolution=8", "evaluate.every=null", "max_steps=3"],
        name="second",
    )
    theirs, ours = (read(run / "checkpoints/last.pt") for run in (first, second))
    for key, value in theirs["ema"].items():
        assert torch.equal(ours["game"][f"generator.autoencoder.decoder.{key}"], value)
        assert torch.equal(ours["ema"][f"autoencoder.decoder.{key}"], value), "the average does not drift"
    prefix = "discriminator."
    for key in (key for key in theirs["game"] if key.startswith(prefix)):
        assert torch.equal(ours["game"][key], theirs["game"][key])
    assert ours["ema"]["autoencoder.encoder.layers.3.weight"].shape == (5, 9)


@pytest.mark.parametrize("overrides", [[], ["arch=fanogan_mlp"]])
def test_an_encoder_needs_a_run(overrides: list[str]) -> None:
    with pytest.raises(UserError, match="set start_from=<run>"):
        composed("game=fanogan", "loss=none", *overrides)


def test_players_of_bigan_want_opposites_and_move_only_themselves() -> None:
    game, batch = game_of("bigan"), batch_of()
    nets = {"d": game.discriminator, "g": game.generator.decoder, "e": game.generator.encoder}
    for name, player in game.players.items():
        assert player.net is nets[name]
    real = game.critic(batch)(game.real(batch))
    fooled = game.encoder_turn(batch).losses["adversarial"]
    assert torch.allclose(fooled, nn.functional.softplus(real).mean()), "-log(1 - D(x, E(x)))"
    pairs = game.real(batch)
    assert pairs.shape == (6, 64 + 3) and torch.equal(pairs[:, :64], batch.x.flatten(1))
    torch.testing.assert_close(pairs[:, 64:], game.generator.encoder(batch.x))
    samples, (z,) = game.fake(batch)
    assert torch.equal(samples[:, 64:], z)
    torch.testing.assert_close(samples[:, :64], game.generator(z).flatten(1))
    relative = game_of("bigan", "loss=rpgan")
    assert relative.encoder_turn(batch).losses["adversarial"].isfinite()


@pytest.mark.parametrize("matching", [True, False])
def test_egbads_score_by_hand(matching: bool) -> None:
    overrides = ["game.alpha=0.7", f"game.feature_matching={str(matching).lower()}"]
    game, x = game_of("bigan", *overrides).eval(), batch_of().x
    codes = game.generator.encoder(x)
    made = game.generator.decoder(codes)
    pair, rebuilt = torch.cat([x.flatten(1), codes], 1), torch.cat([made.flatten(1), codes], 1)
    judge = game.discriminator
    logs = -torch.log(torch.sigmoid(judge(pair)))
    part = (judge.features(pair) - judge.features(rebuilt)).abs().sum(1) if matching else logs
    wanted = 0.7 * (x - made).abs().sum((1, 2, 3)) + 0.3 * part
    torch.testing.assert_close(game.anomaly(x).score, wanted)


def test_ganomalys_terms_by_hand() -> None:
    weights = ["game.feature_weight=2", "game.image_weight=3", "game.code_weight=5"]
    game, batch = game_of("ganomaly", *weights, "arch.discriminator.norm=none"), batch_of()
    turn = game.generator_turn(batch)
    z, made, again = game.generator.rebuilt(batch.x)
    judge = game.discriminator.features
    assert turn.losses["features"].item() == pytest.approx(
        2 * (judge(batch.x) - judge(made)).square().mean().item(), rel=1e-4
    )
    assert turn.losses["reconstruction"].item() == pytest.approx(3 * (batch.x - made).abs().mean().item())
    assert turn.losses["codes"].item() == pytest.approx(5 * (z - again).square().mean().item(), rel=1e-4)
    assert torch.equal(game.generator(batch.x), made)
    torch.testing.assert_close(game.anomaly(batch.x).score, (z - again).square().mean(1))
    for term, parts in (("features", "encoder decoder"), ("codes", "encoder decoder encoder_again")):
        for part in parts.split():
            owner = list(getattr(game.generator, part).parameters())
            found = torch.autograd.grad(turn.losses[term], owner, retain_graph=True)
            assert any(gradient.abs().max() > 0 for gradient in found), f"{term} to {part}"


@pytest.mark.parametrize("reuse", ["true", "false"])
def test_reused_reconstructions_are_the_same(reuse: str) -> None:
    game, batch = game_of("ganomaly", f"game.reuse_fake={reuse}", "arch.discriminator.norm=none"), batch_of()
    game.discriminator_turn(batch)
    losses = game.generator_turn(batch).losses
    again = game_of("ganomaly", "arch.discriminator.norm=none").generator_turn(batch).losses
    assert {key: value.item() for key, value in losses.items()} == {k: v.item() for k, v in again.items()}


def test_ganomaly_has_the_sizes_of_its_program() -> None:
    cfg = composed("game=ganomaly", "arch=ganomaly", "data=cifar10", "data.root=.")
    with torch.device("meta"):
        nets = {name: build(node) for name, node in cfg.arch.items()}
    assert count_weights(nets["generator"]) == 3_206_528
    assert count_weights(nets["discriminator"]) == 663_296


def test_shapes_of_the_networks() -> None:
    x, flat = torch.zeros(2, 3, 32, 32), torch.zeros(2, 2)
    assert encoder.Encoder([3, 32, 32], 7, 4, 16, "batch")(x).shape == (2, 7)
    assert encoder.FlatEncoder([2], 5, [4])(flat).shape == (2, 5)
    judge = bigan.Discriminator([3, 32, 32], 7, 4, 16, 10, "batch", 0.2)
    pairs = torch.cat([x.flatten(1), torch.zeros(2, 7)], 1)
    assert judge(pairs).shape == (2,) and judge.features(pairs).shape == (2, 10)
    assert ganomaly.Encoder([3, 16, 16], 7, 4, "none")(x[:, :, :16, :16]).shape == (2, 7)
    assert ganomaly.Generator([1, 28, 28], 7, 4, "none")(torch.zeros(2, 1, 28, 28)).shape == (2, 1, 28, 28)
    with pytest.raises(UserError, match="powers of two"):
        ganomaly.Generator([1, 24, 24], 7, 4, "none")


def test_the_discriminator_sees_sample_and_code() -> None:
    torch.manual_seed(0)
    judge = bigan.Discriminator([1, 16, 16], 3, 4, 8, 6, "none", 0.0)
    pairs = torch.randn(4, 256 + 3, requires_grad=True)
    (gradient,) = torch.autograd.grad(judge(pairs).sum(), pairs)
    assert gradient[:, :256].abs().max() > 0 and gradient[:, 256:].abs().min() > 0


def test_what_a_reconstruction_cannot_be_asked_for() -> None:
    for name in ("fanogan", "ganomaly"):
        with pytest.raises(UserError, match="rebuilds images"):
            game_of(name).inputs(Request(2, label=torch.tensor([1, 2])), torch.Generator(), batch_of(2))


def test_features_that_compare_images_are_refused() -> None:
    cfg = composed("game=fanogan", "loss=none", "start_from=null", "arch=fanogan_mlp")
    stored = composed("arch=stylegan2_small", "arch.generator.latent=8")
    with pytest.raises(UserError, match="minibatch deviation"):
        check_combinations(with_nets_from_run(cfg, stored, []))
