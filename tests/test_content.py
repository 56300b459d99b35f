"""The content terms of super-resolution, by hand; VGG19 against torchvision's."""

from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import composed
from srgan_games import FP32, SMALL, game_of
from torch import Tensor

from ganexp.data.batches import Batch
from ganexp.errors import UserError
from ganexp.games.content import VGG19, RandomFeatures, distance
from ganexp.games.game import StepProgress
from ganexp.train import player_step
from ganexp.training.build import build_game


@pytest.mark.parametrize("kind", ["l1", "mse"])
def test_the_pixel_term_by_hand(kind: str) -> None:
    game, _ = game_of(f"game.pixel={kind}", "game.pixel_weight=3")
    fake = torch.tensor([0.5, -0.25, 1.5, 0.0]).view(1, 1, 2, 2).requires_grad_()
    x = torch.tensor([0.0, 0.25, 1.0, 1.0]).view(1, 1, 2, 2)
    (term,) = game.content(fake, Batch(x, torch.zeros(1))).values()
    term.backward()
    difference = np.array([0.5, -0.5, 0.5, -1.0])
    value, slope = (
        (np.abs(difference), np.sign(difference)) if kind == "l1" else (difference**2, 2 * difference)
    )
    assert term.item() == pytest.approx(3 * value.mean())
    assert fake.grad is not None
    assert fake.grad.flatten().tolist() == pytest.approx((3 * slope / 4).tolist())


def test_the_content_term_by_hand() -> None:
    """One linear layer, of which the loss is the mean square: its gradient is 2 w A^T A (fake - x) / n."""
    node = RandomFeatures(weight=0.5, distance="mse", seed=1, widths=[4], shape=[1, 3, 3])
    network = node.network()
    columns = torch.eye(9).view(9, 1, 3, 3)
    matrix = (network(columns) - network(torch.zeros(9, 1, 3, 3))).flatten(1).T  # [36, 9]
    fake, x = torch.randn(1, 1, 3, 3, requires_grad=True), torch.randn(1, 1, 3, 3, requires_grad=True)
    term = node.term(network, fake, x)
    term.backward()
    change = (fake - x).detach().flatten()
    assert term.item() == pytest.approx(0.5 * (matrix @ change).square().mean().item(), rel=1e-5)
    assert fake.grad is not None and x.grad is None, "the target is no variable"
    assert torch.allclose(fake.grad.flatten(), 0.5 * 2 * matrix.T @ matrix @ change / 36, atol=1e-6)


def test_random_features_are_always_the_same_and_in_no_checkpoint() -> None:
    node = RandomFeatures(weight=1.0, distance="l1", seed=3, widths=[4, 8], shape=[3, 8, 8])
    torch.manual_seed(5)
    before, x = torch.get_rng_state(), torch.ones(1, 3, 8, 8)
    one, two = node.network(), node.network()
    assert torch.equal(before, torch.get_rng_state()), "no number of the run's is drawn"
    assert torch.equal(one(x), two(x)) and one(x).shape == (1, 8, 4, 4)
    other = RandomFeatures(weight=1.0, distance="l1", seed=4, widths=[4, 8], shape=[3, 8, 8])
    assert not torch.equal(one(x), other.network()(x))
    assert not one.state_dict() and not list(one.parameters())


def test_content_features_are_logged_by_their_name_and_compute_in_float32() -> None:
    game, optimisers = game_of("content=random")
    batch = Batch(torch.rand(3, 1, 16, 16) * 2 - 1, torch.zeros(3, dtype=torch.long))
    game.begin_step(StepProgress(0, 0, 0.0))
    assert "content_random" in player_step(game, "g", optimisers, batch, FP32)
    plain = build_game(composed(*SMALL, "content=random"))
    assert plain.state_dict().keys() == game.state_dict().keys(), "a run is read without the network"
    assert game.content_network is not None
    with torch.autocast("cpu", torch.bfloat16):
        assert game.content_network(batch.x.bfloat16()).dtype == torch.float32


def vgg_weights(file: Path) -> "OrderedDict[str, Tensor]":
    """Random weights of torchvision's VGG19 without its dense layers, written to a file."""
    from torchvision.models import vgg19

    torch.manual_seed(0)
    with torch.device("meta"):
        names = [(key, value.shape) for key, value in vgg19().features.state_dict().items()]
    state = OrderedDict((f"features.{key}", torch.randn(shape) * 0.02) for key, shape in names)
    torch.save(state, file, _use_new_zipfile_serialization=False)  # as torchvision's, of before torch 1.6
    return state


def test_vgg19_is_torchvisions(tmp_path: Path) -> None:
    from torchvision.models import vgg19

    file = tmp_path / "vgg.pth"
    state = vgg_weights(file)
    with torch.device("meta"):
        theirs = vgg19().features
    theirs.load_state_dict({k.removeprefix("features."): v for k, v in state.items()}, assign=True)
    x = torch.rand(2, 3, 32, 32) * 2 - 1
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]))
    seen = ((x + 1) / 2 - mean) / std
    for activated, last in ((False, 35), (True, 36)):
        ours = VGG19(
            weight=1.0, distance="l1", shape=[3, 32, 32], activated=activated, scale=0.5, weights=str(file)
        ).network()
        with torch.no_grad():
            wanted = 0.5 * theirs[:last](seen)
        assert torch.allclose(ours(x), wanted, rtol=1e-4, atol=1e-7) and wanted.abs().max() > 0


def test_without_vgg19s_weights_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(*_: object, **__: object) -> None:
        raise OSError("no network")

    monkeypatch.setattr(torch.hub, "download_url_to_file", offline)
    settings: dict[str, Any] = {"weight": 1.0, "distance": "l1", "activated": False, "scale": 1.0}
    with pytest.raises(UserError, match=r"could not be downloaded \(no network\).*weights=.*content=random"):
        VGG19(**settings, shape=[3, 32, 32], weights=None).network()
    with pytest.raises(UserError, match=r"weights=nowhere.*no such file"):
        VGG19(**settings, shape=[3, 32, 32], weights="nowhere").network()
    torch.save({"features.0.weight": torch.zeros(1)}, tmp_path / "other.pth")
    with pytest.raises(UserError, match="does not hold torchvision's weights"):
        VGG19(**settings, shape=[3, 32, 32], weights=str(tmp_path / "other.pth")).network()
    with pytest.raises(UserError, match=r"16 pixels or more.*content=random"):
        VGG19(**settings, shape=[3, 8, 8], weights=None).network()


def test_another_object_as_content_features_is_refused() -> None:
    with pytest.raises(UserError, match=r"game\.content_features: .*content="):
        build_game(composed(*SMALL, "game.content_features={_target_:ganexp.losses.Hinge}"))


def test_distance_is_in_float32() -> None:
    one = torch.full((4,), 256.0).bfloat16()
    assert distance(one, torch.full((4,), 257.0), "l1").item() == 1
