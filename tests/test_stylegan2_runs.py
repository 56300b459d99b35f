"""Whole runs of arch=stylegan2: games, resuming, two processes, truncation; and the path length penalty."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import TINY as OF_MLP
from conftest import Verb, asked_to_stop, composed, differences_between_processes, tiny, verb
from torch import Tensor, nn

from ganexp.errors import UserError
from ganexp.penalties import PathLength, PlayerCall
from ganexp.runs.bitwise import differences
from ganexp.system.signals import Stopped
from ganexp.system.tensor_file import read
from ganexp.training.build import build_game

TINY = [
    *["recipe=none", "arch=stylegan2_small", "data.resolution=16", "batch_size=8", "evaluate.every=null"],
    *["arch.generator.latent=8", "arch.generator.style=8", "arch.generator.base=32"],
    *["arch.discriminator.base=32", "device=cpu"],
]
BOTH = ["penalties=[r1_lazy,path_length]", "penalties.r1.every=2", "penalties.path_length.every=2"]


@pytest.mark.parametrize("game", ["cgan", "acgan", "infogan", "pacgan"])
def test_two_steps_with(game: str, train: Verb) -> None:
    assert train(*TINY, *BOTH, "arch.generator.latent=16", f"game={game}", "max_steps=2").is_dir()


def test_going_on_is_exact_and_samples_can_be_truncated(
    train: Verb, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    overrides = [*TINY, *BOTH, "arch.generator.mixing=0.9", "max_steps=7"]
    whole = train(*overrides, name="whole")
    with asked_to_stop(after=4), pytest.raises(Stopped):
        train(*overrides, name="cut")
    assert list(differences(whole, train(*overrides, name="cut"))) == []
    content = read(whole / "checkpoints/last.pt")
    assert content["game"]["penalties.path_length.mean"] > 0 and content["ema"]["style_mean"].any()
    made = {}
    for psi in ("null", "0", "0.5"):
        sampling = [f"run={whole}", "n=4", "format=npz", f"out={tmp_path}/{psi}.npz", f"truncation={psi}"]
        verb(monkeypatch, tmp_path, "sample", *sampling, "device=cpu")
        made[psi] = np.load(tmp_path / f"{psi}.npz")["images"].astype(float)
    assert np.ptp(made["0"], axis=0).max() <= 1, "all samples are that of the mean"
    assert np.ptp(made["null"], axis=0).mean() > np.ptp(made["0.5"], axis=0).mean() > 0


def test_truncation_without_styles(train: Verb, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = train(*OF_MLP, "max_steps=1")
    made = {}
    for psi in ("null", "0", "0.5"):
        sampling = [f"run={run}", "n=4", "format=npz", f"out={tmp_path}/{psi}.npz", f"truncation={psi}"]
        verb(monkeypatch, tmp_path, "sample", *sampling, "device=cpu")
        made[psi] = np.load(tmp_path / f"{psi}.npz")["images"].astype(float)
    assert np.ptp(made["0"], axis=0).max() <= 1, "all samples are that of z = 0"
    assert np.ptp(made["null"], axis=0).mean() > np.ptp(made["0.5"], axis=0).mean() > 0


def test_truncation_without_noise(
    train: Verb, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    run = train(*tiny("pix2pix"), "max_steps=1")
    with pytest.raises(SystemExit):
        verb(monkeypatch, tmp_path, "sample", f"run={run}", "truncation=0.7")
    assert "truncation=0.7: this run's generator takes no noise" in capfd.readouterr().err


def test_two_processes_compute_what_one_does(tmp_path: Path) -> None:
    """Without mixing, which each process draws for itself, and with the path length of the whole batch."""
    own = ["arch.discriminator.group=2", "penalties.path_length.batch_divisor=1", "loss=gan"]
    case = composed(*TINY, *BOTH, *own)
    for process in differences_between_processes(tmp_path, {"stylegan2": case}):
        assert process["stylegan2"]["gradient"] < 1e-10
        assert process["stylegan2"]["weight"] < 1e-10, "the means of styles and of lengths, too"


class Linear(nn.Module):
    """x = the mean over the layers of A w, as images [N, 1, H, W]."""

    def __init__(self, layers: int, matrix: Tensor) -> None:
        super().__init__()
        self.layers, self.matrix = layers, nn.Parameter(matrix)

    def styles(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        return z.clone().requires_grad_(True)[:, None].expand(-1, self.layers, -1)

    def synthesis(self, styles: Tensor) -> Tensor:
        return (styles.mean(1) @ self.matrix.T).view(-1, 1, 2, 3)


def call(net: nn.Module, count: int) -> PlayerCall:
    x = torch.zeros(count, 1, 2, 3)
    critic: Any = None
    return PlayerCall(critic, critic, x, x, None, x[:, 0, 0, 0], net, (torch.zeros(count, 4),))


@pytest.mark.parametrize("layers", [1, 3])
def test_the_length_of_a_linear_generator(layers: int) -> None:
    """E length^2 = |A|_F^2 / (H W), over L^2 where it is shared by L layers. With a = mean: its variance."""
    torch.manual_seed(0)
    matrix = torch.randn(6, 4)
    penalty = PathLength(weight=1.0, decay=1.0, batch_divisor=1, every=1)
    variance = penalty.term(call(Linear(layers, matrix), 20_000))
    squared = variance.detach() + penalty.mean.square()
    assert float(squared) == pytest.approx(float(matrix.square().sum() / 6 / layers**2), rel=0.03)


def test_the_penalty_by_hand_with_its_gradient(monkeypatch: pytest.MonkeyPatch) -> None:
    """a starts at 0, moves by a hundredth of the mean length, and passes on that share of the gradient."""
    torch.manual_seed(0)
    matrix, y = torch.randn(6, 4), torch.randn(8, 1, 2, 3)
    monkeypatch.setattr(torch, "randn", lambda *shape, **where: y[: shape[0]])
    net, penalty = Linear(1, matrix), PathLength(weight=2.0, decay=0.01, batch_divisor=2, every=4)
    found = penalty(call(net, 8))
    (gradient,) = torch.autograd.grad(found, net.matrix)
    leaf = matrix.clone().requires_grad_(True)
    lengths = (y[:4].flatten(1) / 6**0.5 @ leaf).square().sum(1).sqrt()
    expected = 8 * (lengths - 0.01 * lengths.mean()).square().mean()
    assert torch.allclose(found, expected, rtol=1e-5)
    assert torch.allclose(gradient, torch.autograd.grad(expected, leaf)[0], rtol=1e-4)
    assert float(penalty.mean) == pytest.approx(0.01 * float(lengths.detach().mean()), rel=1e-5)
    assert "mean" in penalty.state_dict()


def test_a_generator_without_styles_is_refused() -> None:
    with pytest.raises(
        UserError, match=r"path_length with a generator without styles, .*; choose arch=stylegan2"
    ):
        build_game(composed("penalties=path_length"))


def test_the_rates_of_lazy_regularisation() -> None:
    """That of the authors' g without a path length: corrected for k = 4, though no second step moves it."""
    optim = composed("experiment=stylegan2_cifar10").optim
    assert optim.lr == pytest.approx(0.0025 * 4 / 5)
    assert list(optim.betas) == [0.0, pytest.approx(0.99 ** (4 / 5), abs=1e-6)]
    assert (optim.d.lr, list(optim.d.betas)) == (0.0025, [0.0, 0.99])
