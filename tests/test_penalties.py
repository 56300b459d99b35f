"""Each penalty against values and weight gradients by hand, on critics whose gradient is known."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from ganexp.penalties import R1, R2, Critic, Dragan, Drift, GradientPenalty, Penalty, PlayerCall

REAL = torch.tensor([[3.0, 4.0], [0.3, 0.4], [1.0, 0.0]])  # norms 5, 0.5, 1
FAKE = torch.tensor([[0.0, 2.0], [6.0, 8.0], [0.0, 0.0]])  # norms 2, 10, 0

A = 0.7


def call(critic: Critic, real: Tensor = REAL, fake: Tensor = FAKE) -> PlayerCall:
    """A critic's turn, as a penalty sees it."""
    return PlayerCall(critic, critic, real, fake, critic(real), critic(fake), nn.Identity(), (fake,))


class Bowl:
    """D(x) = a |x|^2 / 2, so that the gradient at x is a x and its norm a |x|."""

    def __init__(self) -> None:
        self.a = torch.tensor(A, requires_grad=True)
        self.seen: list[Tensor] = []

    def __call__(self, x: Tensor) -> Tensor:
        self.seen.append(x.detach())
        return 0.5 * self.a * x.flatten(1).square().sum(1)


def by_hand(samples: Tensor, target: float) -> tuple[float, float]:
    """E (a |x| - k)^2 and its derivative in a, E 2 |x| (a |x| - k)."""
    norms = samples.flatten(1).norm(dim=1)
    return ((A * norms - target) ** 2).mean().item(), (2 * norms * (A * norms - target)).mean().item()


def measured(penalty: Penalty, real: Tensor = REAL, fake: Tensor = FAKE) -> tuple[float, float, Bowl]:
    critic = Bowl()
    seen = call(critic, real, fake)
    critic.seen.clear()
    value = penalty(seen)
    value.backward()
    assert critic.a.grad is not None, "a detached penalty teaches the critic nothing"
    return value.item(), critic.a.grad.item(), critic


def test_r1_by_hand() -> None:
    value, slope, _ = measured(R1(weight=3.0, every=1))
    squared = REAL.square().sum(1).mean().item()
    assert value == pytest.approx(3.0 / 2 * A**2 * squared)
    assert slope == pytest.approx(3.0 * A * squared)


def test_r2_by_hand() -> None:
    value, slope, _ = measured(R2(weight=3.0, every=1))
    squared = FAKE.square().sum(1).mean().item()
    assert value == pytest.approx(3.0 / 2 * A**2 * squared)
    assert slope == pytest.approx(3.0 * A * squared)


def test_drift_by_hand() -> None:
    """D = a |x|^2 / 2 of the real samples is 12.5 a, 0.125 a and 0.5 a."""
    value, slope, critic = measured(Drift(weight=3.0, every=1))
    squared = (12.5**2 + 0.125**2 + 0.5**2) / 3
    assert value == pytest.approx(3.0 * A**2 * squared)
    assert slope == pytest.approx(3.0 * 2 * A * squared)
    assert critic.seen == [], "it needs no answer of its own"
    assert not Drift.double_backward


def test_gradient_penalty_by_hand() -> None:
    value, slope, critic = measured(GradientPenalty(weight=10.0, target=1.0, every=1))
    expected, derivative = by_hand(critic.seen[0], 1.0)
    assert value == pytest.approx(10 * expected, rel=1e-5)
    assert slope == pytest.approx(10 * derivative, rel=1e-5)


def test_gradient_penalty_looks_between_real_and_fake_once_per_sample() -> None:
    torch.manual_seed(0)
    real, fake = torch.zeros(500, 3, 4, 4), torch.ones(500, 3, 4, 4)
    _, _, critic = measured(GradientPenalty(weight=1.0, target=1.0, every=1), real, fake)
    points = critic.seen[0].flatten(1)
    assert (points == points[:, :1]).all(), "one epsilon per sample, not per pixel"
    shares = points[:, 0]
    assert 0 <= shares.min() < 0.05 and 0.95 < shares.max() <= 1
    assert shares.mean().item() == pytest.approx(0.5, abs=0.05)


def test_dragan_by_hand() -> None:
    value, slope, critic = measured(Dragan(weight=10.0, target=1.0, noise=0.5, every=1))
    expected, derivative = by_hand(critic.seen[0], 1.0)
    assert value == pytest.approx(10 * expected, rel=1e-5)
    assert slope == pytest.approx(10 * derivative, rel=1e-5)


