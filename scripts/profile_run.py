"""Profiles a run: time by part of the training loop, and by operator.

    python scripts/profile_run.py --steps 200 -- data=digits loss=wgan_gp device=cpu
    python scripts/profile_run.py --trace trace.json -- data=digits     # for chrome://tracing or Perfetto

What follows ``--`` are overrides of ``ganexp train``. The run trains twice: once with only a clock around each
part, once under torch's profiler, which slows it down. A part's time excludes that of nested parts. The first
steps, in which kernels are chosen, are not counted.
"""

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from common import composed, silent
from torch.profiler import record_function

import ganexp.train as training
from ganexp.data.batches import Batch, BatchLoader
from ganexp.ema import EMA
from ganexp.penalties import Penalty
from ganexp.runs.run import Run
from ganexp.training import reports
from ganexp.training.meter import Meter
from ganexp.training.precision import Precision
from ganexp.training.schedules import Schedules
from ganexp.training.setup import Experiment, build_experiment
from ganexp.training.state import State

_WARMUP_STEPS = 10
"""Warm-up steps, which are not counted."""

_NETWORK = ("forward", "penalty", "backward", "optimiser")
"""Parts that every implementation needs; the rest is overhead."""

_PARTS: list[tuple[object, str, str]] = [
    (training, "_train_epoch", "the loop itself"),
    (Penalty, "forward", "penalty"),
    (Precision, "backward", "backward"),
    (Precision, "step", "optimiser"),
    (torch.nn.utils, "get_total_norm", "norms"),
    (Meter, "add", "meter"),
    (Schedules, "set", "learning rates"),
    (EMA, "update", "averaging"),
    (reports, "generate", "grid"),
    (State, "scalars", "reading the meter"),
    (Run, "record_weight_hash", "hashes"),
    (Run, "record", "records"),
    (Run, "save", "checkpoints"),
    (Run, "finish", "checkpoints"),
]


class Clock:
    """Seconds by part, excluding nested parts."""

    def __init__(self) -> None:
        self.spent: dict[str, float] = {}
        self._open_parts: list[str] = []
        self._since = time.perf_counter()

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Counts the time in this context as that part's."""
        self._add_elapsed()
        self._open_parts.append(name)
        try:
            with record_function(name):
                yield
        finally:
            self._add_elapsed()
            self._open_parts.pop()

    def clear(self) -> None:
        """Resets all parts to zero."""
        self._add_elapsed()
        self.spent = {}

    def _add_elapsed(self) -> None:
        if torch.cuda.is_initialized():
            torch.cuda.synchronize()
        now = time.perf_counter()
        if self._open_parts:
            innermost = self._open_parts[-1]
            self.spent[innermost] = self.spent.get(innermost, 0.0) + now - self._since
        self._since = now

    def around(self, real: Callable[..., Any], name: str) -> Callable[..., Any]:
        """Wraps a function so that its time counts as the part ``name``."""

        def call(*arguments: Any, **named: Any) -> Any:
            with self.part(name):
                return real(*arguments, **named)

        return call


def _with_timed_turns(clock: Clock, real: Callable[..., Experiment]) -> Callable[..., Experiment]:
    """Wraps ``build_experiment`` so that the players' turns count as the part ``forward``."""

    def build_experiment(cfg: Any) -> Experiment:
        experiment = real(cfg)
        players = experiment.state.game.players
        for name, player in players.items():
            players[name] = player._replace(turn=clock.around(player.turn, "forward"))
        return experiment

    return build_experiment


def _with_timed_loading(clock: Clock, real: Callable[..., Iterator[Batch]]) -> Callable[..., Iterator[Batch]]:
    """Wraps ``BatchLoader.epoch`` so that loading each batch counts as the part ``data``."""

    def epoch(loader: BatchLoader) -> Iterator[Batch]:
        batches = real(loader)
        while True:
            with clock.part("data"):
                batch = next(batches, None)
            if batch is None:
                return
            yield batch

    return epoch


@contextmanager
def timed_training(clock: Clock) -> Iterator[None]:
    """Patches every part of training with the clock."""
    real_step, real_turn = training.train_step, training.player_step

    def train_step(experiment: Experiment, *rest: Any) -> None:
        real_step(experiment, *rest)
        if experiment.state.progress.step == _WARMUP_STEPS:
            clock.clear()

    def player_step(game: Any, name: str, *rest: Any, measured: bool) -> Any:
        with clock.part(f"turn of {name}"):
            return real_turn(game, name, *rest, measured=measured)

    with ExitStack() as patches:
        for owner, name, part in _PARTS:
            patches.enter_context(patch.object(owner, name, clock.around(getattr(owner, name), part)))
        patches.enter_context(
            patch.object(training, "build_experiment", _with_timed_turns(clock, build_experiment))
        )
        patches.enter_context(patch.object(training, "train_step", train_step))
        patches.enter_context(patch.object(training, "player_step", player_step))
        patches.enter_context(patch.object(BatchLoader, "epoch", _with_timed_loading(clock, BatchLoader.epoch)))
        patches.enter_context(silent())
        yield


def once(overrides: list[str]) -> dict[str, float]:
    """Seconds by part of one run."""
    clock = Clock()
    with tempfile.TemporaryDirectory() as scratch, timed_training(clock):
        training.train(composed(overrides), Path(scratch, "run"), {"loss": "-"})
    return clock.spent


def table(spent: dict[str, float], steps: int) -> str:
    """A Markdown table of the parts, the slowest first."""
    whole = sum(spent.values())
    lines = ["| part | ms per step | share |", "|---|---|---|"]
    for name, seconds in sorted(spent.items(), key=lambda item: -item[1]):
        lines.append(f"| {name} | {1e3 * seconds / steps:.3f} | {seconds / whole:.1%} |")
    rest = sum(seconds for name, seconds in spent.items() if name not in _NETWORK)
    lines.append(f"| everything | {1e3 * whole / steps:.3f} | |")
    return "\n".join([*lines, f"\n{rest / whole:.1%} of it is overhead, spent outside the networks."])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=200, help="steps that are counted")
    parser.add_argument("--top", type=int, default=15, help="how many operators")
    parser.add_argument("--trace", type=Path, help="a file for the trace of every call")
    parser.add_argument("overrides", nargs="*", help="of ganexp train, after --")
    args = parser.parse_args()
    overrides = [*args.overrides, f"max_steps={args.steps + _WARMUP_STEPS}", "evaluate.every=null"]
    print(table(once(overrides), args.steps))
    with torch.profiler.profile() as profiler:
        once(overrides)
    by = "self_cuda_time_total" if torch.cuda.is_initialized() else "self_cpu_time_total"
    print(profiler.key_averages().table(sort_by=by, row_limit=args.top, max_name_column_width=50))
    if args.trace:
        profiler.export_chrome_trace(str(args.trace))


if __name__ == "__main__":
    main()
