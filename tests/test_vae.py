"""game=vae, beta_vae, capacity_vae, vaegan: terms by hand, who gets which gradient, weights, pictures."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import OF_GAME, Verb, composed, verb
from omegaconf import OmegaConf
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import Tensor, nn

from ganexp.augment import NoAugment
from ganexp.data.batches import Batch
from ganexp.errors import UserError
from ganexp.games.beta_vae import BetaVAE, CapacityVAE
from ganexp.games.game import Parts, StepProgress
from ganexp.games.likelihood import Bernoulli, Gaussian
from ganexp.games.posterior import Autoencoder, Posterior
from ganexp.games.request import Request
from ganexp.games.vae import VAE
from ganexp.games.vaegan import VAEGAN
from ganexp.nets.layers import GeneratorBase, count_weights
from ganexp.system.tensor_file import read
from ganexp.train import player_step
from ganexp.training.build import build, build_game
from ganexp.training.precision import Precision

FP32 = Precision("fp32", torch.device("cpu"))


def game_of(*overrides: str, game: str = "vae") -> Any:
    torch.manual_seed(0)
    return build_game(composed(*OF_GAME[game], *overrides))


def batch_of(count: int = 6) -> Batch:
    values = torch.rand(count, 1, 8, 8, generator=torch.Generator().manual_seed(1))
    return Batch(2 * values - 1, torch.zeros(count, dtype=torch.long))


@pytest.mark.parametrize(
    ("mean", "variance", "dimensions", "wanted"),
    [(0.0, 1.0, 20, 0.0), (1.0, 1.0, 20, 10.0), (0.0, 4.0, 1, 0.80685), (0.0, 4.0, 3, 2.42056)],
)
def test_the_divergence_is_a_sum_over_a_codes_dimensions(
    mean: float, variance: float, dimensions: int, wanted: float
) -> None:
    posterior = Posterior(torch.full((5, dimensions), mean), torch.full((5, dimensions), math.log(variance)))
    assert posterior.divergence().tolist() == pytest.approx([wanted] * 5, abs=1e-4)


def test_gradients_reach_mean_and_deviation_through_a_draw() -> None:
    """E z^2 = mu^2 + sigma^2: its derivatives are 2 mu, and sigma^2 by ln sigma^2."""
    mean = torch.full((200_000, 1), 1.5, requires_grad=True)
    log_variance = torch.full((200_000, 1), math.log(0.25), requires_grad=True)
    torch.manual_seed(0)
    Posterior(mean, log_variance).draw().square().mean().backward()
    assert mean.grad is not None and log_variance.grad is not None
    assert mean.grad.sum().item() == pytest.approx(3.0, rel=0.01)
    assert log_variance.grad.sum().item() == pytest.approx(0.25, rel=0.03)


def test_likelihoods_are_sums_with_their_constants() -> None:
    x, output = torch.tensor([[0.5, -1.0]]), torch.tensor([[0.0, -0.5]])
    normal = torch.distributions.Normal(output, 0.3)
    assert torch.allclose(Gaussian(sigma=0.3).log_probability(x, output), normal.log_prob(x).sum(1))
    by_hand = 0.75 * math.log(0.5) + 0.25 * math.log(0.5) + math.log(0.75)
    assert Bernoulli().log_probability(x, output).item() == pytest.approx(by_hand)
    certain = Bernoulli().log_probability(torch.tensor([[1.0, -1.0]]), torch.tensor([[-1.0, 1.0]]))
    assert torch.isfinite(certain).all(), "a saturated tanh"


def test_an_output_of_16_bits_is_not_taken_for_certain() -> None:
    """tanh(4) is 0.9993, which bf16 rounds to 1: a value of -1 is then unlikely, and not impossible."""
    x, logit = torch.tensor([[-1.0]]), torch.tensor([[4.0]])
    exact = Bernoulli().log_probability(x, logit.tanh())
    rounded = Bernoulli().log_probability(x, logit.bfloat16().tanh())
    assert rounded.item() == pytest.approx(math.log(2**-11))
    assert abs((rounded - exact).item()) < 0.5


@pytest.mark.parametrize("likelihood", [Gaussian(sigma=0.5), Bernoulli()])
def test_four_times_as_many_pixels_count_four_times(likelihood: Any) -> None:
    x, output = torch.rand(3, 1, 4, 4) * 1.8 - 0.9, torch.rand(3, 1, 4, 4) * 1.8 - 0.9
    larger = likelihood.log_probability(x.repeat(1, 1, 2, 2), output.repeat(1, 1, 2, 2))
    assert torch.allclose(larger, 4 * likelihood.log_probability(x, output))


class Linear(GeneratorBase):
    """G(z) = w z + b in one dimension of code."""

    latent, classes = 1, 0

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight)

    def forward(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        return z * self.weight


class Exact(nn.Module):
    """The posterior of a linear Gaussian model, with its mean shifted and its variance multiplied."""

    def __init__(self, weight: Tensor, sigma: float, shift: float, factor: float) -> None:
        super().__init__()
        self.precision = 1 + float(weight.square().sum()) / sigma**2
        self.direction = nn.Parameter(weight / sigma**2 / self.precision)
        self.shift, self.factor = shift, factor

    def forward(self, x: Tensor) -> Tensor:
        mean = (x @ self.direction)[:, None] + self.shift
        return torch.cat([mean, torch.full_like(mean, math.log(self.factor / self.precision))], 1)


def linear_game(weight: Tensor, sigma: float, shift: float, factor: float) -> VAE:
    nets = {"encoder": Exact(weight, sigma, shift, factor), "generator": Linear(weight)}
    return VAE(parts=Parts(nets, None, {}, NoAugment()), likelihood=Gaussian(sigma=sigma))


def test_the_elbo_is_log_p_with_the_exact_posterior_and_below_it_with_any_other() -> None:
    """x = w z + noise has the density N(0, w w^T + sigma^2 I); the gap is the divergence of the posteriors."""
    torch.manual_seed(0)
    weight, sigma = torch.tensor([0.8, -0.5, 0.3]), 0.4
    x = torch.randn(200_000, 1) * weight + sigma * torch.randn(200_000, 3)
    covariance = weight[:, None] * weight + sigma**2 * torch.eye(3)
    wanted = torch.distributions.MultivariateNormal(torch.zeros(3), covariance).log_prob(x).mean().item()
    batch, found = Batch(x, torch.zeros(len(x), dtype=torch.long)), {}
    for shift, factor in ((0.0, 1.0), (0.3, 1.0), (0.0, 2.0)):
        turn = linear_game(weight, sigma, shift, factor).turn(batch)
        found[shift, factor] = turn.logs["elbo"].item()
        assert -sum(turn.losses.values()).item() == pytest.approx(found[shift, factor], rel=1e-5)  # type: ignore[union-attr]
    assert found[0.0, 1.0] == pytest.approx(wanted, abs=0.01)
    precision = 1 + float(weight.square().sum()) / sigma**2
    assert found[0.3, 1.0] == pytest.approx(wanted - 0.09 * precision / 2, abs=0.02)
    assert found[0.0, 2.0] == pytest.approx(wanted - (2 - 1 - math.log(2)) / 2, abs=0.02)


def test_bits_of_a_value_are_those_of_its_eight_bit_step() -> None:
    """A density of 1/2 over [-1, 1] tells nothing about one of 256 values."""
    elbo = torch.tensor(10 * math.log(0.5))
    assert Gaussian(sigma=1.0).logs(elbo, 10)["bits_per_value"].item() == pytest.approx(math.log2(255))


def beta_of(weight: float, values: int, sigma: float) -> float:
    """The beta of a program that minimises (mean squared error over ``values``) + ``weight`` KL."""
    return weight * values / (2 * sigma**2)


def test_pytorch_vaes_weight_as_beta() -> None:
    """Its mean squared error + 0.00025 KL, for 3 x 64 x 64 values and a deviation of 1, is beta = 1.536."""
    assert beta_of(0.00025, 3 * 64 * 64, 1.0) == pytest.approx(1.536)
    posterior = Posterior(torch.randn(4, 5, requires_grad=True), torch.zeros(4, 5))
    x, output = torch.randn(4, 12288), torch.randn(4, 12288)
    theirs = (x - output).square().mean() + 0.00025 * posterior.divergence().mean()
    likelihood = Gaussian(sigma=0.7)
    beta = beta_of(0.00025, 12288, 0.7)
    ours = beta * posterior.divergence().mean() - likelihood.log_probability(x, output).mean()
    constant = 12288 * (math.log(0.7) + 0.5 * math.log(2 * math.pi))
    assert ((ours - constant) / theirs).item() == pytest.approx(12288 / (2 * 0.7**2), rel=1e-4)


def test_beta_weighs_the_divergence_alone() -> None:
    turns = {}
    for beta in (1, 4):
        game = game_of(f"game.beta={beta}", game="beta_vae")
        torch.manual_seed(3)
        turns[beta] = game.turn(batch_of())
    one, four = turns[1], turns[4]
    assert torch.equal(one.losses["reconstruction"], four.losses["reconstruction"])
    assert torch.allclose(4 * one.losses["kl"], four.losses["kl"])
    assert torch.equal(one.logs["divergence"], four.logs["divergence"])
    assert torch.equal(one.logs["elbo"], four.logs["elbo"]), "the ELBO knows no beta"
    assert isinstance(game, BetaVAE) and "beta 4 " in game.about()[-1] and "8 / D" in game.about()[-1]


def test_the_divergence_is_drawn_to_a_target_that_rises() -> None:
    game = game_of("game.capacity=8", "game.rise=0.5", "game.gamma=10", game="capacity_vae")
    assert isinstance(game, CapacityVAE)
    targets = []
    for done in (0.0, 0.25, 0.5, 0.9):
        game.begin_step(StepProgress(0, 0, done))
        targets.append(game.target.item())
    assert targets == [0.0, 4.0, 8.0, 8.0]
    for divergence, loss, slope in ((3.0, 50.0, -10.0), (10.0, 20.0, 10.0)):
        values = torch.full((4,), divergence, requires_grad=True)
        found = game.divergence_loss(values)
        found.backward()
        assert found.item() == pytest.approx(loss)
        assert values.grad is not None and values.grad.sum().item() == pytest.approx(slope)


def gradients(loss: Tensor, net: nn.Module) -> Tensor:
    found = torch.autograd.grad(loss, list(net.parameters()), retain_graph=True, allow_unused=True)
    pairs = zip(found, net.parameters(), strict=True)
    return torch.cat([(torch.zeros_like(p) if g is None else g).flatten() for g, p in pairs])


def taken(game: Any, name: str, batch: Batch) -> dict[str, Tensor | None]:
    """The gradients that one move of a player leaves on each network."""
    optimisers = {n: torch.optim.SGD(p.net.parameters(), 0.0) for n, p in game.players.items()}
    game.zero_grad(set_to_none=True)
    torch.manual_seed(5)
    player_step(game, name, optimisers, batch, FP32)
    nets = {"e": game.generator.encoder, "g": game.generator.decoder, "d": game.discriminator}
    found: dict[str, Tensor | None] = {}
    for key, net in nets.items():
        parts = [p.grad.flatten() for p in net.parameters() if p.grad is not None]
        found[key] = torch.cat(parts) if parts else None
    return found


def test_each_network_of_vaegan_gets_its_own_terms() -> None:
    """Algorithm 1 of Larsen et al., with the terms written out by hand from the same random numbers."""
    game, batch, x = (
        game_of("game.gamma=0.3", "game.feature_sigma=0.5", game="vaegan"),
        batch_of(),
        batch_of().x,
    )
    assert isinstance(game, VAEGAN)
    encoder, decoder, critic = game.generator.encoder, game.generator.decoder, game.discriminator
    found = {name: taken(game, name, batch) for name in game.players}
    for name, left in found.items():
        assert [key for key, value in left.items() if value is not None] == [name]
    for net in (encoder, decoder, critic):
        net.requires_grad_(True)
    softplus = nn.functional.softplus

    def feature_loss(made: Tensor) -> Tensor:
        return 2 * (critic.features(made) - critic.features(x)).square().flatten(1).sum(1).mean()

    torch.manual_seed(5)
    prior = torch.randn(6, 3)
    code = game.generator.posterior(x).draw()
    new, rebuilt = decoder(prior), decoder(code)
    judged = torch.cat([critic(new), critic(rebuilt)])
    of_critic = softplus(-critic(x)).mean() + softplus(judged).mean()
    of_decoder = softplus(-judged).mean() + 0.3 * feature_loss(rebuilt)
    torch.manual_seed(5)
    posterior = game.generator.posterior(x)
    of_encoder = posterior.divergence().mean() + feature_loss(decoder(posterior.draw()))
    for name, loss, net in (("d", of_critic, critic), ("g", of_decoder, decoder), ("e", of_encoder, encoder)):
        ours = found[name][name]
        wanted = gradients(loss, net)
        assert ours is not None and ours.shape == wanted.shape
        assert torch.allclose(ours, wanted, atol=1e-4)


def test_the_encoder_moves_with_the_generator() -> None:
    game = game_of("loss=wgan_gp", game="vaegan")
    moving = [game.begin_step(StepProgress(step, 0, 0.0)).players for step in range(5)]
    assert moving == [("d",)] * 4 + [("d", "g", "e")]


def test_the_weights_of_known_programs() -> None:
    """pytorch/examples' VAE for 1 x 28 x 28, and PyTorch-VAE's VanillaVAE for 3 x 64 x 64."""
    faces = ["data=celeba", "data.resolution=64"]
    for arch, data, wanted in (("vae_mlp", ["data=mnist"], 652_824), ("vanilla_vae", faces, 3_937_635)):
        cfg = composed("game=vae", "loss=none", *data, "data.root=.", f"arch={arch}")
        with torch.device("meta"):
            assert sum(count_weights(build(node)) for node in cfg.arch.values()) == wanted


@pytest.mark.parametrize("side", [16, 28, 32, 64, 128])
def test_images_of_every_size_go_to_codes_and_back(side: int) -> None:
    cfg = composed("game=vae", "loss=none", "arch=vae", f"data.resolution={side}")
    with torch.device("meta"):
        autoencoder = Autoencoder(build(cfg.arch.encoder), build(cfg.arch.generator))
        posterior = autoencoder.posterior(torch.empty(2, 1, side, side))
        assert posterior.mean.shape == posterior.log_variance.shape == (2, 128)
        assert autoencoder(posterior.mean).shape == (2, 1, side, side)


@pytest.mark.parametrize(
    ("game", "overrides", "told"),
    [
        ("vae", ["loss=gan"], "no discriminator; set loss=none and penalties=none"),
        ("vae", ["penalties=r1"], "no discriminator; set loss=none and penalties=none"),
        ("beta_vae", ["loss=hinge"], "no discriminator; set loss=none and penalties=none"),
        ("vae", ["arch.generator.classes=10"], "arch.generator.classes=10: this game has no labels; game=cgan"),
        ("vae", ["arch.encoder.latent=4"], r"arch.encoder.latent=4: the codes have arch.generator.latent=3"),
        ("vaegan", ["loss=none"], "loss=none: this game is adversarial"),
        ("vaegan", ["arch.generator.classes=10"], "this game has no labels"),
    ],
)
def test_what_does_not_go_together(game: str, overrides: list[str], told: str) -> None:
    with pytest.raises(UserError, match=told):
        game_of(*overrides, game=game)


def test_other_likelihoods_and_requests_are_refused() -> None:
    cfg = composed(*OF_GAME["vae"])
    OmegaConf.update(cfg, "game.likelihood", {"_target_": "ganexp.losses.Hinge"}, merge=False)
    with pytest.raises(UserError, match=r"game\.likelihood: it does not build a Likelihood"):
        build_game(cfg)
    rng = torch.Generator()
    for request, told in ((Request(2, torch.tensor([1, 2])), "label"), (Request(2, codes={0: rng}), "code")):  # type: ignore[dict-item]
        with pytest.raises(UserError, match=f"{told}: this run"):
            game_of().inputs(request, rng)


def test_a_runs_pictures_are_of_the_averaged_networks(
    train: Verb, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both are averaged, and in the checkpoint once; samples are drawn from the prior."""
    folder = train(*OF_GAME["vae"], "max_steps=3", "likelihood=bernoulli")
    content = read(folder / "checkpoints/last.pt")
    names = {name.split(".")[0] for name in content["ema"]}
    assert names == {"encoder", "decoder"}
    assert content["game"].keys() == {f"generator.{name}" for name in content["ema"]}
    grid, pairs = (
        Image.open(folder / "samples" / f"{name}epoch_0001.png") for name in ("", "reconstructions_")
    )
    assert grid.size == pairs.size, "64 images each"
    board = EventAccumulator(str(folder))
    board.Reload()
    assert set(board.Tags()["images"]) == {"samples", "reconstructions"}
    assert "reconstructions/psnr" in board.Tags()["scalars"]
    assert "decoder: Bernoulli" in (folder / "train.log").read_text()
    verb(monkeypatch, tmp_path, "sample", f"run={folder}", "n=4", "out=grid.png")
    assert (tmp_path / "grid.png").is_file()


