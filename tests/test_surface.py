"""What a critic makes of the plane, behind the points of each epoch's picture."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import Verb, composed
from PIL import Image

from ganexp.data.plane import Plane
from ganexp.data.surface import surface
from ganexp.games.sampling import sample_critic
from ganexp.training.build import build_game

RING = [
    *["recipe=none", "data=ring", "data.count=300", "evaluate.every=null", "epochs=2", "batch_size=30"],
    *["arch.generator.widths=[8]", "arch.discriminator.widths=[8]"],
]
CPU = torch.device("cpu")


def weights_of(folder: Path) -> dict[str, torch.Tensor]:
    content = torch.load(folder / "checkpoints/last.pt", weights_only=True)
    found: dict[str, torch.Tensor] = {}

    def collect(node: object, path: str) -> None:
        if isinstance(node, torch.Tensor):
            found[path] = node
        elif isinstance(node, dict):
            for key, value in node.items():
                collect(value, f"{path}/{key}")

    collect(content, "")
    return found


def picture_of(folder: Path) -> np.ndarray:
    with Image.open(folder / "samples/epoch_0002.png") as picture:
        return np.asarray(picture)


def test_the_surface_is_drawn_and_changes_no_weight(train: Verb, monkeypatch: pytest.MonkeyPatch) -> None:
    """With dropout and batch norm, a critic that is called in training mode changes the run."""
    critic = ["arch.discriminator.dropout=0.3", "arch.discriminator.norm=batch"]
    folder = train(*RING, *critic)
    one, drawn = weights_of(folder), picture_of(folder)
    shutil.rmtree(folder)
    monkeypatch.setattr(Plane, "draw_judged", lambda source, samples, columns, _: source.draw(samples, columns))
    assert train(*RING, *critic) == folder
    other = weights_of(folder)
    assert one.keys() == other.keys() and any("discriminator" in key for key in one)
    assert [key for key in one if not torch.equal(one[key], other[key])] == []
    assert not np.array_equal(drawn, picture_of(folder))


def judged(direction: tuple[float, float]) -> np.ndarray:
    """The picture of a critic whose logit rises along ``direction``."""

    def critic(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return points @ np.array(direction, np.float32), np.tile(
            np.array(direction, np.float32), (len(points), 1)
        )

    picture = surface(critic, 2.0)
    assert picture is not None
    return np.asarray(picture).astype(int)


@pytest.mark.parametrize("direction", [(1.0, 0.0), (0.0, 1.0)])
def test_colours_and_arrows_point_to_what_the_critic_calls_real(direction: tuple[float, float]) -> None:
    """Of a logit that rises to the right (or upwards): green there, and the arrows' heads at that end."""
    pixels = judged(direction)
    pixels = pixels if direction[0] else np.rot90(pixels, -1)  # so that it rises to the right
    blue, green = pixels[:, 4:8, 2] - pixels[:, 4:8, 1], pixels[:, -8:-4, 1] - pixels[:, -8:-4, 2]
    assert np.median(blue) > 50 and np.median(green) > 50
    dark = (pixels.sum(2) < 330)[:, 256:281]  # the cell right of the middle has one arrow in each of its rows
    assert dark[:, 13:].sum() > 1.3 * dark[:, :12].sum() > 0, "barbs are at the tip"


def test_flat_and_broken_critics_are_drawn() -> None:
    for value in (0.0, np.nan, np.inf):
        picture = surface(lambda x, value=value: (np.full(len(x), value), np.full(x.shape, value)), 1.0)  # type: ignore[misc]
        assert picture is not None and np.asarray(picture).min() == 255


@pytest.mark.parametrize(
    ("settings", "alone"),
    [
        ([], True),
        (["game=infogan"], True),
        (["game=pacgan", "game.packing=2"], False),
        (["game=cgan"], False),
        (["game=acgan"], True),
    ],
)
def test_only_a_critic_of_single_points_is_shown(settings: list[str], alone: bool) -> None:
    """A pack is no point, and a critic that is given labels has a surface for each of them."""
    game = build_game(composed(*RING, *settings)).train()
    points = np.random.default_rng(0).normal(size=(6, 2)).astype(np.float32)
    found = sample_critic(game, CPU)(points)
    assert game.training and (found is not None) == alone
    if found is not None:
        logits, gradients = found
        assert logits.shape == (6,) and gradients.shape == (6, 2)
        step = np.zeros_like(points)
        step[:, 1] = 1e-2
        again = sample_critic(game, CPU)(points + step)
        assert again is not None
        assert np.allclose((again[0] - logits) / 1e-2, gradients[:, 1], atol=2e-2)
        assert all(weight.grad is None for weight in game.parameters())


def test_a_critic_with_noise_of_its_own_leaves_the_random_state(monkeypatch: pytest.MonkeyPatch) -> None:
    game = build_game(composed(*RING))
    monkeypatch.setattr(game, "judge", lambda x: (x * torch.randn(x.shape)).sum(1))
    before = torch.get_rng_state()
    assert sample_critic(game, CPU)(np.ones((3, 2), np.float32)) is not None
    assert torch.equal(torch.get_rng_state(), before)
