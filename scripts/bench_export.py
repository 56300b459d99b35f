"""Exported generators: how far their outputs are from the original's, and how fast onnxruntime is beside torch.

    OMP_NUM_THREADS=1 python scripts/bench_export.py --only small

For each network with untrained weights: the largest difference of 8 samples, for each format, and seconds of
torch over seconds of the file for the same batch, medians of calls that take turns.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from benchmark.networks import NETWORKS, Network
from common import composed
from torch import Tensor

from ganexp.export.formats import FORMATS, traced, written
from ganexp.export.portable import exportable
from ganexp.games.game import StepProgress
from ganexp.games.translation import Translation
from ganexp.system.cpus import processor_name
from ganexp.training.build import build_game, build_source

BATCH = 16

_FACES = ("data=celeba", "data.resolution=64")

TRANSLATORS = (
    Network("pix2pix, 64", ("game=pix2pix", "degrade=blur", *_FACES)),
    Network("cyclegan_small, 64", ("game=cyclegan", "loss=lsgan", "degrade=noise", *_FACES)),
    Network("cut_small, 64", ("game=cut", "loss=lsgan", "degrade=noise", *_FACES)),
    Network("srgan_small, 64", ("game=srgan", *_FACES)),
    Network("inpaint, 64", ("game=inpaint", *_FACES)),
    Network("stargan_small, 64", ("game=stargan", "data.attribute=[Smiling,Male]", *_FACES)),
)
"""Image translators, which are no rows of ``bench_networks.py``."""


def row(overrides: tuple[str, ...], calls: int) -> dict[str, tuple[float, float]]:
    """By format: the largest difference, and how many times as fast the file is as torch."""
    torch.manual_seed(0)
    cfg = composed(["recipe=none", "device=cpu", *overrides])
    game = build_game(cfg)
    game.begin_step(StepProgress(step=10**9, images=10**12, done=1.0))  # growing networks with all their layers
    direction = game.directions[0] if isinstance(game, Translation) and game.directions else None
    exported = exportable(game, game.generator, build_source(cfg), direction)
    program = traced(exported)
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        for name in FORMATS:
            file, largest = written(name, exported, program, Path(folder))
            inputs = exported.example(BATCH, seed=9)
            found[name] = largest, speed(exported, FORMATS[name].open(file, exported), inputs, calls)
    return found


def speed(
    torchs: Callable[[tuple[Tensor, ...]], Tensor],
    other: Callable[[tuple[Tensor, ...]], Tensor],
    inputs: tuple[Tensor, ...],
    calls: int,
) -> float:
    """Median seconds of the first over those of the second."""
    seconds: tuple[list[float], list[float]] = [], []
    with torch.no_grad():
        for _ in range(calls + 1):
            for call, times in zip((torchs, other), seconds, strict=True):
                start = time.perf_counter()
                call(inputs)
                times.append(time.perf_counter() - start)
    one, another = (statistics.median(times[1:]) for times in seconds)  # the first call warms up
    return one / another


def main() -> None:
    """Prints a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="rows whose name contains this")
    parser.add_argument("--calls", type=int, default=20, help="calls that are timed")
    arguments = parser.parse_args()
    print(f"{processor_name()}, {torch.get_num_threads()} threads, batches of {BATCH}")
    print(f"| network | {' | '.join(f'{name}: difference, speed' for name in FORMATS)} |")
    for network in (*NETWORKS, *TRANSLATORS):
        if arguments.only in network.name:
            found = row(network.overrides, arguments.calls).values()
            cells = [f"{largest:.1e}, {ratio:.2f}" for largest, ratio in found]
            print(f"| {network.name} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