def test_dragan_looks_around_the_real_samples() -> None:
    """Where the authors do: x + alpha * (0.5 * std * u), alpha of a sample and u of a value in [0, 1]."""
    torch.manual_seed(0)
    real = torch.randn(4000, 50) * 3 + 5
    _, _, critic = measured(Dragan(weight=1.0, target=1.0, noise=0.5, every=1), real, real)
    delta = (critic.seen[0] - real) / real.std()
    assert delta.min() > -1e-6 and delta.max() <= 0.5 + 1e-6
    assert delta.square().mean().sqrt().item() == pytest.approx(0.5 / 3, rel=0.02)
    assert delta.mean().item() == pytest.approx(0.5 / 4, rel=0.02)
    shares = delta.mean(1) / 0.25  # alpha, give or take the mean of 50 values
    assert shares.std().item() == pytest.approx(12**-0.5, rel=0.05), "one alpha per sample"


def linear(x: Tensor) -> Tensor:
    """D(x) = 0.6 x_1 + 0.8 x_2: gradient of norm 1 everywhere."""
    return x @ torch.tensor([0.6, 0.8])


@pytest.mark.parametrize(
    "penalty",
    [GradientPenalty(weight=10.0, target=1.0, every=1), Dragan(weight=10.0, target=1.0, noise=0.5, every=1)],
)
def test_a_critic_with_unit_gradients_pays_nothing(penalty: Penalty) -> None:
    assert penalty(call(linear)).item() == pytest.approx(0, abs=1e-10)


def test_a_dead_critic_pays_and_its_gradient_is_finite() -> None:
    weight = torch.zeros(2, requires_grad=True)
    value = GradientPenalty(weight=10.0, target=1.0, every=1)(call(lambda x: x @ weight))
    value.backward()
    assert value.item() == pytest.approx(10)
    assert weight.grad is not None and torch.isfinite(weight.grad).all()


MAKERS: dict[str, Callable[[int], Penalty]] = {
    "r1": lambda every: R1(weight=2.0, every=every),
    "r2": lambda every: R2(weight=2.0, every=every),
    "gradient": lambda every: GradientPenalty(weight=2.0, target=1.0, every=every),
    "dragan": lambda every: Dragan(weight=2.0, target=1.0, noise=0.1, every=every),
}


@pytest.mark.parametrize("name", MAKERS)
def test_finite_differences_in_the_critics_weights(name: str) -> None:
    torch.manual_seed(1)
    real, fake = torch.randn(4, 3), torch.randn(4, 3)
    first, second = torch.randn(3, 5, requires_grad=True), torch.randn(5, requires_grad=True)

    def value() -> Tensor:
        torch.manual_seed(2)
        penalty: Tensor = MAKERS[name](1)(call(lambda x: torch.tanh(x @ first) @ second, real, fake))
        return penalty

    value().backward()
    for weights in (first, second):
        assert weights.grad is not None
        flat, gradient = weights.data.view(-1), weights.grad.view(-1)
        for index in range(len(flat)):
            kept = flat[index].item()
            flat[index] = kept + 1e-2
            above = value().item()
            flat[index] = kept - 1e-2
            below = value().item()
            flat[index] = kept
            assert gradient[index].item() == pytest.approx((above - below) / 2e-2, rel=0.02, abs=5e-3)


@pytest.mark.parametrize("name", MAKERS)
def test_lazy_penalties_cost_as_much_on_average(name: str) -> None:
    torch.manual_seed(0)
    lazy, eager = MAKERS[name](4), MAKERS[name](1)
    values = []
    for turn in range(8):
        lazy.begin_turn(turn)
        values.append(lazy(call(linear)).item())
    assert [value == 0 for value in values[1:4]] == [True] * 3
    if name in ("r1", "r2"):  # no random points: exactly
        assert sum(values) / 8 == pytest.approx(eager(call(linear)).item())


def test_a_lazy_penalty_keeps_nothing_that_a_checkpoint_would_lack() -> None:
    """Which turns it acts in follows from their number alone."""
    penalty = R1(weight=1.0, every=3)
    assert not penalty.state_dict()
    acts = []
    for turn in (2, 3, 4, 6):
        penalty.begin_turn(turn)
        acts.append(penalty(call(linear)).item() > 0)
    assert acts == [False, True, False, True]


def test_penalties_are_float32_under_autocast() -> None:
    critic = torch.nn.Linear(2, 1)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        value = R1(weight=1.0, every=1)(call(lambda x: critic(x).squeeze(1)))
    assert value.dtype == torch.float32
    assert value.item() == pytest.approx(0.5 * critic.weight.square().sum().item(), rel=1e-6)


def test_samples_of_half_precision_are_widened_first() -> None:
    value = R2(weight=2.0, every=1)(call(lambda x: linear(x.float()), REAL.bfloat16(), FAKE.bfloat16()))
    assert value.dtype == torch.float32 and value.item() == pytest.approx(1)
