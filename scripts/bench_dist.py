"""Measures the speed-up by a second process and its all-reduces here, and projects their cost on GPUs.

    python scripts/bench_dist.py --rounds 5
    python scripts/bench_dist.py --rounds 3 --workloads dcgan64 --step 30 --network 25

Measured, in turn, round after round: ``ganexp train`` in one process with all threads, and with
``device.count=2``, which shares them; images per second are read from the manifest (run.json). Then, for each
workload: the number and size of the all-reduces of a step, and how long one takes between two processes here.

The projection is arithmetic, not a measurement. A ring of n devices takes 2 (n - 1) / n * bytes / bandwidth
+ 2 (n - 1) * latency; beyond 8 devices, a second ring over the network connects the machines after the first.
The batch per device is fixed and nothing overlaps, so a step takes ``--step`` plus its all-reduces.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from common import composed
from torch.distributed import FileStore  # type: ignore[attr-defined]
from tqdm import tqdm

from ganexp.distributed import collectives
from ganexp.system.cpus import cpu_count
from ganexp.train import train_step
from ganexp.training.setup import build_experiment

WORKLOADS = {
    "mlp": ["arch=mlp", "batch_size=256"],
    "dcgan64": ["data.resolution=64", "arch.generator.norm=layer", "arch.discriminator.norm=layer"],
    "wgan_gp": ["loss=wgan_gp"],
}
"""On the embedded digits, at each architecture's default width."""

COMMON = [
    "data=digits",
    "recipe=none",
    "device=cpu",
    "evaluate.every=null",
    "checkpoint.every.epochs=null",
    "epochs=100000",
]
REPETITIONS = 20  # repetitions of an all-reduce


def speed(workload: str, count: int, threads: int, steps: int, folder: Path) -> float:
    """Images per second of a new run in a process of its own."""
    settings = [f"device.count={count}", f"device.threads={threads}", f"max_steps={steps}", "name=run"]
    subprocess.run(
        [sys.executable, "-m", "ganexp", "train", *WORKLOADS[workload], *COMMON, *settings],
        cwd=folder,
        env=os.environ | {"OMP_NUM_THREADS": str(threads)},
        check=True,
        capture_output=True,
    )
    (manifest,) = folder.glob("outputs/run/*/run.json")
    return float(json.loads(manifest.read_text())["images_per_second"])


def all_reduce_sizes(workload: str) -> list[int]:
    """The bytes of each all-reduce of gradients in a step in which every player takes a turn."""
    found: list[int] = []
    experiment = build_experiment(composed([*WORKLOADS[workload], *COMMON, "batch_size=4"]))
    experiment.state.progress.step = experiment.state.game.players["g"].every - 1
    real = collectives.all_reduce_mean
    try:
        collectives.all_reduce_mean = lambda tensors: found.append(
            sum(t.numel() * t.element_size() for t in tensors)
        )
        train_step(experiment, next(experiment.data.loader.epoch()), 1.0)
    finally:
        collectives.all_reduce_mean = real
    return found


