"""Measures how OpenMP's threads should wait, on an idle machine and beside busy processes.

    python scripts/bench_threads.py --rounds 3 --seconds 5 --busy 0 1 2

Threads that wait for one another at the end of a parallel loop either spin (they try again and again, for
``GOMP_SPINCOUNT`` rounds) or sleep. To spin is faster where each thread has a core of its own, and wastes the
core that another thread or program needs where it has not. The policies run in turn, round after round, each in
a process of its own, because OpenMP reads the environment once; the table shows medians over the rounds:
training images per second, and in brackets per second of processor time. ``--busy``: processes beside it,
each of which keeps a core busy.
"""

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from common import composed
from tqdm import tqdm

from ganexp.system.cpus import cpu_count

WORKLOADS = {
    "mlp": ["arch=mlp", "data.resolution=28"],
    "dcgan16": ["data.resolution=32", "arch.generator.width=16", "arch.discriminator.width=16"],
    "dcgan64": ["data.resolution=32"],
}
"""On the embedded digits: an MLP, and DCGANs of width 16 and 64 at 32 x 32."""

SPINS = (0, 1_000, 10_000, 100_000)

BURNER = "while True: pass"


def policies() -> dict[str, tuple[dict[str, str], list[str]]]:
    """Environment and overrides of each policy."""
    every_core = [f"device.threads={cpu_count()}"]
    found: dict[str, tuple[dict[str, str], list[str]]] = {
        "default": ({}, []),
        "one thread": ({}, ["device.threads=1"]),
        "default of OpenMP": ({"GOMP_SPINCOUNT": "300000"}, every_core),
    }
    return found | {f"GOMP_SPINCOUNT={spins}": ({"GOMP_SPINCOUNT": str(spins)}, every_core) for spins in SPINS}


@contextmanager
def busy(count: int) -> Iterator[None]:
    """Within this context ``count`` other processes keep a core busy each."""
    others = [subprocess.Popen([sys.executable, "-c", BURNER]) for _ in range(count)]
    try:
        yield
    finally:
        for other in others:
            other.kill()
            other.wait()


def rates(overrides: list[str], seconds: float) -> tuple[float, float]:
    """Images per second, and per second of processor time, of steps in this process after a warm-up."""
    from ganexp.system.openmp import limit_spinning

    limit_spinning()
    from ganexp.train import train_step
    from ganexp.training.setup import build_experiment

    cfg = composed([*overrides, "recipe=none", "device=cpu", "evaluate.every=null", "epochs=1000000"])
    experiment = build_experiment(cfg)
    batches = (batch for _ in iter(int, 1) for batch in experiment.data.loader.epoch())
    for _ in range(5):
        train_step(experiment, next(batches), 1.0)
    count, began, used = 0, time.perf_counter(), time.process_time()
    while time.perf_counter() - began < seconds:
        train_step(experiment, next(batches), 1.0)
        count += cfg.batch_size
    return count / (time.perf_counter() - began), count / (time.process_time() - used)


def in_a_process(workload: str, policy: str, seconds: float) -> tuple[float, float]:
    """``rates`` of a workload under a policy, in a process of its own."""
    env, more = policies()[policy]
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("OMP_", "GOMP_"))}
    done = subprocess.run(
        [sys.executable, __file__, "--once", str(seconds), *WORKLOADS[workload], *more],
        env=clean | env,
        check=True,
        capture_output=True,
        text=True,
    )
    wall, processor = done.stdout.split()
    return float(wall), float(processor)


def main() -> None:
    """Reads the arguments and prints a table for each workload."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=5.0, help="of each measurement")
    parser.add_argument("--busy", type=int, nargs="+", default=[0, 1, 2], help="processes beside it")
    parser.add_argument("--only", nargs="+", choices=WORKLOADS, default=list(WORKLOADS))
    parser.add_argument("--policies", nargs="+", choices=policies(), default=list(policies()))
    parser.add_argument("--once", nargs="+", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.once:
        print(*rates(asked.once[1:], float(asked.once[0])))
        return
    print(f"{cpu_count()} cores")
    total = asked.rounds * len(asked.only) * len(asked.busy) * len(asked.policies)
    with tqdm(total=total, unit=" runs", disable=None, leave=False) as bar:
        for workload in asked.only:
            found: dict[tuple[str, int], list[tuple[float, float]]] = {}
            for _ in range(asked.rounds):
                for count in asked.busy:
                    with busy(count):
                        for policy in asked.policies:
                            measured = in_a_process(workload, policy, asked.seconds)
                            found.setdefault((policy, count), []).append(measured)
                            bar.update()
            tqdm.write(table(workload, found, asked.busy, asked.policies), file=sys.stdout)


def table(
    workload: str, found: dict[tuple[str, int], list[tuple[float, float]]], counts: list[int], names: list[str]
) -> str:
    """Medians over the rounds, as Markdown."""
    heads = " | ".join(f"beside {count}" if count else "idle" for count in counts)
    lines = [f"\n### {workload}\n", f"| | {heads} |", "|---" * (len(counts) + 1) + "|"]
    for name in names:
        cells = []
        for count in counts:
            wall, processor = zip(*found[name, count], strict=True)
            cells.append(f"{statistics.median(wall):,.0f} ({statistics.median(processor):,.0f})")
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
