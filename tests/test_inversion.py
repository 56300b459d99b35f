"""Inversion: the points of a generator's latent space whose images are nearest to given ones."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from conftest import TINY, tiny
from test_latents import STYLED, game_of, rng
from torch import Tensor, nn

from ganexp.errors import UserError
from ganexp.games.infogan import CodePrior
from ganexp.games.prior import LatentPrior, Prior
from ganexp.latents import encoder as encoders
from ganexp.latents import perceptual
from ganexp.latents.encoder import EncoderTraining, trained_encoder
from ganexp.latents.inversion import Inversion, Inverted
from ganexp.latents.latent_space import LatentSpace, ZSpace
from ganexp.latents.objective import Objective
from ganexp.latents.perceptual import Embedding
from ganexp.latents.point_prior import PointPrior
from ganexp.latents.space import space_of
from ganexp.latents.starts import best_starts
from ganexp.latents.style_space import WSpace
from ganexp.metrics.feature_networks import Classifier

CPU = torch.device("cpu")
PIXELS = Embedding(None, 0.0, "pixels", CPU)
SMALL = EncoderTraining(steps=150, batch_size=32, rate=5e-3, width=8)


class Linear(nn.Module):
    """Images [N, 1, 4, 4] = A z + b, of z [N, 6]; A's columns are well conditioned."""

    classes = 0

    def __init__(self) -> None:
        super().__init__()
        matrix = torch.linalg.qr(torch.randn(16, 6, generator=rng(1)))[0] * torch.linspace(1, 2, 6)
        self.matrix = nn.Parameter(matrix)
        self.bias = nn.Parameter(0.1 * torch.randn(16, generator=rng(2)))

    def forward(self, z: Tensor) -> Tensor:
        return (z @ self.matrix.T + self.bias).reshape(-1, 1, 4, 4)


class Curved(Linear):
    """The same, then tanh."""

    def forward(self, z: Tensor) -> Tensor:
        return super().forward(z).tanh()


def space_for(net: nn.Module, prior: Prior | None = None) -> ZSpace:
    """The z space of a network that stands alone: [N, 6] of a normal prior."""
    prior = prior or LatentPrior(6, "normal")

    def inputs(request: Any, generator: torch.Generator) -> Any:
        return SimpleNamespace(args=(prior(request.count, generator=generator),))

    game: Any = SimpleNamespace(generator=net, prior=prior, inputs=inputs)
    return ZSpace(game, prior, net.eval().requires_grad_(False), None)


def inversion(**changes: Any) -> Inversion:
    known = {"encoder": None, "drawn": 64, "restarts": 1, "steps": 300, "rate": 0.2, "prior": 0.0}
    return Inversion(**(known | {"clamp": None, "per_layer": False} | changes))


def decibels(space: LatentSpace, found: Inverted, images: Tensor) -> Tensor:
    made = torch.from_numpy(space.samples(found.points))
    return -10 * ((made - images) / 2).square().flatten(1).mean(1).log10()


def test_the_images_of_points_are_found_again() -> None:
    space = space_for(Curved())
    points = space.draw(8, rng(3))
    found = inversion(restarts=3).invert(space, PIXELS, space.images(points))
    assert decibels(space, found, space.images(points)).min() > 40
    assert torch.allclose(found.points, points, atol=0.05)


def test_a_trained_architecture_is_inverted() -> None:
    game = game_of(*TINY)
    space = space_of(game, game.generator)
    images = torch.from_numpy(space.samples(space.draw(4, rng(3))))
    assert decibels(space, inversion(restarts=3).invert(space, PIXELS, images), images).min() > 40


def test_of_a_linear_generator_the_result_is_least_squares() -> None:
    net = Linear()
    space = space_for(net)
    images = torch.randn(5, 1, 4, 4, generator=rng(4))
    found = inversion(steps=500, rate=0.3).invert(space, PIXELS, images)
    wanted = torch.linalg.lstsq(net.matrix, (images.flatten(1) - net.bias).T).solution.T
    assert torch.allclose(found.points, wanted, atol=1e-3)


@pytest.mark.parametrize("which", ["z", "w", "labels"])
def test_a_batch_is_inverted_as_its_images_are(which: str) -> None:
    game = game_of(*(STYLED if which == "w" else [*TINY, "game=cgan"] if which == "labels" else TINY))
    space = space_of(game, game.generator)
    labels = torch.tensor([3, 7, 3]) if which == "labels" else None
    images = torch.rand(3, 1, *(2 * [16 if which == "w" else 8]), generator=rng(5)) * 2 - 1
    settings = inversion(steps=20, restarts=2, drawn=16, prior=0.1)
    whole = settings.invert(space, PIXELS, images, labels)
    for row in range(3):
        label = None if labels is None else labels[row : row + 1]
        alone = settings.invert(space, PIXELS, images[row : row + 1], label)
        assert torch.allclose(alone.points[0], whole.points[row], atol=1e-3)
    pieces = settings.invert(space, PIXELS, images, labels, batch_size=2)
    assert torch.allclose(pieces.points, whole.points, atol=1e-3)


