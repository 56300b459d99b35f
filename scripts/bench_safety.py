"""Measures the cost of checkpoints and of the sentinel, in per cent of training time.

    python scripts/bench_safety.py --rounds 5 --epochs 3 -- data=digits
    python scripts/bench_safety.py --rounds 3 --epochs 1 -- data=mnist data.root=<folder>

What follows ``--`` are overrides of ``ganexp train``. The same run trains with neither, with either, and with
both, in turn, round after round. The epochs and the wait for the last checkpoint are timed, the start is not.
The table shows medians over the rounds: the ratio to the bare run of the same round, and the share of the time
for which checkpoints and sentinel blocked training.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

from common import composed, silent
from omegaconf import DictConfig
from tqdm import tqdm

import ganexp.train as training
from ganexp.runs.checkpoints import CheckpointManager
from ganexp.runs.run import Run
from ganexp.sentinel import Sentinel
from ganexp.training.state import State

VARIANTS = {
    "bare": (False, False),
    "checkpoints": (True, False),
    "sentinel": (False, True),
    "both": (True, True),
}


@contextmanager
def variant(saving: bool, sentinel: bool) -> Iterator[None]:
    """Within the context, runs save no checkpoints, or have no sentinel, where the argument is False."""

    def skip_saving(
        manager: CheckpointManager, content: dict[str, Any], epoch: int | None, *, best: bool = False
    ) -> None:
        manager.saved = content["progress"]["images"]

    with ExitStack() as patches:
        if not saving:
            patches.enter_context(patch.object(CheckpointManager, "save", skip_saving))
            patches.enter_context(patch.object(State, "snapshot", lambda s, _: {"progress": vars(s.progress)}))
        if not sentinel:
            patches.enter_context(patch.object(State, "scalars", lambda s: s.meter.means()))
            patches.enter_context(patch.object(Sentinel, "check_finite", lambda *_: None))
            patches.enter_context(patch.object(Sentinel, "check_epoch", lambda *_: []))
            patches.enter_context(patch.object(Sentinel, "scalars", lambda *_: {}))
        yield


def seconds(cfg: DictConfig, folder: Path) -> tuple[float, float]:
    """Seconds of a run's epochs until its last checkpoint is on disk, and for which training was blocked.

    Training is blocked by snapshots, by waiting for an earlier checkpoint, and by the sentinel.
    """
    spent = {"all": 0.0, "blocked": 0.0}

    def timed(real: Callable[..., Any], into: str) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            began = time.perf_counter()
            try:
                return real(*arguments, **named)
            finally:
                spent[into] += time.perf_counter() - began

        return call

    waits = [(Run, "save"), (Run, "record_weight_hash"), (Run, "finish"), (State, "scalars")]
    waits += [(Sentinel, name) for name in ("check_finite", "check_epoch", "scalars")]
    with ExitStack() as patches:
        for owner, name in waits:
            patches.enter_context(patch.object(owner, name, timed(getattr(owner, name), "blocked")))
        patches.enter_context(patch.object(training, "_train_epoch", timed(training._train_epoch, "all")))
        patches.enter_context(patch.object(Run, "finish", timed(Run.finish, "all")))
        patches.enter_context(silent())
        training.train(cfg, folder, {"loss": "-"})
    return spent["all"], spent["blocked"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("overrides", nargs="*", help="of ganexp train, after --")
    args = parser.parse_args()
    cfg = composed([*args.overrides, f"epochs={args.epochs}"])
    taken: dict[str, list[float]] = {name: [] for name in VARIANTS}
    blocked: dict[str, list[float]] = {name: [] for name in VARIANTS}
    with tempfile.TemporaryDirectory() as scratch:
        for number in tqdm(range(args.rounds), unit=" rounds", disable=None):
            for name, (saving, sentinel) in VARIANTS.items():
                with variant(saving, sentinel):
                    whole, blocked_seconds = seconds(cfg, Path(scratch, f"{name}_{number}"))
                taken[name].append(whole)
                blocked[name].append(100 * blocked_seconds / whole)
        size = sum(file.stat().st_size for file in Path(scratch).glob("both_0/checkpoints/last.pt"))
    print(f"{args.epochs} epochs, a checkpoint of {size / 1e6:.1f} MB after each")
    for name, times in taken.items():
        ratios = [100 * (one / bare - 1) for one, bare in zip(times, taken["bare"], strict=True)]
        print(
            f"{name:12} {statistics.median(times):8.2f} s  {statistics.median(ratios):+6.1f} %  "
            f"({min(ratios):+.1f} to {max(ratios):+.1f})  blocked for {statistics.median(blocked[name]):.2f} %"
        )


if __name__ == "__main__":
    main()
