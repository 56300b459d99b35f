"""Directions in latent spaces: SeFa, GANSpace, boundaries, their file, and ``ganexp directions``."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import TINY, Verb, tiny, verb
from PIL import Image
from test_latents import IMAGES, STYLED, game_of, rng
from torch import Tensor

from ganexp.cli import main
from ganexp.errors import UserError
from ganexp.latents.boundary import Boundary, boundary, effects
from ganexp.latents.directions import (
    Directions,
    directions_file,
    directions_of,
    load_directions,
    projected,
    save_directions,
)
from ganexp.latents.first_layers import look
from ganexp.latents.latent_space import LatentSpace
from ganexp.latents.methods import GANSpace, Judge, SeFa, Task, closed_form, principal_components
from ganexp.latents.space import space_of

PLAIN = [*TINY, "arch.generator.latent=8"]
ARCHITECTURES = {
    "mlp": (PLAIN, 1),
    "maxout": ([*TINY[:1], *TINY[4:], "data.resolution=8", "arch=maxout", "arch.generator.latent=8"], 1),
    "dcgan": ([*IMAGES, "arch=dcgan", "arch.generator.width=4", "arch.discriminator.width=4"], 1),
    "resnet": ([*IMAGES, "arch=resnet_small"], 1),
    "progressive": ([*IMAGES, "arch=progressive_small"], 1),
    "biggan": (
        [*IMAGES, "arch=biggan_small", "arch.generator.hierarchical=true", "arch.generator.latent=6"],
        None,
    ),
    "r3gan": ([*IMAGES, "data.resolution=32", "arch=r3gan_small"], 1),
    "stylegan2": (STYLED, 8),
    "conditional": ([*IMAGES, "arch=resnet_small", "game=cgan", "arch.generator.condition=joined"], 1),
    "norm": ([*IMAGES, "arch=resnet_small", "game=cgan", "arch.generator.condition=norm"], 1),
}


def opened(*overrides: str, which: Any = None) -> LatentSpace:
    game = game_of(*overrides)
    return space_of(game, game.generator, which)


def no_judge() -> Judge:
    raise AssertionError("this method needs none")


def task(space: LatentSpace, judge: Any = no_judge) -> Task:
    return Task(space, rng(), 64, judge)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_the_layers_that_take_points(name: str) -> None:
    """A first layer's outputs change by W d where points change by d; of normalised z in its direction only."""
    overrides, count = ARCHITECTURES[name]
    space = opened(*overrides)
    found = look(space)
    assert len(found.first) == count or (count is None and len(found.first) > 1)
    assert found.behind and all(matrix.shape[1] == space.size for matrix in found.first)
    joined = torch.cat(found.first)
    assert bool((joined.norm(dim=0) > 0).all()), "each number of a point enters somewhere"
    layers = dict(space.generator.named_modules())
    assert set(found.behind) <= set(layers)


def test_the_first_layer_is_its_weight() -> None:
    space = opened(*PLAIN)
    net: Any = space.generator
    (matrix,) = look(space).first
    assert torch.allclose(matrix, net.hidden[0].weight, atol=1e-6)
    conditional = opened(*PLAIN, "game=cgan")
    net = conditional.generator
    assert torch.allclose(look(conditional).first[0], net.hidden[0].weight[:, :8], atol=1e-6), "labels left out"
    conv: Any = opened(*ARCHITECTURES["dcgan"][0])
    kernel = conv.generator.layers[0].weight.flatten(1).T
    assert torch.allclose(look(conv).first[0].T @ look(conv).first[0], kernel.T @ kernel, atol=1e-5)


def test_z_of_a_mapping() -> None:
    space = opened(*STYLED, which="z")
    net: Any = space.generator
    first = net.mapping.layers[0]
    assert torch.allclose(look(space).first[0], first.weight * first.factor, atol=1e-5)


def test_sefa_gives_the_right_singular_vectors() -> None:
    space = opened(*PLAIN)
    net: Any = space.generator
    found = SeFa(count=5, normalise=False)(task(space))
    _, values, vectors = torch.linalg.svd(net.hidden[0].weight.double())
    agreement = (found.vectors.double() * vectors[:5]).sum(1).abs()
    assert torch.allclose(agreement, torch.ones(5, dtype=torch.float64), atol=1e-5)
    shares = values.square() / values.square().sum()
    assert torch.allclose(found.explained.double(), shares[:5], atol=1e-6)
    assert torch.allclose((net.hidden[0].weight @ found.vectors[0]).norm(), values[0].float(), rtol=1e-5)
    assert torch.allclose(found.vectors.norm(dim=1), torch.ones(5), atol=1e-6)
    assert found.names == ("0", "1", "2", "3", "4") and found.latents == "z"
    assert torch.allclose(found.deviations, torch.ones(5))