def test_the_seed_decides_and_the_random_state_stays() -> None:
    space = space_for(Curved())
    images = torch.rand(3, 1, 4, 4, generator=rng(5)) * 2 - 1
    settings = inversion(steps=5, drawn=8)
    before = torch.get_rng_state()
    one, two, other = (settings.invert(space, PIXELS, images, seed=seed).points for seed in (0, 0, 1))
    assert torch.equal(one, two) and not torch.allclose(one, other)
    assert torch.equal(before, torch.get_rng_state())


def test_the_best_start_is_taken() -> None:
    space = space_for(Curved())
    images = space.images(space.draw(40, rng(0))[[7, 30]])  # the points that seed 0 draws
    found = inversion(steps=0, drawn=40).invert(space, PIXELS, images)
    assert found.starts == ["drawn", "drawn"] and found.objective.max() < 1e-10
    mean = inversion(steps=0, drawn=40).invert(space, PIXELS, space.images(torch.zeros(1, 6)))
    assert mean.starts == ["mean"] and not mean.points.any()
    objective = Objective(space, PointPrior(space, None), PIXELS, 0.0)
    targets = objective.targets(images, None)
    starts = best_starts(objective, targets, None, 100, 0, 5)
    assert starts.units.shape == (2, 5, 6) and bool((starts.objective.diff(dim=1) >= 0).all())
    for place in range(5):
        assert torch.allclose(objective(starts.units[:, place], targets, ()), starts.objective[:, place])


def test_the_best_of_all_steps_is_kept() -> None:
    space = space_for(Curved())
    images = space.images(space.draw(40, rng(0))[[7, 30]])
    found = inversion(steps=3, drawn=40, rate=5.0).invert(space, PIXELS, images)
    assert found.objective.max() < 1e-10, "the start was exact, and each step leads far away"


def test_points_are_drawn_with_the_labels_of_their_images() -> None:
    game = game_of(*TINY, "game=cgan")
    space = space_of(game, game.generator)
    points, labels = space.draw(10, rng(0)), torch.tensor([2, 5, 2])
    images = torch.from_numpy(space.samples(points[[1, 4, 6]], labels))
    found = inversion(steps=0, drawn=10).invert(space, PIXELS, images, labels)
    assert torch.allclose(found.points, points[[1, 4, 6]]) and found.objective.max() < 1e-8
    objective = Objective(space, PointPrior(space, None), PIXELS, 0.0)
    targets = objective.targets(images, labels)
    starts = best_starts(objective, targets, None, 10, 0, 5)
    rest = objective.generator_labels(3, labels)
    for place in range(5):  # each image's candidates are compared with its own label
        values = objective(starts.units[:, place], targets, rest)
        assert torch.allclose(values, starts.objective[:, place], atol=1e-6)


def test_points_stay_within_their_bounds() -> None:
    space = space_for(Linear())
    images = 30 * torch.ones(2, 1, 4, 4)
    found = inversion(clamp=1.5, steps=50).invert(space, PIXELS, images)
    assert found.points.abs().max() == pytest.approx(1.5)
    uniform = space_for(Linear(), LatentPrior(6, "uniform"))
    assert inversion(steps=50).invert(uniform, PIXELS, images).points.abs().max() <= 1 + 1e-6
    codes = space_for(Linear(), CodePrior(6, "normal", (2,), 1))
    found = inversion(steps=50).invert(codes, PIXELS, images)
    assert found.points[:, 3:].abs().max() <= 1 + 1e-6 < found.points[:, :3].abs().max()


def test_the_penalty_is_of_where_the_prior_has_points() -> None:
    space = space_for(Linear())
    prior = PointPrior(space, None)
    scaled = nn.functional.normalize(torch.randn(3, 6, generator=rng(1)), dim=1) * 6**0.5
    assert torch.allclose(
        prior.penalty(scaled * torch.tensor([[1.0], [0.5], [2.0]])), torch.tensor([0, 0.25, 1.0])
    )
    game = game_of(*STYLED)
    w = space_of(game, game.generator)
    prior = PointPrior(w, None)
    points = w.draw(2000, rng(2))
    assert torch.allclose(prior.points(prior.units(points)), points, atol=1e-5)
    assert not prior.penalty(prior.units(w.mean()[None])).any()
    assert float(prior.penalty(prior.units(points - points.mean(0) + w.mean())).mean()) == pytest.approx(
        1, abs=0.1
    )
    far, near = (
        inversion(steps=100, prior=weight, drawn=0).invert(space, PIXELS, 9 * torch.ones(1, 1, 4, 4)).radius
        for weight in (0.0, 100.0)
    )
    assert near == pytest.approx(1, abs=0.1) and far > 2


