"""The latent spaces of trained generators, and truncation."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from conftest import TINY, composed, tiny
from scipy import stats
from torch import Tensor

from ganexp.errors import UserError
from ganexp.games.game import Game
from ganexp.games.infogan import CodePrior
from ganexp.games.prior import LatentPrior, truncated_noise
from ganexp.games.request import Request
from ganexp.games.sampling import generate
from ganexp.latents.latent_space import LatentSpace, SpaceName
from ganexp.latents.space import space_of
from ganexp.latents.style_space import WSpace
from ganexp.penalties import as_styled
from ganexp.training.build import build_game

STYLED = [
    *["recipe=none", "arch=stylegan2_small", "data.resolution=16", "evaluate.every=null"],
    *["arch.generator.latent=8", "arch.generator.style=6", "arch.generator.base=32"],
    "arch.discriminator.base=32",
]
IMAGES = ["recipe=none", "data.resolution=16", "evaluate.every=null", "arch.generator.latent=8"]


def game_of(*overrides: str) -> Game:
    torch.manual_seed(0)
    return build_game(composed(*overrides))


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_z_is_what_sample_draws() -> None:
    game = game_of(*TINY)
    space = space_of(game, game.generator)
    points = space.draw(5, rng())
    inputs = game.inputs(Request(5), rng())
    latent = composed(*TINY).arch.generator.latent
    assert (space.name, space.size, space.noise_size) == ("z", latent, latent)
    assert torch.equal(points, inputs.args[0])
    made = generate(game.generator, inputs, 64, torch.device("cpu"))
    assert np.array_equal(space.samples(points), made)
    assert np.allclose(space.images(points).numpy(), made)
    assert space.radius == pytest.approx(math.sqrt(space.size)) and not space.mean().any()


def test_w_is_what_the_mapping_makes_of_z() -> None:
    game = game_of(*STYLED)
    net: Any = game.generator
    net.style_mean.normal_(generator=rng(1))
    space = space_of(game, game.generator)
    assert isinstance(space, WSpace) and (space.name, space.size, space.layers) == ("w", 6, 6)
    z = space_of(game, game.generator, "z").draw(5, rng())
    points = space.draw(5, rng())
    assert torch.equal(points, net.mapping(z))
    of_z = space_of(game, game.generator, "z").samples(z)
    assert np.array_equal(space.samples(points), of_z)
    per_layer = points[:, None].repeat(1, space.layers, 1)
    assert np.array_equal(space.samples(per_layer), of_z)
    per_layer[:, -1] = 0
    assert not np.allclose(space.samples(per_layer), of_z)
    assert torch.equal(space.mean(), net.style_mean)
    many = space.draw(4096, rng(7))
    assert torch.allclose(space.moments().deviation, many.std(0), rtol=0.1)


@pytest.mark.parametrize("which", ["z", "w"])
def test_images_are_differentiable(which: SpaceName) -> None:
    game = game_of(*STYLED)
    space = space_of(game, game.generator, which)
    points = space.draw(2, rng()).requires_grad_(True)
    (gradient,) = torch.autograd.grad(space.images(points).square().sum(), points)
    assert gradient.shape == points.shape and gradient.abs().sum() > 0
    assert not any(weight.requires_grad for weight in space.generator.parameters())
    assert not game.generator.training


def test_labels() -> None:
    game = game_of(*TINY, "game=cgan")
    space = space_of(game, game.generator)
    points = space.draw(3, rng())
    assert space.conditional and space.takes_labels
    seven, eight = (space.samples(points, torch.tensor([label])) for label in (7, 8))
    each = space.samples(points, torch.tensor([7, 7, 8]))
    assert np.array_equal(each[:2], seven[:2]) and np.array_equal(each[2], eight[2])
    assert not np.array_equal(seven, eight)
    with pytest.raises(ValueError, match="need labels"):
        space.images(points)
    with pytest.raises(UserError, match="label=10"):
        space.images(points, torch.tensor([10]))
    labels = space.random_labels(200, rng())
    assert labels is not None and labels.unique().tolist() == list(range(10))


def test_labels_are_in_w() -> None:
    game = game_of(*STYLED, "game=cgan")
    space = space_of(game, game.generator)
    seven, eight = (space.draw(3, rng(), torch.full((3,), label)) for label in (7, 8))
    assert not space.takes_labels and not torch.allclose(seven, eight)
    z = space_of(game, game.generator, "z")
    assert np.array_equal(space.samples(seven), z.samples(z.draw(3, rng()), torch.tensor([7])))


def test_codes_are_the_last_numbers_of_z() -> None:
    game = game_of(*TINY, "game=infogan", "arch.generator.latent=20")
    space = space_of(game, game.generator)
    categories, continuous = sum(game.prior.categories), game.prior.continuous  # type: ignore[union-attr]
    assert space.noise_size == 20 - categories - continuous
    points = space.draw(4, rng(), codes={0: torch.full((4,), 3)})
    assert points[:, space.noise_size + 3].tolist() == [1] * 4


@pytest.mark.parametrize("game", ["pix2pix", "cyclegan", "style"])
def test_generators_without_latents(game: str) -> None:
    built = game_of(*tiny(game))
    with pytest.raises(UserError, match="makes images from images and has no latents; ganexp translate"):
        space_of(built, built.generator)


@pytest.mark.parametrize("game", ["gan", "acgan", "pacgan", "vae", "vaegan"])
def test_every_game_of_noise(game: str) -> None:
    built = game_of(*tiny(game))
    space = space_of(built, built.generator)
    labels = torch.tensor([1]) if space.takes_labels else None
    assert space.samples(space.draw(3, rng()), labels).shape == (3, 1, 8, 8)


def test_w_is_refused_without_styles() -> None:
    game = game_of(*TINY)
    with pytest.raises(UserError, match="latents=w: this run's generator has no styles: set latents=z"):
        space_of(game, game.generator, "w")


@pytest.mark.parametrize(
    ("overrides", "spherical"),
    [
        ([*TINY, "game.noise=normal"], True),
        ([*TINY, "game.noise=uniform"], False),
        ([*IMAGES, "arch=progressive_small", "game.noise=uniform"], True),
    ],
)
def test_where_a_way_keeps_the_length(overrides: list[str], spherical: bool) -> None:
    game = game_of(*overrides)
    assert space_of(game, game.generator, "z").spherical == spherical


def test_moments_are_those_of_draws() -> None:
    for prior in (
        LatentPrior(3, "normal"),
        LatentPrior(3, "uniform"),
        CodePrior(8, "normal", (4,), 2),
        CodePrior(8, "uniform", (4,), 2),
    ):
        z, moments = prior(200_000, generator=rng()), prior.moments()
        assert torch.allclose(moments.mean, z.mean(0), atol=0.01)
        assert torch.allclose(moments.deviation, z.std(0), atol=0.01)


@pytest.mark.parametrize("threshold", [0.3, 1.0, 2.0])
def test_truncated_noise_has_the_truncated_distribution(threshold: float) -> None:
    prior = LatentPrior(4, "normal")
    z = prior(20_000, generator=rng())
    made = truncated_noise(prior, z, threshold)
    assert made.abs().max() <= threshold
    for column in made.T:
        expected = stats.truncnorm(-threshold, threshold)
        assert stats.kstest(column.numpy(), expected.cdf).pvalue > 1e-3
    in_order = made.gather(0, z.argsort(0))
    assert bool((in_order.diff(dim=0) >= 0).all()), "each number keeps its rank"


def test_the_ends_of_truncation() -> None:
    prior = LatentPrior(4, "normal")
    z = torch.cat([prior(100, generator=rng()), torch.tensor([[9.0, -9.0, 0.0, 6.0]])])
    assert not truncated_noise(prior, z, 0.0).any()
    assert torch.allclose(truncated_noise(prior, z, 30.0), z, rtol=1e-5)
    uniform = LatentPrior(4, "uniform")(100, generator=rng())
    assert torch.equal(truncated_noise(LatentPrior(4, "uniform"), uniform, 0.5), uniform / 2)
    assert torch.equal(truncated_noise(LatentPrior(4, "uniform"), uniform, 2.0), uniform)


def test_codes_are_not_truncated() -> None:
    prior = CodePrior(8, "normal", (4,), 2)
    z = prior(50, generator=rng())
    made = truncated_noise(prior, z, 0.1)
    assert torch.equal(made[:, 2:], z[:, 2:]) and made[:, :2].abs().max() <= 0.1


def spread(space: LatentSpace, labels: Tensor | None = None) -> float:
    return float(space.samples(space.draw(64, rng()), labels).std(0).mean())


def test_truncation_by_the_prior_or_by_styles() -> None:
    for overrides in ([*TINY], [*STYLED]):
        game = game_of(*overrides)
        for which in ("z", None):
            spreads = [spread(space_of(game, game.generator, which, psi)) for psi in (0.0, 0.5, 2.0)]
            assert spreads[0] < 1e-6 < spreads[1] < spreads[2]


def test_truncation_is_refused_where_z_is_normalised() -> None:
    game = game_of(*IMAGES, "arch=progressive_small")
    with pytest.raises(UserError, match=r"truncation=0.7: this run's generator divides z by its length"):
        space_of(game, game.generator, "z", 0.7)


def test_generators_with_styles_are_found_by_what_they_do() -> None:
    """Also from Python 3.12 on, where ``isinstance`` of a protocol does not find submodules."""
    assert as_styled(game_of(*STYLED).generator) is not None
    assert as_styled(game_of(*TINY).generator) is None
