"""Measures the time from starting the command to the end of the first step, and torch's import time.

    python scripts/bench_startup.py --rounds 7 -- data=mnist data.root=<folder> arch=mlp device=cpu

What follows ``--`` are overrides of ``ganexp train``. Each command runs in a process of its own, in turn, round
after round; the first round fills caches and is not counted. The table shows median, minimum and maximum over
the rounds.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tqdm import tqdm

_FIRST_STEP_PROGRAM = """
import os, sys
import ganexp.train as training
real = training.train_step
def first(*arguments):
    real(*arguments)
    torch = sys.modules["torch"]
    if torch.cuda.is_initialized():
        torch.cuda.synchronize()
    os._exit(0)
training.train_step = first
sys.argv[0] = "ganexp"
from ganexp.cli.main import main
main()
"""
"""``ganexp train`` in a process that exits after the first step."""

_IMPORT_TORCH, _FIRST_STEP = "import torch", "ganexp train, to the end of its first step"


def commands(overrides: list[str], number: int) -> dict[str, list[str]]:
    """The timed commands by name; ``number`` names a new run folder."""
    train = ["train", *overrides, "evaluate.every=null", f"name={number}"]
    return {
        "ganexp --help": ["-m", "ganexp", "--help"],
        "ganexp train --cfg job": ["-m", "ganexp", "train", "--cfg", "job"],
        _IMPORT_TORCH: ["-c", "import os, torch; os._exit(0)"],  # exits like the other: without clean-up
        _FIRST_STEP: ["-c", _FIRST_STEP_PROGRAM, *train],
    }


def wall_time(arguments: list[str], folder: Path) -> float:
    """The wall time of a Python process. Ends this script where the process fails."""
    began = time.perf_counter()
    done = subprocess.run([sys.executable, *arguments], cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stderr)
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("overrides", nargs="*", help="of ganexp train, after --")
    args = parser.parse_args()
    taken: dict[str, list[float]] = {name: [] for name in commands([], 0)}
    with tempfile.TemporaryDirectory() as scratch:
        for number in tqdm(range(args.rounds + 1), unit=" rounds", disable=None):
            for name, arguments in commands(args.overrides, number).items():
                taken[name].append(wall_time(arguments, Path(scratch)))
    taken = {name: times[1:] for name, times in taken.items()}
    taken["the first step without import torch"] = [
        whole - torch for whole, torch in zip(taken[_FIRST_STEP], taken[_IMPORT_TORCH], strict=True)
    ]
    print(f"medians of {args.rounds} rounds (smallest to largest)\n\n| | seconds |\n|---|---|")
    for name, times in taken.items():
        print(f"| {name} | {statistics.median(times):.2f} ({min(times):.2f} to {max(times):.2f}) |")


if __name__ == "__main__":
    main()