def test_a_rotation_of_the_outputs_matters_with_normalised_rows_only() -> None:
    weights = torch.randn(6, 4, generator=rng(), dtype=torch.float64)
    rotation, _ = torch.linalg.qr(torch.randn(6, 6, generator=rng(1), dtype=torch.float64))

    def first(matrix: Tensor) -> Tensor:
        vector: Tensor = closed_form(matrix)[0][0]
        return vector

    normalised, turned = (torch.nn.functional.normalize(one, dim=1) for one in (weights, rotation @ weights))
    assert abs(first(weights) @ first(rotation @ weights)) > 1 - 1e-9
    assert abs(first(normalised) @ first(turned)) < 0.999


def test_rows_are_normalised_if_it_is_asked_for() -> None:
    space = opened(*PLAIN)
    net: Any = space.generator
    net.hidden[0].weight[0] *= 100
    plain, normalised = (SeFa(count=1, normalise=flag)(task(space)).vectors[0] for flag in (False, True))
    row = torch.nn.functional.normalize(net.hidden[0].weight[0], dim=0)
    assert abs(plain @ row) > 0.999 > 0.99 > abs(normalised @ row)


def test_ganspace_of_w_is_its_principal_components() -> None:
    stretched = torch.randn(20_000, 5, generator=rng()) * torch.tensor([1.0, 5, 2, 0.1, 3]) + 7
    vectors, shares = principal_components(stretched, 3)
    assert vectors.abs().argmax(1).tolist() == [1, 4, 2]
    assert torch.allclose(shares, torch.tensor([25, 9, 4], dtype=shares.dtype) / 39.01, atol=0.01)
    space = opened(*STYLED)
    found = GANSpace(count=3, samples=500, layer=None)(task(space))
    again = principal_components(space.draw(500, rng()), 3)
    assert found.latents == "w" and torch.allclose(found.vectors.double(), again[0], atol=1e-5)
    spread = (space.draw(4096, rng(9)) @ found.vectors.T).std(0)
    assert torch.allclose(found.deviations, spread, rtol=0.1), "a strength of 1 is one deviation of w"


def test_ganspace_of_z_finds_what_moves_the_activations() -> None:
    """A layer that sees z_5 much more than the others."""
    space = opened(*PLAIN)
    net: Any = space.generator
    net.hidden[0].weight[:] *= 0.05
    net.hidden[0].weight[:, 5] *= 100
    found = GANSpace(count=2, samples=2000, layer=None)(task(space))
    assert abs(found.vectors[0, 5]) > 0.99 and found.explained[0] > 0.8
    with pytest.raises(UserError, match=r"method.layer=nowhere: no such layer; there are out"):
        GANSpace(count=2, samples=2000, layer="nowhere")(task(space))
    with pytest.raises(UserError, match=r"method.samples=30: too few"):
        GANSpace(count=2, samples=30, layer=None)(task(space))


def test_a_boundary_finds_the_sign_of_a_number() -> None:
    points = torch.randn(10_000, 8, generator=rng())
    normal, accuracy = boundary(points, points[:, 3], 500)
    assert normal[3] > 0.99 and accuracy == 1 and float(normal.norm()) == pytest.approx(1, abs=1e-6)
    backwards, _ = boundary(points, -points[:, 3], 500)
    assert backwards[3] < -0.99
    noise = torch.randn(10_000, generator=rng(1))
    assert boundary(points, noise, 500)[1] == pytest.approx(0.5, abs=0.12), "held-out samples, of nothing"


