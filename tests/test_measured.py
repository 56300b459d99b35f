"""In which steps a gradient's norm is taken: about one in eight, and in step with no lazy penalty."""

from typing import Any

import pytest
from conftest import TINY, Verb

import ganexp.train as training
from ganexp.train import GRAD_NORM_EVERY, NORMS_PER_EPOCH, measures_grad_norm

MANY = NORMS_PER_EPOCH * GRAD_NORM_EVERY


def resolve_checkpoint(steps: range, moves: int = MANY) -> list[bool]:
    return [measures_grad_norm(step, moves) for step in steps]


def test_about_one_step_in_eight_is_measured() -> None:
    found = resolve_checkpoint(range(100_000))
    assert sum(found) / len(found) == pytest.approx(1 / GRAD_NORM_EVERY, rel=0.01)
    assert found[0], "a short run has a norm too"
    assert resolve_checkpoint(range(10**9, 10**9 + 5)) == resolve_checkpoint(range(10**9, 10**9 + 5))


@pytest.mark.parametrize("every", [*range(2, 18), 20, 24, 25, 32, 50, 64, 100])
def test_no_interval_is_in_step_with_what_is_measured(every: int) -> None:
    """Of each remainder class as large a share as of all steps."""
    for first in {0, 1, every // 2, every - 1}:
        found = resolve_checkpoint(range(first, every * 4096, every))
        assert sum(found) / len(found) == pytest.approx(1 / GRAD_NORM_EVERY, rel=0.05)


@pytest.mark.parametrize("every", [1, 2, 3, 4, 5, 8, 16])
@pytest.mark.parametrize("moves", [1, 5, 15, 16, 28, 100, 127, 128, 187, 1000])
def test_a_player_has_a_norm_in_each_epoch(every: int, moves: int) -> None:
    for epoch in range(60):
        steps = range((epoch * moves + 1) * every - 1, ((epoch + 1) * moves + 1) * every - 1, every)
        assert any(resolve_checkpoint(steps, moves)), f"epoch {epoch}"


def test_a_lazy_penalty_is_measured_as_often_as_it_acts(train: Verb, monkeypatch: pytest.MonkeyPatch) -> None:
    real, found = training.player_step, list[tuple[int, bool]]()
    turns: list[int] = []

    def watched(game: Any, name: str, *rest: Any, measured: bool) -> Any:
        if name == "d" and measured:
            found.append((len(turns) * 8 // 1797, game.penalties["r1"].active))
        turns.extend([1] * (name == "d"))
        return real(game, name, *rest, measured=measured)

    monkeypatch.setattr(training, "player_step", watched)
    train(*TINY, "batch_size=8", "epochs=3", "penalties=r1", "penalties.r1.every=8")
    for epoch in range(3):
        acted = [acts for number, acts in found if number == epoch]
        assert len(acted) == pytest.approx(1797 / 8 / GRAD_NORM_EVERY, abs=2)
        assert 0.05 < sum(acted) / len(acted) < 0.25
