"""Each loss against values and gradients written down by hand, and against finite differences."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from ganexp.losses import (
    Hinge,
    LeastSquares,
    Loss,
    Minimax,
    NonSaturating,
    RelativisticAverage,
    RelativisticPairing,
    Wasserstein,
)

REAL = np.array([2.0, -0.5, 0.25])
FAKE = np.array([-1.5, 0.75, 3.0])
N = len(REAL)


def sigmoid(x: np.ndarray) -> np.ndarray:
    return np.asarray(1 / (1 + np.exp(-x)))


# loss, then by hand: d, dd/dreal, dd/dfake, g, dg/dfake
BY_HAND: dict[str, tuple[Loss, float, np.ndarray, np.ndarray, float, np.ndarray]] = {
    "non-saturating": (
        NonSaturating(),
        -np.log(sigmoid(REAL)).mean() - np.log(1 - sigmoid(FAKE)).mean(),
        (sigmoid(REAL) - 1) / N,
        sigmoid(FAKE) / N,
        -np.log(sigmoid(FAKE)).mean(),
        (sigmoid(FAKE) - 1) / N,
    ),
    "minimax": (
        Minimax(),
        -np.log(sigmoid(REAL)).mean() - np.log(1 - sigmoid(FAKE)).mean(),
        (sigmoid(REAL) - 1) / N,
        sigmoid(FAKE) / N,
        np.log(1 - sigmoid(FAKE)).mean(),
        -sigmoid(FAKE) / N,
    ),
    "least squares": (
        LeastSquares(a=-1.0, b=1.0, c=0.5),
        ((REAL - 1) ** 2).mean() / 2 + ((FAKE + 1) ** 2).mean() / 2,
        (REAL - 1) / N,
        (FAKE + 1) / N,
        ((FAKE - 0.5) ** 2).mean() / 2,
        (FAKE - 0.5) / N,
    ),
    "wasserstein": (
        Wasserstein(),
        FAKE.mean() - REAL.mean(),
        -np.ones(N) / N,
        np.ones(N) / N,
        -FAKE.mean(),
        -np.ones(N) / N,
    ),
    "hinge": (
        Hinge(),
        (0 + 1.5 + 0.75) / N + (0 + 1.75 + 4.0) / N,
        np.array([0, -1, -1]) / N,
        np.array([0, 1, 1]) / N,
        -FAKE.mean(),
        -np.ones(N) / N,
    ),
    "relativistic pairing": (
        RelativisticPairing(),
        -np.log(sigmoid(REAL - FAKE)).mean(),
        (sigmoid(REAL - FAKE) - 1) / N,
        (1 - sigmoid(REAL - FAKE)) / N,
        -np.log(sigmoid(FAKE - REAL)).mean(),
        (sigmoid(FAKE - REAL) - 1) / N,
    ),
    "relativistic average": (
        RelativisticAverage(),
        -np.log(sigmoid(REAL - FAKE.mean())).mean() - np.log(1 - sigmoid(FAKE - REAL.mean())).mean(),
        (sigmoid(REAL - FAKE.mean()) - 1 - sigmoid(FAKE - REAL.mean()).mean()) / N,
        (sigmoid(FAKE - REAL.mean()) + 1 - sigmoid(REAL - FAKE.mean()).mean()) / N,
        -np.log(sigmoid(FAKE - REAL.mean())).mean() - np.log(1 - sigmoid(REAL - FAKE.mean())).mean(),
        (sigmoid(FAKE - REAL.mean()) - 1 - sigmoid(REAL - FAKE.mean()).mean()) / N,
    ),
}


def logits() -> tuple[Tensor, Tensor]:
    return torch.tensor(REAL, requires_grad=True), torch.tensor(FAKE, requires_grad=True)


@pytest.mark.parametrize("name", BY_HAND)
def test_discriminator_by_hand(name: str) -> None:
    loss, value, by_real, by_fake, _, _ = BY_HAND[name]
    real, fake = logits()
    result = loss.d(real=real, fake=fake)
    result.backward()
    assert result.item() == pytest.approx(value, rel=1e-12)
    assert real.grad is not None and fake.grad is not None
    np.testing.assert_allclose(real.grad.numpy(), by_real, rtol=1e-12)
    np.testing.assert_allclose(fake.grad.numpy(), by_fake, rtol=1e-12)


@pytest.mark.parametrize("name", BY_HAND)
def test_generator_by_hand(name: str) -> None:
    loss, _, _, _, value, by_fake = BY_HAND[name]
    real, fake = logits()
    result = loss.g(real=real.detach() if loss.needs_real else None, fake=fake)
    result.backward()
    assert result.item() == pytest.approx(value, rel=1e-12)
    assert fake.grad is not None
    np.testing.assert_allclose(fake.grad.numpy(), by_fake, rtol=1e-12)


@pytest.mark.parametrize("name", BY_HAND)
def test_finite_differences(name: str) -> None:
    loss = BY_HAND[name][0]
    real, fake = logits()
    critic: Callable[[Tensor, Tensor], Tensor] = lambda r, f: loss.d(real=r, fake=f)  # noqa: E731
    generator: Callable[[Tensor], Tensor] = lambda f: loss.g(real=real.detach(), fake=f)  # noqa: E731
    assert torch.autograd.gradcheck(critic, (real, fake))
    assert torch.autograd.gradcheck(generator, (fake,))


@pytest.mark.parametrize("name", BY_HAND)
def test_extreme_logits_stay_finite(name: str) -> None:
    """log(sigmoid(x)) would be minus infinity here."""
    loss = BY_HAND[name][0]
    real = torch.tensor([-1e4, 1e4], requires_grad=True)
    fake = torch.tensor([1e4, -1e4], requires_grad=True)
    total = loss.d(real=real, fake=fake) + loss.g(real=real.detach(), fake=fake)
    total.backward()
    assert real.grad is not None and fake.grad is not None
    assert torch.isfinite(total) and torch.isfinite(real.grad).all() and torch.isfinite(fake.grad).all()


def test_vanishing_gradient_is_what_tells_minimax_from_non_saturating() -> None:
    fake = torch.tensor([-20.0], requires_grad=True)
    (minimax,) = torch.autograd.grad(Minimax().g(real=None, fake=fake), fake)
    (saved,) = torch.autograd.grad(NonSaturating().g(real=None, fake=fake), fake)
    assert abs(minimax.item()) < 1e-8
    assert saved.item() == pytest.approx(-1)


def test_output_is_a_probability_only_where_the_paper_says_so() -> None:
    zero = torch.zeros(1)
    assert NonSaturating().output(zero).item() == 0.5
    assert Wasserstein().output(zero).item() == 0.0