def run_rank(folder: Path, rank: int, sizes: list[int]) -> None:
    """One of two ranks that all-reduce tensors of ``sizes`` bytes; rank 0 writes the times to times.json."""
    torch.set_num_threads(1)
    taken: dict[int, float] = {}
    store = FileStore(str(folder / "store"), 2)
    with collectives.process_group(collectives.ProcessInfo(rank, 2, rank, 2), store):
        for size in sizes:
            values = [torch.ones(size // 4)]
            times = []
            for _ in range(REPETITIONS):
                began = time.perf_counter()
                collectives.all_reduce_mean(values)
                times.append(time.perf_counter() - began)
            taken[size] = statistics.median(times)
    if rank == 0:
        (folder / "times.json").write_text(json.dumps(taken))


def all_reduce_seconds(sizes: list[int]) -> dict[int, float]:
    """Seconds of an all-reduce between two processes of this machine, by its size in bytes."""
    with tempfile.TemporaryDirectory() as folder:
        line = [sys.executable, __file__, "--reduce", folder, *map(str, sizes)]
        ranks = [subprocess.Popen([*line, "--rank", str(rank)]) for rank in range(2)]
        if any([process.wait() for process in ranks]):
            sys.exit("bench_dist: an all-reduce failed")
        return {int(size): t for size, t in json.loads(Path(folder, "times.json").read_text()).items()}


def projected(sizes: list[int], devices: int, args: argparse.Namespace) -> float:
    """The projected seconds of a step's all-reduces on so many GPUs, 8 per machine."""
    inside, machines = min(devices, 8), -(-devices // 8)
    seconds = 0.0
    for size in sizes:
        seconds += 2 * (inside - 1) / inside * size / (1e9 * args.nvlink) + 2 * (inside - 1) * args.latency
        seconds += 2 * (machines - 1) / machines * size / (1e9 * args.network)
        seconds += 2 * (machines - 1) * args.network_latency
    return seconds


def measured(args: argparse.Namespace) -> dict[str, Any]:
    """All measurements and projections, by workload."""
    threads = cpu_count()
    speeds: dict[str, dict[int, list[float]]] = {name: {1: [], 2: []} for name in args.workloads}
    for _ in tqdm(range(args.rounds), unit=" rounds", disable=None):
        for name in args.workloads:
            for count in (1, 2):
                with tempfile.TemporaryDirectory() as folder:
                    speeds[name][count].append(speed(name, count, threads, args.steps, Path(folder)))
    sizes = {name: all_reduce_sizes(name) for name in args.workloads}
    taken = all_reduce_seconds(sorted({size for found in sizes.values() for size in found}))
    result = {}
    for name in args.workloads:
        batch = composed([*WORKLOADS[name], *COMMON]).batch_size
        step = args.step / 1e3 if args.step else batch / statistics.median(speeds[name][1])
        sent = {n: projected(sizes[name], n, args) for n in (8, 64)}
        result[name] = {
            "threads": threads,
            "images_per_second": speeds[name],
            "message_bytes": sizes[name],
            "message_seconds_here": [taken[size] for size in sizes[name]],
            "step_seconds": step,
            "projected_seconds": sent,
            "projected_efficiency": {n: step / (step + seconds) for n, seconds in sent.items()},
        }
    return result


def show(result: dict[str, Any], args: argparse.Namespace) -> None:
    """Prints a table of medians with their ranges."""
    for name, found in result.items():
        print(name)
        for count, values in found["images_per_second"].items():
            what = f"{count} x {max(1, found['threads'] // count)} threads"
            low, high = min(values), max(values)
            print(f"  {what:14} {statistics.median(values):10,.1f} images/s  ({low:,.1f} to {high:,.1f})")
        sizes, times = found["message_bytes"], found["message_seconds_here"]
        told = ", ".join(f"{b / 1e6:.2f} MB in {1e3 * t:.2f} ms" for b, t in zip(sizes, times, strict=True))
        print(f"  {len(sizes)} all-reduces a step, between two processes here: {told}")
        for count, seconds in found["projected_seconds"].items():
            part = found["projected_efficiency"][count]
            print(f"  projected, {count} GPUs: {1e3 * seconds:.3f} ms a step, {part:.1%} of linear")
    step = f"of {args.step:g} ms" if args.step else "as long as here in one process"
    print(
        f"assumed: a step {step}, {args.nvlink:g} GB/s within a machine of 8, {args.network:g} GB/s between "
        f"machines, latencies {1e6 * args.latency:g} and {1e6 * args.network_latency:g} us"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=60, help="of each run that is timed")
    parser.add_argument("--workloads", nargs="+", choices=WORKLOADS, default=list(WORKLOADS))
    parser.add_argument("--step", type=float, default=10, help="ms of a GPU's step; 0: as measured here")
    parser.add_argument("--nvlink", type=float, default=450, help="GB/s between the GPUs of a machine")
    parser.add_argument("--network", type=float, default=50, help="GB/s between machines")
    parser.add_argument("--latency", type=float, default=5e-6, help="seconds of a hop within a machine")
    parser.add_argument("--network-latency", type=float, default=2e-5, help="seconds of one between machines")
    parser.add_argument("--json", action="store_true", help="numbers instead of a table")
    parser.add_argument("--reduce", nargs="+", help=argparse.SUPPRESS)
    parser.add_argument("--rank", type=int, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.reduce:
        run_rank(Path(args.reduce[0]), args.rank, [int(size) for size in args.reduce[1:]])
        return
    result = measured(args)
    if args.json:
        print(json.dumps(result, indent=1))
    else:
        show(result, args)


if __name__ == "__main__":
    main()