def test_a_reconstruction_is_the_decoders_output_at_the_mean() -> None:
    game, x = game_of(), batch_of().x
    net = game.views(game.generator)["reconstructions"].net.eval()
    mean = game.generator.posterior(x).mean
    assert torch.equal(net(x), game.generator.decoder(mean)) and torch.equal(net(x), net(x))


def test_points_have_no_picture_of_reconstructions(train: Verb) -> None:
    folder = train("game=vae", "loss=none", "arch=vae_mlp", "data=ring", "max_steps=2", "evaluate.every=null")
    assert not list(folder.glob("samples/reconstructions*")) and list(folder.glob("samples/epoch_*.png"))


def test_a_gan_begins_with_a_vaes_decoder(train: Verb) -> None:
    first = train(*OF_GAME["vae"], "max_steps=2", name="first")
    second = train(
        *OF_GAME["vaegan"][:3],
        *[
            "game=vaegan",
            "arch=vaegan_mlp",
            f"start_from={first}",
            "max_steps=1",
            "optim=sgd",
            "optim.lr=1e-30",
        ],
        name="second",
    )
    before, after = (read(run / "checkpoints/last.pt") for run in (first, second))
    assert all(torch.equal(after["game"][f"generator.{name}"], value) for name, value in before["ema"].items())