def test_a_w_for_each_layer_comes_nearer() -> None:
    game = game_of(*STYLED)
    space = space_of(game, game.generator)
    assert isinstance(space, WSpace)
    images = torch.rand(2, 1, 16, 16, generator=rng(5)) * 2 - 1
    one, each = (
        inversion(steps=60, drawn=16, per_layer=per_layer).invert(space, PIXELS, images)
        for per_layer in (False, True)
    )
    assert each.points.shape == (2, space.layers, space.size) and bool((each.objective < one.objective).all())
    with pytest.raises(UserError, match=r"inversion.per_layer=true: only w has layers"):
        inversion(per_layer=True).invert(space_for(Curved()), PIXELS, images)


def test_embeddings_add_their_terms() -> None:
    source: Any = SimpleNamespace(shape=[1, 32, 32])
    one, two = (torch.rand(2, 1, 32, 32, generator=rng(seed)) * 2 - 1 for seed in (1, 2))
    mse = (one - two).square().flatten(1).mean(1)

    def distance(embed: Embedding) -> Tensor:
        return (embed(one) - embed(two)).square().sum(1)

    data: Any = None
    assert torch.allclose(distance(perceptual.none(source, data, CPU)), mse)
    random = [perceptual.random(source, data, CPU, weight, 0, [4, 8]) for weight in (0.0, 1.0, 2.0)]
    zero, single, double = map(distance, random)
    assert torch.allclose(zero, mse) and torch.allclose(double - mse, 2 * (single - mse))
    torch.manual_seed(0)
    net = Classifier(1, 3).eval()
    phi = Embedding(perceptual._Direction(net), 2.0, "", CPU)
    cosine = nn.functional.cosine_similarity(net(one)[0], net(two)[0])
    assert torch.allclose(distance(phi) - mse, 2 * (2 - 2 * cosine), atol=1e-5)
    (gradient,) = torch.autograd.grad(random[1](one.requires_grad_(True)).sum(), one)
    assert gradient.abs().sum() > 0