class OfPoints:
    """Judges samples by the numbers 3 and 5 of the points, and by a mixture of them, which it was told."""

    names = ("three", "mixed", "five")

    def __init__(self, space: LatentSpace, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(space, "samples", lambda points, labels, batch_size: points.numpy())

    def __call__(self, samples: np.ndarray) -> Tensor:
        points = torch.from_numpy(samples)
        return torch.stack([points[:, 3], points[:, 3] + points[:, 5], points[:, 5]], 1)


def test_boundaries_with_conditions(monkeypatch: pytest.MonkeyPatch) -> None:
    space = opened(*PLAIN)
    judged = task(space, lambda: OfPoints(space, monkeypatch))
    plain = Boundary(None, None, samples=8000, share=0.05)(judged)
    assert plain.names == ("three", "mixed", "five")
    assert plain.vectors[0, 3] > 0.99 and plain.vectors[2, 5] > 0.99
    assert bool((plain.vectors[1, [3, 5]] > 0.6).all())
    found = Boundary("mixed", ["five"], samples=8000, share=0.05)(judged)
    assert found.names == ("mixed",) and found.vectors[0, 3] > 0.98
    by_number = Boundary(1, [2], samples=8000, share=0.05)(judged)
    assert by_number.names == ("mixed",)
    measured = effects(plain, judged, 3.0)
    shares = measured.shares[0]
    assert shares[0] < 0.02 and 0.4 < shares[1] < 0.6 and shares[2] > 0.98
    assert bool((measured.changed.diagonal() > 0.98).all()), "each sample is moved away from what it has"
    assert measured.changed[0, 2] < 0.03 and 0.4 < measured.changed[0, 1] < 0.98, "mixed goes along with three"
    assert measured.others[0].tolist() == [0.0, *measured.changed[0, 1:].tolist()]
    assert measured.own.tolist() == [0, 1, 2]
    of_mixed = effects(found, judged, 3.0)
    assert of_mixed.own.tolist() == [1] and of_mixed.changed.shape == (1, 3)
    with pytest.raises(
        UserError, match=r"method.conditions: four: no such class or attribute; there are five, mixed, three"
    ):
        Boundary(None, "four", samples=8000, share=0.05)(judged)
    with pytest.raises(UserError, match=r"method.share=0.6: 60 of 100 samples on each side"):
        Boundary(None, None, samples=100, share=0.6)(judged)


def test_a_projection_is_orthogonal_to_every_condition() -> None:
    vectors, conditions = torch.randn(4, 9, generator=rng()), torch.randn(3, 9, generator=rng(1))
    conditions = torch.cat([conditions, conditions[:1] + conditions[1:2]])  # they may depend on each other
    left = projected(vectors, conditions)
    assert (left.double() @ conditions.double().T).abs().max() < 1e-6
    assert torch.allclose(left.norm(dim=1), torch.ones(4), atol=1e-6)
    by_hand = projected(torch.tensor([[1.0, 1.0]]), torch.tensor([[0.0, 2.0]]))
    assert torch.allclose(by_hand, torch.tensor([[1.0, 0.0]]))
    with pytest.raises(UserError, match="conditions: nothing is left of a direction"):
        projected(conditions[:1], conditions)


def test_conditions_may_depend_on_one_another() -> None:
    a, b, vector = torch.randn(3, 64, generator=torch.Generator().manual_seed(0))
    left = projected(vector[None], torch.stack([a, -2 * a, b]))
    assert bool((left @ torch.stack([a, b]).T).abs().max() < 1e-5)


def test_directions_along_which_nothing_changes_are_refused() -> None:
    """Vectors without length, as of latents that are all alike; and w that are all the mean."""
    game, styled = game_of(*PLAIN), game_of(*STYLED)
    space, same = space_of(game, game.generator), space_of(styled, styled.generator, truncation=0.0)
    for where, vectors in ((space, torch.zeros(2, space.size)), (same, torch.eye(same.size)[:2])):
        with pytest.raises(UserError, match="choose a larger truncation"):
            directions_of("sefa", where, vectors)


def test_strengths() -> None:
    space = opened(*STYLED)
    points = space.draw(3, rng())
    found = directions_of("sefa", space, torch.randn(2, space.size, generator=rng()) * 9)
    assert np.array_equal(space.samples(found.moved(points, 1, 0.0)), space.samples(points)), "bit for bit"
    once, all_at_once = found.moved(found.moved(points, 1, 1.0), 1, 2.0), found.moved(points, 1, 3.0)
    assert torch.allclose(once, all_at_once, atol=1e-5) and not torch.allclose(once, points)
    lengths = (found.moved(points, 1, torch.tensor([0.0, 1.0, -2.0])) - points).norm(dim=1)
    assert torch.allclose(lengths, torch.tensor([0.0, 1, 2]) * found.deviations[1], atol=1e-5)
    layers = points[:, None].repeat(1, 6, 1)
    assert torch.allclose(found.moved(layers, 0, 1.0)[:, 2], found.moved(points, 0, 1.0))


def stored(folder: Path, space: LatentSpace) -> Directions:
    found = directions_of(
        "boundary", space, torch.eye(space.size)[:2], ("a", "b"), accuracies=torch.tensor([0.9, 1])
    )
    save_directions(found, folder, {"checkpoint": "last.pt"})
    return found


def test_the_file(tmp_path: Path) -> None:
    space = opened(*PLAIN)
    found, read = stored(tmp_path, space), load_directions(tmp_path, "boundary", space)
    for name in ("vectors", "deviations", "accuracies"):
        assert torch.equal(getattr(found, name), getattr(read, name))
    assert read.explained.isnan().all() and read.names == ("a", "b") and read.method == "boundary"
    assert read.number("b") == read.number(1) == 1
    for wrong in ("c", 2, -1):
        with pytest.raises(UserError, match=f"direction={wrong}: boundary found 0 to 1; there are a, b"):
            read.number(wrong)
    with pytest.raises(
        UserError, match=r"method=sefa: .* is not there; ganexp directions method=sefa makes it"
    ):
        load_directions(tmp_path, "sefa", space)
    with pytest.raises(UserError, match=r"latents=w: .* has directions of z: set latents=z"):
        load_directions(tmp_path, "boundary", opened(*STYLED))
    with pytest.raises(UserError, match=r"has directions of 8 numbers, and points of this run have 5"):
        load_directions(tmp_path, "boundary", opened(*TINY, "arch.generator.latent=5"))


DAMAGE: dict[str, Any] = {
    "format": 2,
    "latents": "x",
    "method": None,
    "directions": [],
}
ROW = {"vector": [1.0] * 8, "name": 3, "deviation": None, "explained": "much"}


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    space = opened(*PLAIN)
    stored(tmp_path, space)
    file = directions_file(tmp_path, "boundary")
    good = json.loads(file.read_text())
    damaged = [good | {key: value} for key, value in DAMAGE.items()]
    damaged += [good | {"directions": [good["directions"][0] | {key: value}]} for key, value in ROW.items()]
    damaged += [good | {"directions": [good["directions"][0] | {"vector": [math.nan] + [0.0] * 7}]}, [], "text"]
    for content in [*map(json.dumps, damaged), file.read_text()[:-5], "[" * 100_000]:
        file.write_text(content)
        with pytest.raises(UserError, match=r"boundary\.json is damaged: ganexp directions makes it again"):
            load_directions(tmp_path, "boundary", space)


def run(monkeypatch: pytest.MonkeyPatch, where: Path, *overrides: str) -> None:
    main._report_errors(lambda: verb(monkeypatch, where, "directions", *overrides))


def test_the_verb(
    train: Verb, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = train(*PLAIN, "max_steps=2", "game=cgan")
    common = [f"run={folder}", "device=cpu", "n=1", "steps=3"]
    for method in ("method.count=2", "method=ganspace method.count=2 method.samples=200"):
        run(monkeypatch, tmp_path, *common, *method.split(), "label=7")
    told = capfd.readouterr().out
    assert told.count("2 directions in z: ") == 2 and told.count("explains") == 2
    assert "each of 1 sample from -3 to 3: " in told
    with Image.open(folder / "samples/directions_sefa.png") as picture:
        assert picture.size == (3 * 80 + 16, 2 * 80 + 16)
    less = ["method=boundary", "method.samples=300", "method.share=0.1", "method.attributes=[7,3]", "out=here"]
    run(monkeypatch, tmp_path, *common, *less)
    told = capfd.readouterr().out
    assert "right on held-out samples" in told and "seen at -3" in told and "here.png" in told
    assert "others changed  most often" in told and "changed: of 200 samples, each moved by 3 to" in told
    game = game_of(*PLAIN, "game=cgan")
    found = load_directions(folder, "boundary", space_of(game, game.generator))
    assert found.names == ("7", "3") and bool((found.accuracies >= 0).all())
    before = sorted(folder.rglob("*"))
    for overrides, expected in {
        "method=pca": "method=pca: no such choice of method; there are boundary, ganspace, sefa",
        "label=[1,2]": "label: should be one class here",
        "n=2 label=[1,2]": "label: should be one class here",
        "out=.": "out=.: it should be a file",
        "latents=w": "latents=w: this run's generator has no styles",
        "method=boundary method.attributes=[-1]": "should be a name or number of a class or attribute",
    }.items():
        with pytest.raises(SystemExit):
            run(monkeypatch, tmp_path, *common, *overrides.split())
        assert expected in capfd.readouterr().err
    assert sorted(folder.rglob("*")) == before


def test_data_without_labels_and_translators(
    train: Verb, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = train(*tiny("pix2pix"), "max_steps=1")
    with pytest.raises(SystemExit):
        run(monkeypatch, tmp_path, f"run={folder}")
    assert "has no latents; ganexp translate applies it to files" in capfd.readouterr().err
    points = train("data=ring", "max_steps=1", "evaluate.every=null", name="points")
    with pytest.raises(SystemExit):
        run(monkeypatch, tmp_path, f"run={points}", "method=boundary", "device=cpu")
    assert "these features need images" in capfd.readouterr().err
