"""Measures the cost of evaluation during training: time and memory.

    python scripts/bench_evaluation.py --epochs 10 -- data=digits
    python scripts/bench_evaluation.py --epochs 5 -- data=mnist data.root=<folder>

What follows ``--`` are overrides of ``ganexp train``. Runs with and without evaluation alternate, each in a
process of its own with the ordinary training loop. Work done once per data set (the classifier, the features of
real samples) is cached beforehand and not counted; loading it and computing the floor at a run's start are.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import patch

from common import composed, peak_memory, silent
from tqdm import tqdm

import ganexp.train as training
from ganexp.training.periodic_evaluation import PeriodicEvaluation

_VARIANTS = {"without": ["evaluate.every=null"], "with": []}


def measured(overrides: list[str]) -> dict[str, float]:
    """Seconds of a whole run and of its evaluations, and its peak resident memory in MB."""
    spent = {"all": 0.0, "floor": 0.0, "scores": 0.0}

    def timed(real: Callable[..., Any], into: str) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            began = time.perf_counter()
            try:
                return real(*arguments)
            finally:
                spent[into] += time.perf_counter() - began

        return call

    with (
        tempfile.TemporaryDirectory() as scratch,
        patch.object(PeriodicEvaluation, "prepare", timed(PeriodicEvaluation.prepare, "floor")),
        patch.object(PeriodicEvaluation, "__call__", timed(PeriodicEvaluation.__call__, "scores")),
        silent(),
    ):
        timed(training.train, "all")(composed(overrides), Path(scratch, "run"), {"loss": "-"})
    return spent | {"peak": peak_memory()}


def measured_in_new_process(overrides: list[str]) -> dict[str, float]:
    """``measured`` in a new process."""
    command = [sys.executable, __file__, "--once", "--", *overrides]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stderr)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--once", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("overrides", nargs="*", help="of ganexp train, after --")
    args = parser.parse_args()
    if args.once:
        print(json.dumps(measured(args.overrides)))
        return
    overrides = [*args.overrides, f"epochs={args.epochs}"]
    measured_in_new_process([*args.overrides, "max_steps=1"])  # fills the cache: data set, classifier, features
    found: dict[str, list[dict[str, float]]] = {name: [] for name in _VARIANTS}
    for _ in tqdm(range(args.rounds), unit=" rounds", disable=None):
        for name, extra in _VARIANTS.items():
            found[name].append(measured_in_new_process([*overrides, *extra]))
    print(f"{args.epochs} epochs on {os.cpu_count()} cores, medians of {args.rounds} rounds")
    for name, rows in found.items():
        middle = {key: statistics.median(row[key] for row in rows) for key in rows[0]}
        share = middle["scores"] / middle["all"]
        print(
            f"{name:8} {middle['all']:7.1f} s, of that the floor {middle['floor']:5.2f} s and the scores "
            f"{middle['scores']:5.2f} s ({share:.1%}); at most {middle['peak']:,.0f} MB"
        )


if __name__ == "__main__":
    main()