def test_lpips_is_the_distance_of_its_embedding(monkeypatch: pytest.MonkeyPatch) -> None:
    """A network with the parts of the package's: its sum over levels of weighted squares of unit vectors."""
    torch.manual_seed(0)
    convolutions = nn.ModuleList([nn.Conv2d(3, 4, 3, 2), nn.Conv2d(4, 5, 3, 2)])

    class Network(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.lins = nn.ModuleList(
                nn.Sequential(nn.Dropout(), nn.Conv2d(c, 1, 1, bias=False)) for c in (4, 5)
            )
            for line in self.lins:
                next(line.parameters()).data.abs_()

        def scaling_layer(self, x: Tensor) -> Tensor:
            return x * 2

        def net(self, x: Tensor) -> list[Tensor]:
            first = convolutions[0](x).relu()
            return [first, convolutions[1](first).relu()]

        def forward(self, one: Tensor, two: Tensor) -> Tensor:
            total = torch.zeros(len(one))
            for a, b, line in zip(*map(self.net, map(self.scaling_layer, (one, two))), self.lins, strict=True):
                a, b = (part / (part.square().sum(1, keepdim=True).sqrt() + 1e-10) for part in (a, b))
                total = total + line((a - b).square()).mean((1, 2, 3))
            return total

    net = Network().eval()
    monkeypatch.setattr(perceptual, "lpips_network", lambda name, setting: net)
    source: Any = SimpleNamespace(shape=[3, 32, 32])
    embed = perceptual.lpips(source, None, CPU, 0.5, "alex")  # type: ignore[arg-type]
    one, two = (torch.rand(2, 3, 32, 32, generator=rng(seed)) * 2 - 1 for seed in (1, 2))
    wanted = (one - two).square().flatten(1).mean(1) + 0.5 * net(one, two)
    assert torch.allclose((embed(one) - embed(two)).square().sum(1), wanted, atol=1e-6)
    small: Any = SimpleNamespace(shape=[3, 16, 16])
    with pytest.raises(UserError, match="perceptual=lpips needs images of at least 32 pixels"):
        perceptual.lpips(small, None, CPU, 0.5, "alex")  # type: ignore[arg-type]


def test_an_encoder_starts_near_and_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    space = space_for(Curved())
    before = torch.get_rng_state()
    first = trained_encoder(space, SMALL, tmp_path)
    assert torch.equal(before, torch.get_rng_state()) and first.explained > 0.7
    images = space.images(space.draw(50, rng(9)))
    found = inversion(steps=0, drawn=64).invert(space, PIXELS, images, encoder=first)
    assert found.starts.count("encoder") > 40
    (file,) = tmp_path.iterdir()
    calls: list[int] = []
    train = encoders._train

    def counted(*given: Any) -> float:
        calls.append(1)
        return train(*given)

    monkeypatch.setattr(encoders, "_train", counted)
    again = trained_encoder(space, SMALL, tmp_path)
    assert not calls and again.explained == first.explained
    assert torch.equal(again.net(images), first.net(images)) and not again.net.training
    file.write_bytes(file.read_bytes()[:-100])
    damaged = trained_encoder(space, SMALL, tmp_path)
    assert len(calls) == 1 and torch.equal(damaged.net(images), first.net(images)), "training is deterministic"


def test_another_checkpoint_or_setting_trains_anew(tmp_path: Path) -> None:
    net, quick = Curved(), EncoderTraining(steps=2, batch_size=8, rate=1e-3, width=4)
    trained_encoder(space_for(net), quick, tmp_path)
    (first,) = tmp_path.iterdir()
    with torch.no_grad():
        net.bias[0] += 1e-3
    trained_encoder(space_for(net), quick, tmp_path)
    assert len([*tmp_path.iterdir()]) == 2
    trained_encoder(space_for(net), EncoderTraining(steps=3, batch_size=8, rate=1e-3, width=4), tmp_path)
    files = [*tmp_path.iterdir()]
    assert len(files) == 3
    other = next(file for file in files if file != first)
    first.write_bytes(other.read_bytes())  # the file of another checkpoint under this one's name
    with torch.no_grad():
        net.bias[0] -= 1e-3
    trained_encoder(space_for(net), quick, tmp_path)
    assert first.read_bytes() != other.read_bytes()


def test_an_autoencoder_has_an_encoder_of_its_own(tmp_path: Path) -> None:
    game = game_of(*tiny("vae"))
    space = space_of(game, game.generator)
    found = trained_encoder(space, SMALL, tmp_path)
    images = torch.rand(3, 1, 8, 8, generator=rng(5)) * 2 - 1
    assert not [*tmp_path.iterdir()] and found.explained < 1
    net: Any = game.generator
    assert torch.equal(found.net(images), net.posterior(images).mean)
    started = inversion(steps=0, drawn=0).invert(
        space, PIXELS, space.images(0.1 * torch.ones(1, 3)), encoder=found
    )
    assert started.starts[0] in ("mean", "encoder")


def test_an_encoder_of_one_code_starts_too(tmp_path: Path) -> None:
    """BiGAN's encoder gives a code, and no distribution of codes."""
    game = game_of(*tiny("bigan"))
    space = space_of(game, game.generator)
    found = trained_encoder(space, SMALL, tmp_path)
    images = torch.rand(3, 1, 8, 8, generator=rng(5)) * 2 - 1
    net: Any = game.generator
    assert torch.equal(found.net(images), net.encoder(images)) and not [*tmp_path.iterdir()]


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_a_stopped_training_leaves_no_file(
    error: type[BaseException], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []
    drawn = encoders._drawn

    def stop(*given: Any) -> Any:
        calls.append(1)
        if len(calls) == 5:
            raise error
        return drawn(*given)

    monkeypatch.setattr(encoders, "_drawn", stop)
    with pytest.raises(error):
        trained_encoder(space_for(Curved()), SMALL, tmp_path / "encoders")
    assert not (tmp_path / "encoders").exists()
    monkeypatch.setattr(encoders, "_drawn", drawn)
    monkeypatch.setattr(
        "ganexp.system.tensor_file.save_tensors", lambda content, file: stop_writing(file, error)
    )
    with pytest.raises(error):
        trained_encoder(space_for(Curved()), SMALL, tmp_path / "encoders")
    assert not (tmp_path / "encoders").exists()


def stop_writing(file: Path, error: type[BaseException]) -> None:
    file.write_bytes(b"half")
    raise error


def test_a_folder_that_cannot_be_written_costs_the_next_training_only(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "encoders").write_text("a file")
    quick = EncoderTraining(steps=2, batch_size=8, rate=1e-3, width=4)
    assert trained_encoder(space_for(Curved()), quick, tmp_path / "encoders").explained < 1
    assert "cannot be written" in capsys.readouterr().err


def test_settings_that_nothing_fits() -> None:
    with pytest.raises(UserError, match=r"inversion.clamp=0: should be greater than 0"):
        inversion(clamp=0.0)
    with pytest.raises(UserError, match=r"inversion.encoder: it does not build"):
        inversion(encoder=3)
